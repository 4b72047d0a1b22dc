"""What a learner holds, and what its agents live through."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import optax
from jaxtyping import Array, Float, Int

from mime.policies.networks import Policy
from mime.sampling.episodes import Episodes

Steps = Float[Array, "*tasks trajectories steps"]


class Shared(NamedTuple):
    """What the outer step improves.

    Attributes:
        policy: The shared parameters theta.
        fast_lr: Rates of the inner steps, one for each of the policy's parameters; None if they are not learned.
    """

    policy: Policy
    fast_lr: Policy | None = None


class LearnerState(eqx.Module):
    """Everything that training changes.

    Attributes:
        shared: What the outer step improves.
        bonus: State of the intrinsic reward; None without one.
        eta: Logit of the intrinsic reward's weight.
        eta_optimiser: State of the rule that it is learned by.
        iteration: Meta-iterations done.
    """

    shared: Shared
    bonus: Any
    eta: Float[Array, ""]
    eta_optimiser: optax.OptState
    iteration: Int[Array, ""]

    @property
    def policy(self) -> Policy:
        """The shared parameters theta."""
        return self.shared.policy


class Agent(eqx.Module):
    """What adapts to a task: the policy, and the model behind its intrinsic reward."""

    policy: Policy
    bonus: Any


class Experience(eqx.Module):
    """Episodes, and the rewards that learning sees in them.

    Attributes:
        episodes: What happened.
        extrinsic: Rewards standardised over each task's batch, with the method's noise.
        intrinsic: Bonus in its own units; zeros without one.
    """

    episodes: Episodes
    extrinsic: Steps
    intrinsic: Steps


class Trial(NamedTuple):
    """All that a batch of tasks went through: experience before each inner step, and after the last one."""

    inner: list[Experience]
    after: Experience


def first_trajectories(trial: Trial, number: int) -> Trial:
    """The trial with only so many trajectories of each task in each stage."""
    return jax.tree.map(lambda leaf: leaf[:, :number], trial)
