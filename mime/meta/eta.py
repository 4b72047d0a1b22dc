"""The weight between the task's reward and the bonus, and how it is meta-learned.

The share s of the bonus lies between 0 and 1; what is learned is its logit.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from mime.meta.objectives import weighted_by_ratio
from mime.meta.rewards import Gae
from mime.meta.state import Eta, Experience, Steps, Trial
from mime.numerics.finite import select
from mime.numerics.statistics import above_least
from mime.policies.distributions import Distribution

Metrics = dict[str, Array]
Logit = Float[Array, ""]
Adapted = Callable[[Logit], Distribution]
"""Distributions of the adapted policies at the later episodes, as a function of the logit through the inner steps."""

LARGEST_CHANGE = 0.3
ENOUGH_FOUND = 0.75
# Beyond these the weight hardly changes, and a logit that went on would take at least as long to come back.
LARGEST_FOUND_LOGIT = 5.0


@runtime_checkable
class EtaRule(Protocol):
    """How the weight changes from one meta-iteration to the next."""

    def init(self) -> Eta:
        """The weight before training."""
        ...

    def update(self, eta: Eta, trial: Trial, adapted: Adapted) -> tuple[Eta, Metrics]:
        """The weight after a trial, and metrics to record."""
        ...


@dataclass(frozen=True)
class Fixed:
    """The weight stays (MAML+expl).

    Attributes:
        share: Of the bonus.
    """

    share: float

    def init(self) -> Eta:
        """The given share."""
        return Eta(logit_of(self.share))

    def update(self, eta: Eta, trial: Trial, adapted: Adapted) -> tuple[Eta, Metrics]:
        """No change."""
        return eta, {}


@dataclass(frozen=True)
class MetaGradient:
    """Descent on the extrinsic loss after adaptation, whose gradient goes through the inner steps (MIME).

    Attributes:
        share: Of the bonus, at first.
        optimiser: Of the logit.
        worth: What a step after adaptation is worth: its reward, as in the paper, or its advantage, unbiased.
    """

    share: float
    optimiser: optax.GradientTransformation
    worth: Callable[[Experience], Steps]

    def init(self) -> Eta:
        """The given share."""
        logit = logit_of(self.share)
        return Eta(logit, self.optimiser.init(logit))

    def update(self, eta: Eta, trial: Trial, adapted: Adapted) -> tuple[Eta, Metrics]:
        """A step down the gradient."""
        return step(eta, jax.grad(self.loss)(eta.logit, trial, adapted), self.optimiser)

    def loss(self, logit: Logit, trial: Trial, adapted: Adapted) -> Float[Array, ""]:
        """-mean(ratio * worth) after adaptation. The ratio is 1 in value; its gradient is the score function's."""
        after = adapted(logit)
        behaviour = jax.lax.stop_gradient(after)
        return -jnp.mean(weighted_by_ratio(after, behaviour, trial.after.episodes, self.worth(trial.after)))


@dataclass(frozen=True)
class TargetFound:
    """The weight grows while too few tasks' rewards are found before adaptation, and shrinks while more are.

    Attributes:
        share: Of the bonus, at first.
        rate: The logit changes by this times (0.75 - share of tasks found).
    """

    share: float
    rate: float

    def init(self) -> Eta:
        """The given share."""
        logit = logit_of(self.share)
        return Eta(logit, towards_target(self.rate).init(logit))

    def update(self, eta: Eta, trial: Trial, adapted: Adapted) -> tuple[Eta, Metrics]:
        """A step towards the target; none during the warm-up, when the bonus is not in use."""
        first = trial.inner[0].episodes
        excess = jnp.where(trial.mixture.in_use, excess_found(first.rewards, first.valid), 0)
        return step(eta, excess, towards_target(self.rate))


def rewards_of(experience: Experience) -> Steps:
    """The normalised extrinsic rewards."""
    return experience.extrinsic


def advantages_by(gae: Gae) -> Callable[[Experience], Steps]:
    """The advantages of the extrinsic rewards."""
    return lambda experience: gae(experience, experience.extrinsic)


def step(eta: Eta, gradient: Logit, optimiser: optax.GradientTransformation) -> tuple[Eta, Metrics]:
    """The weight after a step of the logit down its gradient; it stays where that is not finite."""
    change, state = optimiser.update(gradient, eta.optimiser, eta.logit)
    finite = jnp.isfinite(gradient) & jnp.isfinite(eta.logit + change)
    new = select(finite, Eta(eta.logit + change, state), eta)
    return new, {"EtaGradient": gradient, "EtaClipped": jnp.abs(change) >= LARGEST_CHANGE}


def clipped(rate: float) -> optax.GradientTransformation:
    """The paper's rule: a descent step relative to the share s, at most 0.3 long.

    It depends on the gradient's scale, which differs between experiments.
    """

    def change(gradient, logit):
        return -jnp.clip(rate * gradient / jax.nn.sigmoid(logit), -LARGEST_CHANGE, LARGEST_CHANGE)

    return optax.stateless(change)


def towards_target(rate: float) -> optax.GradientTransformation:
    """Plain descent on `excess_found`, between logits of -5 and 5."""

    def change(excess, logit):
        return jnp.clip(logit - rate * excess, -LARGEST_FOUND_LOGIT, LARGEST_FOUND_LOGIT) - logit

    return optax.stateless(change)


def excess_found(
    rewards: Float[Array, "tasks trajectories steps"], valid: Bool[Array, "tasks trajectories steps"]
) -> Float[Array, ""]:
    """By how much the share of tasks whose rewards were found is above three quarters.

    A task's are found if they differ between any two of its valid steps: there is something to adapt to. Descent on
    this adapts the weight of the bonus in the manner of SAC's temperature, with a target for what exploration is there
    for: that three quarters of the tasks' rewards are found. It is meant for sparse rewards; dense ones are always
    found. The logit rises up to three times as fast as it falls.

    Args:
        rewards: Of the tasks before adaptation.
        valid: Steps that count.

    References:
        Haarnoja et al. 2018, arXiv 1812.05905, section 5, for the temperature, whose target is the entropy itself.
    """
    found = jax.vmap(above_least)(rewards, valid)
    return jnp.mean(jnp.any(found, axis=(1, 2))) - ENOUGH_FOUND


def logit_of(share: float) -> Logit:
    """The logit of a share between 0 and 1."""
    return jnp.asarray(math.log(share / (1 - share)), jnp.float32)
