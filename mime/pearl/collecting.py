"""Where PEARL's trajectories come from: a compiled program, or worker processes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol, runtime_checkable

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from mime.envs.environment import Environment
from mime.envs.external.hosted_environment import HostedEnvironment
from mime.envs.task_environment import count_tasks
from mime.pearl import networks as naming
from mime.pearl.environment import UnitActions, bounded
from mime.pearl.networks import Perceptron
from mime.pearl.numpy_actor import NumpyActor
from mime.pearl.sac import Networks
from mime.sampling.compiled import rollout
from mime.sampling.episodes import Episodes
from mime.sampling.hosted import HostedSampler

Latents = Float[Array, "tasks latent"]


@runtime_checkable
class Collector(Protocol):
    """Collects trajectories, and runs the loops around that.

    Attributes:
        compiled: Whether it can be a part of a compiled program.
    """

    compiled: ClassVar[bool]

    @property
    def environment(self) -> Environment:
        """Where the trajectories take place."""
        ...

    @property
    def box(self) -> gymnasium.spaces.Box:
        """Of the environment's own actions."""
        ...

    def __call__(
        self, networks: Networks, latents: Latents, tasks: Any, key: PRNGKeyArray, *, greedy: bool = False
    ) -> Episodes:
        """A trajectory of each task, `[tasks steps ...]`, each with its z throughout; actions in [-1, 1]."""
        ...

    def when(self, condition: Any, function: Callable, otherwise: Callable, operand: Any) -> Any:
        """As `jax.lax.cond`."""
        ...

    def scan(self, function: Callable, carry: Any, each: Any) -> tuple[Any, Any]:
        """As `jax.lax.scan`."""
        ...


@dataclass(frozen=True, eq=False)
class CompiledCollector:
    """From an environment written in JAX; the loops are parts of the compiled program.

    Attributes:
        environment: Where the trajectories take place.
    """

    environment: UnitActions
    compiled: ClassVar[bool] = True
    when: ClassVar[Callable] = staticmethod(jax.lax.cond)
    scan: ClassVar[Callable] = staticmethod(jax.lax.scan)

    @property
    def box(self) -> gymnasium.spaces.Box:
        """Of the environment's own actions."""
        return self.environment.box

    def __call__(
        self, networks: Networks, latents: Latents, tasks: Any, key: PRNGKeyArray, *, greedy: bool = False
    ) -> Episodes:
        """A trajectory of each task."""

        def one(latent: Float[Array, "latent"], task: Any, key: PRNGKeyArray) -> Episodes:
            def behaviour(observation):
                distribution = networks.act(observation, latent)
                return distribution.mode() if greedy else distribution

            return rollout(self.environment, behaviour, task, key)

        return jax.vmap(one)(latents, tasks, jax.random.split(key, count_tasks(tasks)))


class HostedCollector:
    """From worker processes; the loops are Python's.

    Args:
        sampler: Of one trajectory a task.
        horizon: Steps of a trajectory, `max-path-length`: the environment's.

    Raises:
        ValueError: If that is another, or actions are not vectors from a bounded box.
    """

    compiled: ClassVar[bool] = False

    def __init__(self, sampler: HostedSampler, *, horizon: int):
        self.sampler, self.box = sampler, bounded(sampler.environment.action_space)
        if horizon != sampler.environment.horizon:
            raise ValueError(
                f"max-path-length: {horizon} must be the environment's number of steps, {sampler.environment.horizon}"
            )

    @property
    def environment(self) -> HostedEnvironment:
        """Where the trajectories take place."""
        return self.sampler.environment

    def __call__(
        self, networks: Networks, latents: Latents, tasks: Any, key: PRNGKeyArray, *, greedy: bool = False
    ) -> Episodes:
        """A trajectory of each task."""
        middle, unit = (self.box.high + self.box.low) / 2, (self.box.high - self.box.low) / 2
        ends = {"middle": tuple(middle.tolist()), "unit": tuple(unit.tolist())}
        actors = jax.vmap(lambda latent: Actor(networks.policy, latent, greedy=greedy, **ends))(latents)
        episodes = jax.tree.map(lambda leaf: leaf[:, 0], self.sampler(actors, tasks, key))
        # A coordinate that the box holds fixed has no unit.
        return replace(episodes, actions=(episodes.actions - middle) / np.where(unit > 0, unit, 1))

    def when(self, condition: Any, function: Callable, otherwise: Callable, operand: Any) -> Any:
        """One of both functions of the operand."""
        return function(operand) if condition else otherwise(operand)

    def scan(self, function: Callable, carry: Any, each: Any) -> tuple[Any, Any]:
        """The function in a loop: what is carried on, and its outputs with a leading axis."""
        outputs = []
        for place in range(len(jax.tree.leaves(each)[0])):
            carry, output = function(carry, jax.tree.map(lambda leaf, place=place: leaf[place], each))
            outputs.append(output)
        return carry, jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *outputs)


class Actor(eqx.Module):
    """The policy of one z, for workers (a `mime.sampling.hosted.PolicyOfWorkers`).

    Attributes:
        network: Of the policy.
        latent: The z.
        middle, unit: Of the box of actions.
        greedy: Always act with the mean.
    """

    network: Perceptron
    latent: Float[Array, "*tasks latent"]
    middle: tuple[float, ...] = eqx.field(static=True)
    unit: tuple[float, ...] = eqx.field(static=True)
    greedy: bool = eqx.field(static=True)

    def draw(self, keys: Any) -> None:
        """Nothing: z is given."""

    def acting(self) -> "Actor":
        """Itself."""
        return self

    def named_parameters(self) -> dict[str, Array]:
        """The network's, and z as `latent`."""
        return naming.named_parameters("policy", self.network) | {"latent": self.latent}

    def in_numpy(self, named: dict[str, np.ndarray]) -> NumpyActor:
        """What a worker acts with."""
        ends = np.array(self.middle, np.float32), np.array(self.unit, np.float32)
        return NumpyActor.named(named, *ends, greedy=self.greedy)
