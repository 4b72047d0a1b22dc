"""What a worker does with a request, whoever the worker belongs to, and how it answers."""

import pickle
import traceback
from typing import Any, NamedTuple

from mime.envs.external.checks import EnvironmentMistake, cause
from mime.envs.external.hosted_environment import HostedEnvironment
from mime.envs.registration import make_hosted
from mime.sampling.rollouts import Fields, Request, rollout


class Collected(NamedTuple):
    """The answer to a request: the episodes, and what the user should know about them."""

    fields: Fields
    remarks: tuple[str, ...]


class Refused(NamedTuple):
    """The answer when the environment or its tasks are at fault in a way that trying again does not mend."""

    reason: str


class Raised(NamedTuple):
    """The answer when the environment raised an error: what it was in a line, and its traceback."""

    cause: str
    traceback: str


Answer = Collected | Refused | Raised


class Host:
    """An environment in a worker.

    Args:
        env_name, env_kwargs: As in the configuration.
    """

    def __init__(self, env_name: str, env_kwargs: dict[str, Any]):
        self._names = env_name, env_kwargs
        self._environment: HostedEnvironment | None = None

    def answer(self, request: bytes) -> Answer:
        """The answer to a pickled `Request`, whatever happens on the way."""
        try:
            unpickled: Request = pickle.loads(request)
        except Exception as error:  # Whatever a task's class may raise.
            return Refused(
                f"its tasks cannot be sent to workers: {type(error).__name__}: {error}. Define their class in a file"
                " that can be imported, not in the running script or notebook"
            )
        remarks: list[str] = []
        try:
            self._environment = self._environment or make_hosted(*self._names)
            return Collected(rollout(self._environment, unpickled, remarks.append), tuple(remarks))
        except EnvironmentMistake as mistake:
            return Refused(str(mistake))
        except Exception as error:
            return Raised(cause(error), traceback.format_exc())

    def close(self) -> None:
        """Close the environment."""
        if self._environment is not None:
            self._environment.close()
