"""The inner loop: a policy-gradient step from shared parameters to a task's own."""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from mime.meta.state import Shared
from mime.numerics.statistics import masked_mean
from mime.policies.distributions import Distribution
from mime.policies.policy import Policy
from mime.sampling.episodes import Episodes


def adapt(
    policy: Policy,
    episodes: Episodes,
    advantages: Float[Array, "trajectories steps"],
    *,
    rates: Policy,
    first_order: bool,
) -> Policy:
    """The policy after one gradient step on one task: theta' = theta - rate * grad of -mean(log pi(a|o) A).

    Args:
        policy: Parameters theta.
        episodes: Of the task, collected by `policy`.
        advantages: Of the episodes' steps.
        rates: Of the step: a tree of the policy's form with a rate in the place of each parameter.
        first_order: Take the gradient at parameters that count as constant when differentiating through the step. It
            still depends on the advantages. A latent's distribution does not follow a gradient and is not affected.

    Returns:
        Parameters theta', differentiable with respect to theta, the rates and the advantages.

    References:
        Finn et al. 2017, MAML, arXiv 1703.03400, algorithm 3; Li et al. 2017, Meta-SGD, arXiv 1707.09835, for rates of
        each parameter.
    """

    def loss(policy: Policy) -> Float[Array, ""]:
        log_probs = distributions(policy, episodes).log_prob(episodes.decisions)
        return -masked_mean(log_probs * advantages, episodes.valid)

    gradient = jax.grad(loss)(jax.lax.stop_gradient(policy) if first_order else policy)
    return policy.step(gradient, rates, episodes.latents, advantages)


def distributions(policy: Policy, episodes: Episodes) -> Distribution:
    """The policy's distribution of its decision at every step of one task's episodes, `[trajectories steps ...]`."""
    return policy.distributions(episodes.observations, episodes.latents)


@runtime_checkable
class Rates(Protocol):
    """Where the rates of the inner step come from."""

    def init(self, policy: Policy) -> Any:
        """What the outer step improves of them, before training."""
        ...

    def of(self, shared: Shared) -> Policy:
        """The rates, one for each of the policy's parameters."""
        ...


@dataclass(frozen=True)
class FixedRates:
    """The same rate for all parameters, and one for the distribution of a latent.

    Attributes:
        fast_lr: Of what follows the gradient.
        latent_rate: Of a latent's distribution.
    """

    fast_lr: float
    latent_rate: float

    def init(self, policy: Policy) -> Any:
        """Nothing to improve."""
        return ()

    def of(self, shared: Shared) -> Policy:
        """The rates as configured."""
        return shared.policy.rates(self.fast_lr, self.latent_rate)


@dataclass(frozen=True)
class LearnedRates(FixedRates):
    """A rate for each parameter, which the outer step improves (Meta-SGD, arXiv 1707.09835)."""

    def init(self, policy: Policy) -> Policy:
        """Where the rates start."""
        return policy.rates(self.fast_lr, self.latent_rate)

    def of(self, shared: Shared) -> Policy:
        """The learned rates; a negative one counts as 0, and stays: its slope is 0 there.

        Left free, some become negative where the training tasks are few: shared parameters and rates then agree on a
        step down the gradient that suits those tasks, and on others every step does harm.
        """
        return jax.tree.map(lambda rate: jnp.maximum(rate, 0), shared.rates)


@dataclass(frozen=True)
class InnerStep:
    """The step from parameters to those of a task.

    Attributes:
        rates: Of the step.
        first_order: See `adapt`.
        decaying: The n-th step has one n-th of the rates, as in stochastic approximation (Robbins and Monro 1951).
    """

    rates: Rates
    first_order: bool
    decaying: bool = False

    def __call__(
        self,
        shared: Shared,
        policy: Policy,
        episodes: Episodes,
        advantages: Float[Array, "trajectories steps"],
        earlier: Int[Array, ""] | int,
    ) -> Policy:
        """The policy after one step on one task, with the shared rates, after so many earlier steps."""
        rates = self.rates.of(shared)
        if self.decaying:
            rates = jax.tree.map(lambda rate: rate / (1 + earlier), rates)
        return adapt(policy, episodes, advantages, rates=rates, first_order=self.first_order)
