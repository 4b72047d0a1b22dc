"""Where the runs of a study are made: each in a process of its own, here or on a Ray cluster."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, runtime_checkable

from mime.studies.plan import CONSOLE, PlannedRun

PROCESS = "mime.commands.planned_run"
"""The module that a run's process executes: by name, since commands stand above studies."""
Started = Callable[[subprocess.Popen], None]


def make(run: PlannedRun, started: Started = lambda process: None) -> int:
    """Make a run in a process of its own, and wait for it; what it prints goes to `console.txt` in its folder.

    A process a run, so that one which crashes or runs out of memory takes no other with it, and leaves nothing behind.

    Args:
        run: What is to be done.
        started: Called with the process, which stops at the end of its standard input.

    Returns:
        The exit status; negative if a signal ended it.
    """
    job = {"folder": str(run.folder), "train": run.train, "test": run.test}
    run.folder.mkdir(parents=True, exist_ok=True)
    with open(run.folder / CONSOLE, "wb") as console:
        process = subprocess.Popen(
            [sys.executable, "-m", PROCESS, json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=console,
            stderr=subprocess.STDOUT,
            # Ctrl-C reaches the study alone, which then asks its workers to stop.
            start_new_session=True,
        )
        started(process)
        try:
            return process.wait()
        finally:
            _ask_to_stop(process)


def last_error(folder: Path) -> str:
    """The message that a run which failed ended with."""
    try:
        lines = (folder / CONSOLE).read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    printed = [line.strip() for line in lines if line.strip(" │╭╰─╮╯")]
    errors = [line.removeprefix("error ") for line in printed if line.startswith("error ")]
    return (errors or printed or [""])[-1]


@runtime_checkable
class Pool(Protocol):
    """Makes runs, some at a time."""

    def submit(self, run: PlannedRun) -> Future:
        """Make a run when its turn comes; gives the exit status."""
        ...

    def stop(self) -> None:
        """Begin no more runs, and have those under way save what they have."""
        ...

    def close(self) -> None:
        """Wait for the runs under way."""
        ...


class LocalPool:
    """A `Pool` on this machine.

    Args:
        parallel: Runs at a time.
    """

    def __init__(self, parallel: int):
        self._threads = ThreadPoolExecutor(parallel)
        self._running: set[subprocess.Popen] = set()
        self._lock, self._stopped = threading.Lock(), False

    def submit(self, run: PlannedRun) -> Future:
        """See `Pool`."""
        return self._threads.submit(self._make, run)

    def stop(self) -> None:
        """See `Pool`."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                _ask_to_stop(process)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """See `Pool`."""
        self._threads.shutdown()

    def _make(self, run: PlannedRun) -> int:
        def started(process: subprocess.Popen) -> None:
            with self._lock:
                self._running.add(process)
                if self._stopped:
                    _ask_to_stop(process)

        return make(run, started)


def _ask_to_stop(process: subprocess.Popen) -> None:
    if process.stdin is not None:
        process.stdin.close()
