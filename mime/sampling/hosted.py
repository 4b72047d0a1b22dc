"""Sampling from environments outside JAX: one call to a worker process for all trajectories of a task."""

import logging
import os
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PRNGKeyArray

from mime.envs.external.hosted_environment import HostedEnvironment, as_tasks, words_of
from mime.errors import Failure
from mime.sampling.episodes import Episodes
from mime.sampling.rollouts import ActingPolicy, Fields, Request
from mime.sampling.worker import WorkerSetup

MAX_FAILURES = 3
TIMEOUT = 600.0
logger = logging.getLogger(__name__)


class WorkerFailure(Exception):
    """Why a worker did not collect the episodes of a request."""


@runtime_checkable
class Workers(Protocol):
    """Processes that collect episodes."""

    def collect(self, requests: Sequence[Request], describe: Callable[[Any], str]) -> list[Fields]:
        """The fields of each request's episodes, in the order of the requests.

        Args:
            requests: Each for whichever worker is free.
            describe: Gives a task a name, for messages.

        Raises:
            Failure: If the episodes of a request failed several times.
        """
        ...

    def close(self) -> None:
        """End the processes."""
        ...


@runtime_checkable
class PolicyOfWorkers(Protocol):
    """A policy that workers can act with: any `Policy`, and a recurrent one."""

    def draw(self, keys: Key[Array, "trajectories"]) -> Float[Array, "trajectories latent"] | None:
        """What it draws for the episodes of one task; None if it draws nothing."""
        ...

    def acting(self) -> Any:
        """The policy with its parameters as they act."""
        ...

    def in_numpy(self, named: dict[str, np.ndarray]) -> ActingPolicy:
        """What a worker acts with, given its named parameters."""
        ...


class HostedSampler:
    """A `Sampler` whose episodes are collected in other processes, and never traced by JAX.

    Args:
        environment: Describes the tasks; the workers collect episodes in instances of their own.
        num_trajectories: Trajectories per task.
        workers: Who collects them.
    """

    compiled: ClassVar[bool] = False

    def __init__(self, environment: HostedEnvironment, num_trajectories: int, workers: Workers):
        self.environment, self.num_trajectories, self.workers = environment, num_trajectories, workers

    def __call__(self, policies: PolicyOfWorkers, tasks: Any, key: PRNGKeyArray) -> Episodes:
        """Episodes `[tasks trajectories steps ...]` of `policies` and `tasks`, both with a leading `tasks` axis.

        Raises:
            Failure: If the episodes of a task keep failing.
        """
        entropy, acting_policies = words_of(key), numpy_policies(policies)
        latents = drawn_latents(policies, jax.random.split(key, (len(tasks), self.num_trajectories)))
        started = time.perf_counter()  # Not before: the policies may still have been under computation.
        requests = [
            Request(task, policy, (*entropy, place), self.num_trajectories, latent)
            for place, (task, policy, latent) in enumerate(zip(tasks, acting_policies, latents, strict=True))
        ]
        fields = self.workers.collect(requests, self.environment.describe)
        for task, collected in zip(tasks, fields):
            self._name_what_is_not_finite(task, collected)
        episodes = Episodes(**{name: jnp.asarray(np.stack([each[name] for each in fields])) for name in fields[0]})
        steps, seconds = int(np.sum(episodes.valid)), time.perf_counter() - started
        logger.info("%d steps of %d tasks sampled in %.2f s", steps, len(requests), seconds)
        return episodes

    def trials(self, policies: PolicyOfWorkers, tasks: Any, key: PRNGKeyArray, *, num_episodes: int) -> Episodes:
        """Trials `[tasks trajectories episodes steps ...]` of recurrent policies. A request to a worker is for one."""
        of_trials = HostedSampler(self.environment, num_episodes, self.workers)
        policies = jax.tree.map(lambda leaf: jnp.repeat(leaf, self.num_trajectories, axis=0), policies)
        repeated = as_tasks(task for task in tasks for _ in range(self.num_trajectories))
        episodes = of_trials(policies, repeated, key)
        return jax.tree.map(lambda leaf: leaf.reshape(-1, self.num_trajectories, *leaf.shape[1:]), episodes)

    def close(self) -> None:
        """End the workers."""
        self.workers.close()

    def _name_what_is_not_finite(self, task: Any, fields: Fields) -> None:
        for name in ("rewards", "observations", "next_observations"):
            places = np.argwhere(~np.isfinite(fields[name]))
            if len(places):
                trajectory, step, *_ = places[0]
                value, where = fields[name][trajectory, step], f"trajectory {trajectory}, step {step}"
                logger.warning("task %s: %s not finite at %s: %s", self.environment.describe(task), name, where, value)
                return


