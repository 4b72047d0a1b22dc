"""The command line: `mime COMMAND`; `train.py` and `test.py` are two of the commands."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module

from mime.runs.signals import end_when_asked
from mime.version import __version__

COMMANDS = {
    "train": "Train",
    "test": "Test",
    "study": "Study",
    "compare": "Compare",
    "render": "Render",
    "replay": "ReplayRuns",
    "export": "Export",
    "envs": "Envs",
    "new": "New",
    "check": "Check",
}
"""Their names, which are those of modules in `mime.commands`, and the classes of their options there."""

Command = Callable[[Sequence[str]], int]


def command(name: str) -> Command:
    """The command, whose module is imported when it runs: that takes seconds, in which signals count too."""
    return partial(_run, name)


def _run(name: str, arguments: Sequence[str]) -> int:
    from mime.commands.terminal import guarded

    return guarded(lambda arguments: import_module(f"mime.commands.{name}").run(arguments), arguments)


train = command("train")
test = command("test")
study = command("study")
compare = command("compare")


def main() -> int:
    """The console script `mime`; returns the exit status."""
    end_when_asked()
    from rich.text import Text

    from mime.commands.terminal import console, tell

    name, *arguments = sys.argv[1:] or ["--help"]
    if name in COMMANDS:
        return command(name)(arguments)
    if name == "--version":
        console.print(f"mime {__version__}")
        return 0
    helping = name in ("-h", "--help")
    if not helping:
        tell(f"{name}: unknown command; there are {', '.join(COMMANDS)}")
    console.print(f"usage: mime {{{','.join(COMMANDS)}}} ...\n")
    for each, options in COMMANDS.items():
        summary = str(getattr(import_module(f"mime.commands.{each}"), options).__doc__).splitlines()[0]
        console.print(Text.assemble("  ", (f"{each:8}", "bold"), f" {summary}"))
    console.print("\n`mime COMMAND --help` lists the options of a command.")
    return 0 if helping else 2
