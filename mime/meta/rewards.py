"""What the policy is rewarded for, and what its decisions are worth by it."""

from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import jax
from jaxtyping import PRNGKeyArray

from mime.baseline import advantages
from mime.meta.state import Experience, Mixture, Steps
from mime.numerics.parallel import over_tasks
from mime.numerics.statistics import standardise
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
    """The task's rewards, standardised over each task's batch (MAML)."""

    def extrinsic(self, episodes: Episodes, key: PRNGKeyArray) -> Steps:
        """Of zero mean and unit variance; zeros where they are constant."""
        return over_tasks(standardise)(episodes.rewards, episodes.valid)

    def __call__(self, experience: Experience, mixture: Mixture) -> Steps:
        """The recorded standardised rewards, without a bonus."""
        return experience.extrinsic


@dataclass(frozen=True)
class Noisy(Extrinsic):
    """The same with Gaussian noise (MAML+noise).

    Attributes:
        std: Standard deviation of the noise.
    """

    std: float

    def extrinsic(self, episodes: Episodes, key: PRNGKeyArray) -> Steps:
        """Standardised first, so that the noise is in units of their standard deviation."""
        standardised = super().extrinsic(episodes, key)
        return standardised + self.std * jax.random.normal(key, standardised.shape)


@dataclass(frozen=True)
class Mixed:
    """The task's rewards mixed with the bonus, which is standardised over each task's batch too (MAML+expl, MIME).

    Attributes:
        of: What the bonus is mixed with.
    """

    of: Extrinsic

    def extrinsic(self, episodes: Episodes, key: PRNGKeyArray) -> Steps:
        """As without a bonus."""
        return self.of.extrinsic(episodes, key)

    def __call__(self, experience: Experience, mixture: Mixture) -> Steps:
        """Both, by their weights in the mixture."""
        return mixture(experience.extrinsic, standardised_bonus(experience))


def standardised_bonus(experience: Experience) -> Steps:
    """The bonus with zero mean and unit variance over each task's batch."""
    return over_tasks(standardise)(experience.intrinsic, experience.episodes.valid)


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