@jax.jit
def _drawn(
    policies: PolicyOfWorkers, keys: Key[Array, "tasks trajectories"]
) -> Float[Array, "tasks trajectories latent"] | None:
    return jax.vmap(lambda policy, keys: policy.draw(keys))(policies, keys)


def drawn_latents(policies: PolicyOfWorkers, keys: Key[Array, "tasks trajectories"]) -> list[np.ndarray | None]:
    """What the policies, with a leading `tasks` axis, draw for the trajectories of each task; None for nothing."""
    drawn = _drawn(policies, keys)
    return [None] * len(keys) if drawn is None else list(np.asarray(drawn))


def numpy_policies(policies: PolicyOfWorkers) -> list[ActingPolicy]:
    """What a worker acts with in each task, in the environment's units, of policies with a leading `tasks` axis."""
    named = jax.device_get(jax.vmap(lambda policy: policy.acting().named_parameters())(policies))
    count = len(next(iter(named.values())))
    return [policies.in_numpy({name: array[place] for name, array in named.items()}) for place in range(count)]


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

    def collect(self, requests: Sequence[Request], describe: Callable[[Any], str]) -> list[Fields]:
        """See `Workers`."""
        collected: dict[int, Fields] = {}
        failures = [0] * len(requests)
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
                        collected[place] = worker.reply()
                        self._idle.append(worker)
                    except WorkerFailure as failure:
                        worker.kill()
                        failures[place] += 1
                        report_failure(describe(requests[place].task), str(failure), failures[place])
                        waiting.append(place)
        finally:
            for worker in busy:
                worker.kill()
        return [collected[place] for place in range(len(requests))]

    def close(self) -> None:
        """End the processes."""
        while self._idle:
            self._idle.pop().kill()

    @staticmethod
    def _ready_or_late(busy: dict["_Worker", int]) -> list["_Worker"]:
        """The workers that have answered, have died, or are late; waits for the first."""
        remaining = min(worker.deadline for worker in busy) - time.monotonic()
        ready = wait([worker.connection for worker in busy], timeout=max(remaining, 0))
        now = time.monotonic()
        return [worker for worker in busy if worker.connection in ready or worker.deadline <= now]


def report_failure(task: str, reason: str, failures: int) -> None:
    """Log that the episodes of a task have failed so many times.

    Raises:
        Failure: If they are not to be collected again.
    """
    if failures == MAX_FAILURES:
        raise Failure(f"task {task}: its episodes failed {MAX_FAILURES} times, the last time because {reason}")
    logger.warning("task %s: failure %d because %s; its episodes are collected again", task, failures, reason)


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
        self.kill = weakref.finalize(self, _end, self.process, self.connection)
        self._send(setup)

    def ask(self, request: Request, *, deadline: float) -> None:
        """Send a request. If the worker is gone, `reply` will tell."""
        self.deadline = deadline
        self._send(request)

    def reply(self) -> Fields:
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
        if isinstance(reply, str):
            raise WorkerFailure(f"the environment raised an error:\n{reply.rstrip()}")
        return reply

    def _send(self, message: Any) -> None:
        with suppress(OSError):
            self.connection.send(message)


def _end(process: subprocess.Popen, connection: Connection) -> None:
    process.kill()
    process.wait()
    if process.stdin is not None:
        process.stdin.close()
    connection.close()


def _environment_variables(path: list[str]) -> dict[str, str]:
    """Ours, and: find this package; one thread per worker, since there is one worker per processor."""
    threads = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")}
    return os.environ | threads | {"PYTHONPATH": os.pathsep.join(path)}
