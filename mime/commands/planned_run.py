"""A process that makes one run of a study: it trains, or goes on training, and then tests.

It stops as on Ctrl-C when its standard input ends: whoever started it has asked it to, or is no more.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from mime.errors import UserError
from mime.runs.signals import end_when_asked

SECONDS_TO_WAIT = 120.0


def main() -> int:
    """Make the run that the command line describes; returns the exit status."""
    end_when_asked()
    from mime.commands.terminal import guarded  # Takes seconds, in which signals count too.

    job = json.loads(sys.argv[1])
    threading.Thread(target=_stop_at_end_of_input, daemon=True).start()
    return guarded(lambda arguments: make(Path(job["folder"]), job["train"], job["test"]), [])


def make(folder: Path, train: list[str], test: list[str]) -> int:
    """Train or go on training, and test.

    Args:
        folder: The run folder.
        train: Arguments of `mime train`.
        test: Arguments of `mime test`.

    Returns:
        The exit status of the last command.
    """
    from mime.commands import test as testing
    from mime.commands import train as training

    _wait_for_predecessor(folder)
    resume = ["--resume"] if (folder / "config.json").exists() else []
    for name, command, arguments in (("train", training.run, train + resume), ("test", testing.run, test)):
        # What `config.json` keeps as the command that made the run.
        sys.argv = ["mime", name, *arguments]
        code = command(arguments)
        if code:
            return code
    return 0


def _stop_at_end_of_input() -> None:
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def _wait_for_predecessor(folder: Path) -> None:
    """A study that was killed leaves processes that still write their last checkpoint."""
    from mime.runs.folder import RunFolder

    folder.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + SECONDS_TO_WAIT
    while True:
        run = RunFolder(folder)
        try:
            run.lock()
        except UserError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            run.unlock()
            return


if __name__ == "__main__":
    sys.exit(main())
