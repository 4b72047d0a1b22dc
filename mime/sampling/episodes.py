"""Episodes: what a policy saw, did and earned, the same whoever collected them."""

from collections.abc import Collection, Sequence
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped

from mime.envs.grid import Grid
from mime.policies.distributions import Decisions
from mime.policies.policy import Policy

INNER_STAGE = "Train-"
FIRST_STAGE, LAST_STAGE = f"{INNER_STAGE}0", "Valid"


class Episodes(eqx.Module):
    """Transitions. The `batch` axes are `trajectories steps` for one task, `tasks trajectories steps` for several.

    Attributes:
        observations: Observation before each step.
        actions: Action as the policy drew it, before any clipping; integers `[*batch]` if discrete.
        rewards: The task's own reward, in its own units.
        next_observations: Observation after each step.
        success: Whether the step solved the task.
        valid: False after an episode's end; such steps count nowhere.
        latents: What the policy drew at the trajectory's first step and held, repeated in every step; None without.
    """

    observations: Float[Array, "*batch observation"]
    actions: Shaped[Array, "..."]
    rewards: Float[Array, "*batch"]
    next_observations: Float[Array, "*batch observation"]
    success: Bool[Array, "*batch"]
    valid: Bool[Array, "*batch"]
    latents: Float[Array, "*batch latent"] | None = None

    @property
    def decisions(self) -> Shaped[Array, "..."] | Decisions:
        """All that the policy decided: the actions, and the latents if it draws any."""
        return self.actions if self.latents is None else Decisions(self.actions, self.latents)

    def returns(self) -> Float[Array, "*tasks trajectories"]:
        """Undiscounted sum of each trajectory's rewards."""
        return jnp.sum(jnp.where(self.valid, self.rewards, 0), axis=-1)

    def solved(self) -> Bool[Array, "*tasks trajectories"]:
        """Whether any step of a trajectory was a success."""
        return jnp.any(self.success & self.valid, axis=-1)

    def finite(self) -> Bool[Array, "*batch"]:
        """Whether all numbers of a step that come from the environment are finite."""
        observed = jnp.isfinite(self.observations) & jnp.isfinite(self.next_observations)
        return jnp.all(observed, axis=-1) & jnp.isfinite(self.rewards)

    def coverage(self, grid: Grid) -> Float[Array, "tasks"]:
        """For each of several tasks, the share of the grid's cells that its trajectories visited together."""
        starts = self.observations[:, :, :1]
        positions = jnp.concatenate([starts, self.next_observations], axis=2)[..., :2]
        valid = jnp.concatenate([self.valid[:, :, :1], self.valid], axis=2)
        return jax.vmap(grid.coverage)(positions, valid)


def outcomes(stages: Sequence[Episodes], grid: Grid | None = None) -> dict[str, Array]:
    """What came of adaptation to a batch of tasks, for the record.

    Args:
        stages: Episodes `[tasks trajectories steps ...]` before each step of adaptation, and after the last one.
        grid: Cells in which exploration is measured, if it is.

    Returns:
        Returns, success and, with a grid, coverage in each stage (`Train-k` after k steps, `Valid` in the last), the
        number of steps, and of steps with numbers that are not finite.
    """
    metrics = {}
    for name, episodes in named_stages(stages).items():
        solved = episodes.solved()
        metrics |= {
            f"{name}/Returns": jnp.mean(episodes.returns()),
            f"{name}/Success": jnp.mean(jnp.any(solved, axis=-1)),
            f"{name}/TrajectorySuccess": jnp.mean(solved),
        }
        if grid is not None:
            metrics[f"{name}/Coverage"] = jnp.mean(episodes.coverage(grid))
    metrics["Steps"] = sum(jnp.sum(episodes.valid) for episodes in stages)
    metrics["NonFinite"] = sum(jnp.sum(~episodes.finite() & episodes.valid) for episodes in stages)
    return metrics


def named_stages(stages: Sequence[Any]) -> dict[str, Any]:
    """The stages of adaptation under the names of their columns: `Train-k` after k steps, `Valid` after the last."""
    return dict(zip(stage_names(len(stages) - 1), stages))


def stage_names(num_steps: int) -> list[str]:
    """The names of the stages before each of so many steps of adaptation, and after the last one."""
    return [*(f"{INNER_STAGE}{step}" for step in range(num_steps)), LAST_STAGE]


def recorded_stages(columns: Collection[str], metric: str) -> list[str]:
    """The names of the stages of a trial, as many as a table's columns have of the metric."""
    *inner, _ = stage_names(len(columns))
    return stage_names(sum(f"{stage}/{metric}" in columns for stage in inner))


@runtime_checkable
class Sampler(Protocol):
    """Collects episodes of many tasks at once, each with a policy of its own."""

    @property
    def compiled(self) -> bool:
        """Whether the call can be traced by JAX, and so be part of a larger compiled program."""
        ...

    @property
    def environment(self) -> Any:
        """Where the episodes take place."""
        ...

    def __call__(self, policies: Policy, tasks: Any, key: PRNGKeyArray) -> Episodes:
        """Episodes `[tasks trajectories steps ...]` of `policies` and `tasks`, both with a leading `tasks` axis."""
        ...

    def trials(self, policies: Any, tasks: Any, key: PRNGKeyArray, *, num_episodes: int) -> Episodes:
        """Trials `[tasks trajectories episodes steps ...]` of recurrent policies with a leading `tasks` axis.

        A policy remembers all episodes of its trial, and nothing of other trials.
        """
        ...

    def close(self) -> None:
        """Release whatever the sampler holds, like processes."""
        ...
