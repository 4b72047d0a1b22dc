"""Workers on a Ray cluster: the same rollouts as in local processes, on as many machines as have joined."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError

from mime.errors import UserError
from mime.sampling.host import Answer, Collected, Host
from mime.sampling.hosted import Failures, WorkerFailure, accepted, pickled
from mime.sampling.rollouts import Request

SECONDS_TO_START, SECONDS_TO_CLOSE = 60.0, 5.0


class RolloutActor:
    """A worker: one process somewhere in the cluster, which builds its environment once."""

    def __init__(self, path: list[str], env_name: str, env_kwargs: dict[str, Any]):
        sys.path[:] = path + [folder for folder in sys.path if folder not in path]
        self._host = Host(env_name, env_kwargs)

    def collect(self, request: bytes) -> Answer:
        """The answer to a pickled request."""
        return self._host.answer(request)

    def ready(self) -> None:
        """Returns once the actor has been started."""

    def close(self) -> None:
        """Close the environment."""
        self._host.close()


class _Pending(NamedTuple):
    """A request under way.

    Attributes:
        actor: Who works on it.
        place: Of the request among all.
        deadline: When its actor is taken to hang, on the monotonic clock.
    """

    actor: ray.actor.ActorHandle
    place: int
    deadline: float


class RayWorkers:
    """`Workers` that are Ray actors, restarted by Ray when they die; a request that fails is repeated on any of them.

    Args:
        env_name, env_kwargs: As in the configuration.
        address: `local` for a cluster of this machine alone, started and ended with this object; `auto` for the one
            this machine belongs to; or HOST:PORT of its head.
        number: How many actors, each of which occupies a processor; by default as many as the cluster has.
        timeout: Seconds after which a worker that gives no answer is taken to hang.

    Raises:
        UserError: If there is no such cluster, or it has no free processor for any actor.
    """

    def __init__(self, env_name: str, env_kwargs: dict[str, Any], *, address: str, number: int | None, timeout: float):
        options = {"num_cpus": number} if address == "local" else {}
        try:
            ray.init(address, log_to_driver=False, include_dashboard=False, **options)
        except Exception as error:  # Ray's own kinds, built-in ones, and plain ones for time-outs.
            raise UserError(f"--ray-address: {address}: {error}") from None
        number = number or int(ray.cluster_resources().get("CPU", 1))
        self._actor_class = ray.remote(num_cpus=1, max_restarts=-1)(RolloutActor)
        self._setup, self._timeout, self._env_name = (sys.path, env_name, env_kwargs), timeout, env_name
        self._actors = self._started(number)

    def collect(self, requests: Sequence[Request], describe: Callable[[Any], str]) -> list[Collected]:
        """See `mime.sampling.hosted.Workers`."""
        collected: dict[int, Collected] = {}
        failures = Failures(requests, describe)
        waiting, idle = list(reversed(range(len(requests)))), list(self._actors)
        pending: dict[ray.ObjectRef, _Pending] = {}
        while waiting or pending:
            while waiting and idle:
                actor, place = idle.pop(), waiting.pop()
                reference = actor.collect.remote(pickled(requests[place]))
                pending[reference] = _Pending(actor, place, time.monotonic() + self._timeout)
            for reference in self._ready_or_late(pending):
                actor, place, _ = pending.pop(reference)
                try:
                    collected[place] = self._result(reference)
                    failures.overcome(place)
                except WorkerFailure as failure:
                    failures.add(place, failure)
                    actor = self._replaced(actor)
                    waiting.append(place)
                idle.append(actor)
        return [collected[place] for place in range(len(requests))]

    def close(self) -> None:
        """Have the actors close their environments, and leave the cluster, which ends them."""
        with suppress(GetTimeoutError, RayActorError, RayTaskError):
            ray.get([actor.close.remote() for actor in self._actors], timeout=SECONDS_TO_CLOSE)
        ray.shutdown()

    def _started(self, number: int) -> list[ray.actor.ActorHandle]:
        """As many actors as find a processor in time: one that finds none would wait silently for ever."""
        actors = [self._actor_class.remote(*self._setup) for _ in range(number)]
        ready = {actor.ready.remote(): actor for actor in actors}
        started, _ = ray.wait(list(ready), num_returns=number, timeout=SECONDS_TO_START)
        if not started:
            raise UserError(f"--ray-address: no worker started within {SECONDS_TO_START:.0f} s; are all CPUs taken?")
        for reference in set(ready) - set(started):
            ray.kill(ready[reference])
        return [ready[reference] for reference in started]

    @staticmethod
    def _ready_or_late(pending: dict[ray.ObjectRef, _Pending]) -> list[ray.ObjectRef]:
        """The requests that are answered, have failed, or are late; waits for the first."""
        remaining = min(request.deadline for request in pending.values()) - time.monotonic()
        ready, _ = ray.wait(list(pending), timeout=max(remaining, 0))
        now = time.monotonic()
        return ready or [reference for reference, request in pending.items() if request.deadline <= now]

    def _result(self, reference: ray.ObjectRef) -> Collected:
        try:
            fields, remarks = accepted(self._env_name, ray.get(reference, timeout=0))
            # A copy: what Ray returns is a read-only view of its own store.
            return Collected({name: field.copy() for name, field in fields.items()}, remarks)
        except GetTimeoutError:
            raise WorkerFailure("its worker gave no answer in time") from None
        except RayActorError as error:
            raise WorkerFailure(f"its worker died: {error}") from None
        except RayTaskError as error:
            raise WorkerFailure(f"its worker failed: {error}") from None

    def _replaced(self, actor: ray.actor.ActorHandle) -> ray.actor.ActorHandle:
        """Another actor in place of one that died or hangs."""
        ray.kill(actor)
        (replacement,) = self._started(1)
        self._actors = [replacement if each is actor else each for each in self._actors]
        return replacement
