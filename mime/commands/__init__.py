"""The commands of `mime`, a module each: its options as a dataclass, and `run`, which returns the exit status.

`planned_run` is the process that makes one run of a study.
"""
