"""Episodes: what a policy lived through, the same whoever collected it."""

from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped

from mime.policies import Policy


class Episodes(eqx.Module):
    """Transitions. The `batch` axes are `trajectories steps` for one task, `tasks trajectories steps` for several.

    Attributes:
        observations: Observation before each step.
        actions: Action as the policy drew it, before any clipping; integers `[*batch]` if discrete.
        rewards: The task's own reward, in its own units.
        next_observations: Observation after each step.
        success: Whether the step solved the task.
        valid: False after an episode's end; such steps count nowhere.
    """

    observations: Float[Array, "*batch observation"]
    actions: Shaped[Array, "..."]
    rewards: Float[Array, "*batch"]
    next_observations: Float[Array, "*batch observation"]
    success: Bool[Array, "*batch"]
    valid: Bool[Array, "*batch"]

    def returns(self) -> Float[Array, "*tasks trajectories"]:
        """Undiscounted sum of each trajectory's rewards."""
        return jnp.sum(jnp.where(self.valid, self.rewards, 0), axis=-1)

    def solved(self) -> Bool[Array, "*tasks trajectories"]:
        """Whether any step of a trajectory was a success."""
        return jnp.any(self.success & self.valid, axis=-1)


@runtime_checkable
class Sampler(Protocol):
    """Collects episodes of many tasks at once, each with a policy of its own."""

    compiled: bool
    """Whether the call can be traced by JAX, and so be part of a larger compiled program."""

    def __call__(self, policies: Policy, tasks: Any, key: PRNGKeyArray) -> Episodes:
        """Episodes `[tasks trajectories steps ...]` of `policies` and `tasks`, both with a leading `tasks` axis."""
        ...

    def close(self) -> None:
        """Release whatever the sampler holds, like processes."""
        ...
