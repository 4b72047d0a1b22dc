"""The command line: `mime COMMAND`; `train.py` and `test.py` are two of the commands."""

import sys
from collections.abc import Callable, Sequence
from functools import partial

from rich.text import Text

from mime.commands import check as checking
from mime.commands import compare as comparing
from mime.commands import envs, export, new, render, replay
from mime.commands import study as studying
from mime.commands import test as testing
from mime.commands import train as training
from mime.commands.terminal import console, guarded, tell
from mime.runs.signals import end_when_asked
from mime.version import __version__

COMMANDS = {
    "train": (training.Train, training.run),
    "test": (testing.Test, testing.run),
    "study": (studying.Study, studying.run),
    "compare": (comparing.Compare, comparing.run),
    "render": (render.Render, render.run),
    "replay": (replay.ReplayRuns, replay.run),
    "export": (export.Export, export.run),
    "envs": (envs.Envs, envs.run),
    "new": (new.New, new.run),
    "check": (checking.Check, checking.run),
}

Command = Callable[[Sequence[str]], int]
train: Command = partial(guarded, training.run)
test: Command = partial(guarded, testing.run)
study: Command = partial(guarded, studying.run)
compare: Command = partial(guarded, comparing.run)


def main() -> int:
    """The console script `mime`; returns the exit status."""
    end_when_asked()
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in COMMANDS:
        _, run = COMMANDS[name]
        return guarded(run, arguments)
    if name == "--version":
        console.print(f"mime {__version__}")
        return 0
    helping = name in ("-h", "--help")
    if not helping:
        tell(f"{name}: unknown command; there are {', '.join(COMMANDS)}")
    console.print(f"usage: mime {{{','.join(COMMANDS)}}} ...\n")
    for command, (options, _) in COMMANDS.items():
        console.print(Text.assemble("  ", (f"{command:8}", "bold"), f" {str(options.__doc__).splitlines()[0]}"))
    console.print("\n`mime COMMAND --help` lists the options of a command.")
    return 0 if helping else 2
