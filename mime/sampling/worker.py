"""A worker process: `python -m mime.sampling.worker DESCRIPTOR`, started by `mime.sampling.hosted` and by nobody else.

It is a fresh interpreter, as with multiprocessing's spawn, but does not import the main module of its parent: that
would import JAX, which costs a worker 230 MiB and a second.
"""

import os
import sys
import threading
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from mime.envs.registration import make_hosted
from mime.sampling.rollouts import rollout


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
    """Answer requests with fields, or with the traceback of what went wrong, until the connection closes."""
    setup: WorkerSetup = connection.recv()
    sys.path[:] = setup.path
    environment = None
    while True:
        request = connection.recv()
        try:
            environment = environment or make_hosted(setup.env_name, setup.env_kwargs)
            reply = rollout(environment, request)
        except Exception:
            reply = traceback.format_exc()
        connection.send(reply)


def end_with_parent() -> None:
    """End this process, whatever it is doing, when the parent has ended, however it did: it held our stdin open."""
    sys.stdin.buffer.read()
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):  # The parent has no more use for this worker.
        serve(Connection(int(sys.argv[1])))
