"""What a learner holds, and what comes of its trials."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from mime.exploration import mixing
from mime.policies.policy import Policy
from mime.sampling.episodes import Episodes

Steps = Float[Array, "*tasks trajectories steps"]


class Shared(NamedTuple):
    """What the outer step improves.

    Attributes:
        policy: The shared parameters theta.
        rates: Of the inner steps, one for each of the policy's parameters; empty if they are not learned.
    """

    policy: Policy
    rates: Any = ()


class Eta(eqx.Module):
    """The learned weight of the bonus.

    Attributes:
        logit: Of the bonus's share.
        optimiser: State of the rule that it is learned by.
    """

    logit: Float[Array, ""]
    optimiser: optax.OptState = ()


class LearnerState(eqx.Module):
    """Everything that training changes.

    Attributes:
        shared: What the outer step improves.
        bonus: State of the intrinsic reward.
        eta: Its weight.
        iteration: Meta-iterations done.
    """

    shared: Shared
    bonus: Any
    eta: Eta
    iteration: Int[Array, ""]

    @property
    def policy(self) -> Policy:
        """The shared parameters theta."""
        return self.shared.policy


class Mixture(eqx.Module):
    """How the two rewards are mixed in a meta-iteration.

    Attributes:
        logit: Of the bonus's share.
        in_use: False during the warm-up, which has the extrinsic reward alone.
    """

    logit: Float[Array, ""]
    in_use: Bool[Array, ""]

    def __call__(self, extrinsic: Steps, intrinsic: Steps) -> Steps:
        """The mixed rewards."""
        return jnp.where(self.in_use, mixing.mix(extrinsic, intrinsic, self.logit), extrinsic)

    @property
    def intrinsic_weight(self) -> Float[Array, ""]:
        """Weight of the bonus: 0 during the warm-up."""
        return jnp.where(self.in_use, mixing.intrinsic_weight(self.logit), 0)


class Agent(eqx.Module):
    """What adapts to a task: the policy, and the model behind its intrinsic reward."""

    policy: Policy
    bonus: Any


class Experience(eqx.Module):
    """Episodes, and the rewards that learning sees in them.

    Attributes:
        episodes: What happened.
        extrinsic: Rewards normalised over each task's batch, with the method's noise.
        intrinsic: Bonus in its own units; zeros without one.
    """

    episodes: Episodes
    extrinsic: Steps
    intrinsic: Steps

    def intrinsic_return(self) -> Float[Array, ""]:
        """Sum of the bonus over an episode's steps, averaged over trajectories and tasks."""
        return jnp.mean(jnp.sum(jnp.where(self.episodes.valid, self.intrinsic, 0), axis=-1))


class Trial(NamedTuple):
    """A batch of tasks adapted to: experience before each inner step and after the last one, and how it is rewarded."""

    inner: list[Experience]
    after: Experience
    mixture: Mixture


def some_trajectories(trial: Trial, number: int) -> Trial:
    """The trial with only so many trajectories of each task in each stage."""
    total = trial.after.extrinsic.shape[1]
    # Evenly among all: latents that were drawn together are in the order of their angles.
    chosen = jnp.arange(min(number, total)) * total // min(number, total)
    inner, after = jax.tree.map(lambda leaf: leaf[:, chosen], (trial.inner, trial.after))
    return trial._replace(inner=inner, after=after)
