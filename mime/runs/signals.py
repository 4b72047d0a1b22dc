"""Ending a run when a signal asks for it: between two meta-iterations, or soon if the one under way does not end."""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import Any, NoReturn

STOPPING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)
PATIENCE = 5.0
"""Seconds that a command has to end by itself after the first signal."""
SAVING = 60.0
"""Seconds that it then has to save what it has."""
ONE = 1.0
"""Seconds within which signals count as one: a terminal that closes sends two."""
INTERRUPTED = 130

_savers: list[Callable[[], Any]] = []
_watched = False


@contextmanager
def stop_requested(save: Callable[[], Any] = lambda: None) -> Generator[threading.Event]:
    """An event that signals set, in place of ending the process.

    After a second signal a command ends at once (see `end_when_asked`), and any other program is interrupted.

    Args:
        save: Keeps what a command has when it is to end, but what it does goes on. Called in another thread; what the
            command finishes later need not be kept.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    first = 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal first
        if not stop.is_set():
            first = time.monotonic()
            stop.set()
        elif not _watched and time.monotonic() - first > ONE:
            raise KeyboardInterrupt

    previous = {number: signal.signal(number, handle) for number in _not_ignored()}
    _savers.append(save)
    try:
        yield stop
    finally:
        _savers.remove(save)
        for number, handler in previous.items():
            signal.signal(number, handler)


def end_when_asked() -> None:
    """Have signals end this process from now on, with exit status 130, whatever it is doing.

    Python's own handlers run between two of its instructions alone. Compiling and compiled programs, and imports of
    some libraries, let them wait or lose them; so a thread watches as well. It gives the process some seconds to end by
    itself after the first signal. Then, or at a second one, it saves what there is and ends it.
    """
    global _watched
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    for number in _not_ignored():
        signal.signal(number, _interrupt)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    sys.excepthook = _told_in_a_line
    _watched = True
    threading.Thread(target=_watch, args=(reading,), daemon=True).start()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _told_in_a_line(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """What nobody caught: an interruption, as while modules are imported, is no mistake that a traceback explains."""
    if issubclass(kind, KeyboardInterrupt):
        _end("interrupted")
    sys.__excepthook__(kind, error, traceback)


def _end(message: str) -> NoReturn:
    with suppress(OSError, ValueError):  # Of a pipe that is closed.
        os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, f"{message}\n".encode())
    os._exit(INTERRUPTED)


def _not_ignored() -> list[signal.Signals]:
    """The signals that end; `nohup` has SIGHUP ignored."""
    return [number for number in STOPPING if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN]


def _watch(reading: int) -> None:
    while os.read(reading, 1)[0] not in STOPPING:
        pass
    asked = time.monotonic()
    while (left := asked + PATIENCE - time.monotonic()) > 0:
        if select.select([reading], [], [], left)[0]:
            again = os.read(reading, 1)[0] in STOPPING
            if again and time.monotonic() - asked > ONE:
                break
    saving = threading.Thread(target=_save, daemon=True)
    saving.start()
    saving.join(SAVING)
    time.sleep(ONE)  # A process that was about to end by itself says more.
    _end("interrupted; what was finished is saved")


def _save() -> None:
    for save in _savers:
        save()
