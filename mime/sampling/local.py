"""Worker processes on this machine."""

import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

from mime.sampling.host import Answer, Collected
from mime.sampling.hosted import TIMEOUT, Failures, WorkerFailure, accepted, pickled
from mime.sampling.rollouts import Request
from mime.sampling.worker import WorkerSetup

SECONDS_TO_CLOSE = 5.0


class LocalWorkers:
    """Worker processes on this machine, started when they are first needed.

    A worker that dies, gives no answer in time, or reports an error is replaced, and its request repeated; since the
    episodes depend on nothing but the request, the numbers stay the same.

    Args:
        env_name, env_kwargs: As in the configuration.
        number: How many processes; by default one for each processor this process may use.
        timeout: Seconds after which a worker that gives no answer is taken to hang.
    """

    def __init__(
        self, env_name: str, env_kwargs: dict[str, Any], *, number: int | None = None, timeout: float = TIMEOUT
    ):
        self._setup = WorkerSetup(sys.path, env_name, env_kwargs)
        self._number = number or len(os.sched_getaffinity(0))
        self._timeout = timeout
        self._idle: list[_Worker] = []

    def collect(self, requests: Sequence[Request], describe: Callable[[Any], str]) -> list[Collected]:
        """See `mime.sampling.hosted.Workers`."""
        collected: dict[int, Collected] = {}
        failures = Failures(requests, describe)
        waiting = list(reversed(range(len(requests))))
        busy: dict[_Worker, int] = {}
        try:
            while waiting or busy:
                while waiting and len(busy) < self._number:
                    worker = self._idle.pop() if self._idle else _Worker(self._setup)
                    busy[worker] = place = waiting.pop()
                    worker.ask(requests[place], deadline=time.monotonic() + self._timeout)
                for worker in self._ready_or_late(busy):
                    place = busy.pop(worker)
                    try:
                        collected[place] = accepted(self._setup.env_name, worker.reply())
                        failures.overcome(place)
                        self._idle.append(worker)
                    except WorkerFailure as failure:
                        worker.kill()
                        failures.add(place, failure)
                        waiting.append(place)
        finally:
            for worker in busy:
                worker.kill()
        return [collected[place] for place in range(len(requests))]

    def close(self) -> None:
        """Have the processes close their environments, and end."""
        for worker in self._idle:
            worker.connection.close()  # All of them at once.
        while self._idle:
            self._idle.pop().end()

    @staticmethod
    def _ready_or_late(busy: dict["_Worker", int]) -> list["_Worker"]:
        """The workers that have answered, have died, or are late; waits for the first."""
        remaining = min(worker.deadline for worker in busy) - time.monotonic()
        ready = wait([worker.connection for worker in busy], timeout=max(remaining, 0))
        now = time.monotonic()
        return [worker for worker in busy if worker.connection in ready or worker.deadline <= now]


class _Worker:
    """One process, and our end of the line to it."""

    def __init__(self, setup: WorkerSetup):
        self.connection, theirs = Pipe()
        self.deadline = 0.0
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "mime.sampling.worker", str(theirs.fileno())],
                stdin=subprocess.PIPE,  # Never written to; its end tells the worker that we have ended.
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C in a terminal is for us alone.
                env=_environment_variables(setup.path),
            )
        # However this object ends, its process ends with it.
        self.end = weakref.finalize(self, _end, self.process, self.connection)
        self._send(setup)

    def ask(self, request: Request, *, deadline: float) -> None:
        """Send a request. If the worker is gone, `reply` will tell."""
        self.deadline = deadline
        self._send(request)

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        self.process.kill()
        self.end()

    def reply(self) -> Answer:
        """The answer, which must be there or late.

        Raises:
            WorkerFailure: If there is none.
        """
        try:
            reply = self.connection.recv() if self.connection.poll() else None
        except (EOFError, OSError):
            code = self.process.wait()
            end = f"signal {-code}" if code < 0 else f"exit status {code}"
            raise WorkerFailure(f"its worker died ({end})") from None
        if reply is None:
            raise WorkerFailure("its worker gave no answer in time")
        return reply

    def _send(self, message: WorkerSetup | Request) -> None:
        content = pickled(message)
        with suppress(OSError):
            self.connection.send_bytes(content)


def _end(process: subprocess.Popen, connection: Connection) -> None:
    """Let the process close its environment; then end it, and whatever that has started and left behind."""
    connection.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(SECONDS_TO_CLOSE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        process.stdin.close()


def _environment_variables(path: list[str]) -> dict[str, str]:
    """Ours, and: find this package; one thread per worker, since there is one worker per processor."""
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    return os.environ | threads | {"PYTHONPATH": os.pathsep.join(path)}
