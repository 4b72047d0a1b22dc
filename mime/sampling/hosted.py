"""Sampling from environments outside JAX: one call to a worker process for all trajectories of a task."""

import copy
import logging
import pickle
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PRNGKeyArray

from mime.envs.external.hosted_environment import HostedEnvironment, as_tasks, words_of
from mime.errors import Failure, UserError
from mime.sampling.episodes import Episodes
from mime.sampling.host import Answer, Collected, Raised, Refused
from mime.sampling.rollouts import ActingPolicy, Fields, Request

MAX_FAILURES = 3
TIMEOUT = 600.0
LARGEST = 1e18
"""Numbers beyond this have squares, or sums over a layer's inputs, that float32 cannot hold."""
logger = logging.getLogger(__name__)


class WorkerFailure(Exception):
    """Why a worker did not collect the episodes of a request.

    Attributes:
        traceback: Of the environment's error, if it raised one.
    """

    def __init__(self, reason: str, traceback: str = ""):
        super().__init__(reason)
        self.traceback = traceback


@runtime_checkable
class Workers(Protocol):
    """Processes that collect episodes."""

    def collect(self, requests: Sequence[Request], describe: Callable[[Any], str]) -> list[Collected]:
        """The answers to the requests, in the order of the requests.

        Args:
            requests: Each for whichever worker is free.
            describe: Gives a task a name, for messages.

        Raises:
            UserError: If the environment or its tasks are not what they must be.
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
        self._said: set[str] = set()
        self._has_collected = False

    def __call__(self, policies: PolicyOfWorkers, tasks: Any, key: PRNGKeyArray) -> Episodes:
        """Episodes `[tasks trajectories steps ...]` of `policies` and `tasks`, both with a leading `tasks` axis.

        Raises:
            UserError: If what the environment gives is not what it declares, from the first episodes on.
            Failure: If it is not later on, or the episodes of a task keep failing.
        """
        entropy, acting_policies = words_of(key), numpy_policies(policies)
        latents = drawn_latents(policies, jax.random.split(key, (len(tasks), self.num_trajectories)))
        started = time.perf_counter()  # Not before: the policies may still have been under computation.
        requests = [
            Request(task, policy, (*entropy, place), self.num_trajectories, latent)
            for place, (task, policy, latent) in enumerate(zip(tasks, acting_policies, latents, strict=True))
        ]
        try:
            answers = self.workers.collect(requests, self.environment.describe)
        except UserError as error:
            if not self._has_collected:
                raise
            raise Failure(str(error)) from None  # There is something to be kept.
        self._has_collected = True
        for task, (collected, remarks) in zip(tasks, answers):
            self._name_what_is_not_finite(task, collected)
            # By some at the end of an episode alone, so that it is known only after a few.
            self.environment.reports_success |= bool(np.any(collected.pop("success_reported")))
            for remark in remarks:
                # Of one number, once: what is lost of it differs from task to task.
                self._say_once(remark.split(" is ")[0], remark)
        fields = [answer.fields for answer in answers]
        episodes = Episodes(**{name: jnp.asarray(np.stack([each[name] for each in fields])) for name in fields[0]})
        steps, seconds = int(np.sum(episodes.valid)), time.perf_counter() - started
        logger.info("%d steps of %d tasks sampled in %.2f s", steps, len(requests), seconds)
        return episodes

    def trials(self, policies: PolicyOfWorkers, tasks: Any, key: PRNGKeyArray, *, num_episodes: int) -> Episodes:
        """Trials `[tasks trajectories episodes steps ...]` of recurrent policies. A request to a worker is for one."""
        of_trials = copy.copy(self)
        of_trials.num_trajectories = num_episodes
        policies = jax.tree.map(lambda leaf: jnp.repeat(leaf, self.num_trajectories, axis=0), policies)
        repeated = as_tasks(task for task in tasks for _ in range(self.num_trajectories))
        episodes = of_trials(policies, repeated, key)
        self._has_collected = True
        return jax.tree.map(lambda leaf: leaf.reshape(-1, self.num_trajectories, *leaf.shape[1:]), episodes)

    def close(self) -> None:
        """End the workers, and close the environment that drew the tasks."""
        self.workers.close()
        self.environment.close()

    def _name_what_is_not_finite(self, task: Any, fields: Fields) -> None:
        """The first number that came from the environment and cannot be computed with: what acted on it comes later."""
        for name in ("observations", "next_observations", "rewards"):
            numbers = fields[name]
            places = np.argwhere(~np.isfinite(numbers))
            if len(places):
                trajectory, step, *_ = places[0]
                value, where = numbers[trajectory, step], f"trajectory {trajectory}, step {step}"
                logger.warning("task %s: %s not finite at %s: %s", self.environment.describe(task), name, where, value)
                return
            if name != "rewards" and np.max(np.abs(numbers), initial=0) > LARGEST:
                largest = np.max(np.abs(numbers))
                self._say_once(name, f"{name} of up to {largest:.3g} are too large to compute with; divide them")
                return

    def _say_once(self, subject: str, message: str) -> None:
        if subject not in self._said:
            self._said.add(subject)
            logger.warning("%s", message)


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


def pickled(message: Any) -> bytes:
    """A message for a worker.

    Raises:
        UserError: If a task in it cannot be pickled.
    """
    try:
        return pickle.dumps(message)
    except Exception as error:  # Whatever the task's class may raise.
        raise UserError(
            f"a task cannot be sent to workers: {type(error).__name__}: {error}. Tasks are numbers, arrays,"
            " dictionaries, or objects of a class in a file that can be imported"
        ) from None


def accepted(env_name: str, answer: Answer) -> Collected:
    """The answer, if it is one with episodes.

    Raises:
        UserError: If the environment or its tasks are not what they must be.
        WorkerFailure: If the environment raised an error.
    """
    if isinstance(answer, Refused):
        raise UserError(f"{env_name}: {answer.reason}")
    if isinstance(answer, Raised):
        raise WorkerFailure(f"the environment raised {answer.cause}", answer.traceback)
    return answer


class Failures:
    """How often each of some requests has failed, and what is said of it.

    An environment's errors are told when it is known whether trying again helps: most are the same again.

    Args:
        requests: Of which some fail.
        describe: Gives a task a name.
    """

    def __init__(self, requests: Sequence[Request], describe: Callable[[Any], str]):
        self._requests, self._describe = requests, describe
        self._failures: list[list[WorkerFailure]] = [[] for _ in requests]

    def add(self, place: int, failure: WorkerFailure) -> None:
        """A request has failed.

        Raises:
            Failure: If it is not to be tried again.
        """
        self._failures[place].append(failure)
        task, count = self._describe(self._requests[place].task), len(self._failures[place])
        if count == MAX_FAILURES:
            if failure.traceback:
                logger.info("task %s: %s", task, failure.traceback.rstrip())
            raise Failure(
                f"task {task}: its episodes failed {MAX_FAILURES} times, the last time because {failure}. Mend the"
                " environment, or leave the task out, and go on with --resume"
            )
        level = logging.INFO if failure.traceback else logging.WARNING
        logger.log(level, "task %s: failure %d because %s; its episodes are collected again", task, count, failure)

    def overcome(self, place: int) -> None:
        """A request that may have failed before was answered."""
        if any(failure.traceback for failure in self._failures[place]):
            task, count = self._describe(self._requests[place].task), len(self._failures[place])
            last = self._failures[place][-1]
            logger.warning("task %s: failed %d times before it succeeded, the last time because %s", task, count, last)
