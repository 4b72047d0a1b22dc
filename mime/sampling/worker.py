"""A worker process: `python -m mime.sampling.worker DESCRIPTOR`, started by `mime.sampling.local` and by nobody else.

It is a fresh interpreter, as with multiprocessing's spawn, but does not import the main module of its parent: that
would import JAX, which costs a worker 230 MiB and a second.
"""

import os
import pickle
import signal
import sys
import threading
from contextlib import closing, suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from mime.sampling.host import Host


class WorkerSetup(NamedTuple):
    """A worker's first message: what it needs to know to build its environment.

    Attributes:
        path: The parent's `sys.path`, on which the environment may have to be found.
        env_name, env_kwargs: As in the configuration.
    """

    path: list[str]
    env_name: str
    env_kwargs: dict[str, Any]


def serve(connection: Connection) -> None:
    """Answer requests until the connection closes; then close the environment."""
    setup: WorkerSetup = pickle.loads(connection.recv_bytes())
    sys.path[:] = setup.path
    # Built by the first request, whose answer says what went wrong; what is expensive about it is built still later.
    host = Host(setup.env_name, setup.env_kwargs)
    with closing(host):
        while True:
            connection.send(host.answer(connection.recv_bytes()))


def end_with_parent() -> None:
    """End this process and what it has started, when the parent has ended, however it did: it held our stdin open."""
    # Not through `sys.stdin`, whose lock would keep the interpreter from ending by itself.
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):  # The parent has no more use for this worker.
        serve(Connection(int(sys.argv[1])))
