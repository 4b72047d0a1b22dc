"""What the policy is rewarded for, and what its decisions are worth by it."""

from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mime.baseline import advantages
from mime.meta.state import Experience, Mixture, Steps
from mime.numerics.parallel import over_tasks
from mime.numerics.statistics import binary_scale, masked_mean, standardise
from mime.sampling.episodes import Episodes


@runtime_checkable
class Reward(Protocol):
    """What the policy learns from, in each step of each task's episodes."""

    def extrinsic(self, episodes: Episodes, key: PRNGKeyArray) -> Steps:
        """The task's own rewards as learning sees them."""
        ...

    def __call__(self, experience: Experience, mixture: Mixture) -> Steps:
        """All that is rewarded."""
        ...


@dataclass(frozen=True)
class Extrinsic:
    """The task's rewards, normalised over each task's batch (MAML)."""

    def extrinsic(self, episodes: Episodes, key: PRNGKeyArray) -> Steps:
        """As `normalised` has them."""
        return over_tasks(normalised)(episodes.rewards, episodes.valid)

    def __call__(self, experience: Experience, mixture: Mixture) -> Steps:
        """The recorded normalised rewards, without a bonus."""
        return experience.extrinsic


@dataclass(frozen=True)
class Noisy(Extrinsic):
    """The same with Gaussian noise (MAML+noise).

    Attributes:
        std: Standard deviation of the noise.
    """

    std: float

    def extrinsic(self, episodes: Episodes, key: PRNGKeyArray) -> Steps:
        """Normalised first, so that the noise is as large in every task."""
        rewards = super().extrinsic(episodes, key)
        return rewards + self.std * jax.random.normal(key, rewards.shape)


@dataclass(frozen=True)
class Mixed:
    """The task's rewards mixed with the bonus, which is normalised over each task's batch too (MAML+expl, MIME).

    Attributes:
        of: What the bonus is mixed with.
    """

    of: Extrinsic

    def extrinsic(self, episodes: Episodes, key: PRNGKeyArray) -> Steps:
        """As without a bonus."""
        return self.of.extrinsic(episodes, key)

    def __call__(self, experience: Experience, mixture: Mixture) -> Steps:
        """Both, by their weights in the mixture."""
        return mixture(experience.extrinsic, normalised_bonus(experience))


def normalised_bonus(experience: Experience) -> Steps:
    """The bonus, normalised over each task's batch."""
    return over_tasks(normalised)(experience.intrinsic, experience.episodes.valid)


def normalised(
    rewards: Float[Array, "trajectories steps"], valid: Bool[Array, "trajectories steps"]
) -> Float[Array, "trajectories steps"]:
    """A task's rewards in a unit in which two kinds can be mixed, 0 after the end of an episode.

    Zero mean and unit variance where no episode ends early; zeros if they are constant. Where one does, unit mean
    square, and no shift: ending would become worse wherever the rewards are above their mean. A robot paid minus its
    distance, whose episode ends at the goal, would then do better to hover beside the goal.
    """
    unshifted = jnp.where(valid, rewards, 0)
    unshifted = unshifted / binary_scale(unshifted)
    size = jnp.sqrt(masked_mean(unshifted**2, valid))
    unshifted = unshifted / jnp.where(size == 0, 1, size)
    return jnp.where(jnp.all(valid), standardise(rewards, valid), unshifted)


@dataclass(frozen=True)
class Gae:
    """Generalised advantage estimation over the batch of each task, with a baseline fitted to it.

    Attributes:
        gamma: Discount.
        gae_lambda: Decay.
    """

    gamma: float
    gae_lambda: float

    def __call__(self, experience: Experience, rewards: Steps) -> Steps:
        """Normalised advantages of the experience's steps when they are rewarded so."""
        of_a_task = partial(advantages, gamma=self.gamma, gae_lambda=self.gae_lambda)
        return over_tasks(of_a_task)(experience.episodes, rewards)
