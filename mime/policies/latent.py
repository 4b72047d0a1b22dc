"""Policies that hold a latent for an episode, drawn from a distribution that adapts."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from mime.envs.environment import ActionUnits
from mime.numerics.statistics import standardise
from mime.policies.distributions import Categorical, Gaussian, Joint
from mime.policies.draws import Draws, Independent
from mime.policies.feedforward import MIN_LOG_STD, CategoricalPolicy, GaussianPolicy, sized
from mime.policies.policy import Behaviour, Policy

LARGEST_RATE = 0.95
INDEPENDENT = Independent()


class LatentPolicy(Policy):
    """A policy that sees, besides the observation, a latent that is drawn once for a trajectory and held.

    Noise that is consistent over a trajectory explores further than noise that is drawn anew in every step, and an
    inner step on the latent's distribution turns whole trajectories.

    Args:
        policy: Whose inputs are observations and latent, concatenated.
        latent_size: Numbers in the latent. Its distribution starts as N(0, I).
        draws: How the latents of a task's trajectories are drawn.

    References:
        Gupta et al. 2018, MAESN, arXiv 1802.07245. Here the latent's distribution before adaptation is shared by all
        tasks, as the policy's other parameters are.
    """

    policy: GaussianPolicy | CategoricalPolicy
    latent_mean: Float[Array, "latent"]
    latent_log_std: Float[Array, "latent"]
    draws: Draws = eqx.field(static=True)

    def __init__(self, policy: GaussianPolicy | CategoricalPolicy, latent_size: int, draws: Draws = INDEPENDENT):
        self.policy, self.draws = policy, draws
        self.latent_mean, self.latent_log_std = jnp.zeros(latent_size), jnp.zeros(latent_size)

    def __call__(
        self, observation: Float[Array | np.ndarray, "observation"], latent: Float[Array, "latent"] | None = None
    ) -> Gaussian | Categorical:
        """The distribution of the action in one state, given the latent; its mean by default."""
        latent = self.latent_mean if latent is None else latent
        size = self.policy.input_size - len(self.latent_mean)
        return self.policy(jnp.concatenate([sized(observation, size), latent]))

    @property
    def nonlinearity(self) -> str:
        """Between the layers of its network."""
        return self.policy.nonlinearity

    @property
    def latent(self) -> Gaussian:
        """The latent's distribution."""
        return Gaussian(self.latent_mean, jnp.maximum(self.latent_log_std, MIN_LOG_STD))

    def draw(self, keys: Key[Array, "trajectories"]) -> Float[Array, "trajectories latent"]:
        """A latent for each trajectory."""
        latent = self.latent
        return latent.mean + jnp.exp(latent.log_std) * self.draws(keys, latent.mean.size)

    def given(self, latent: Float[Array, "latent"]) -> Behaviour:
        """How it acts while it holds the latent."""
        return lambda observation: self(observation, latent)

    def distributions(
        self,
        observations: Float[Array, "trajectories steps observation"],
        latents: Float[Array, "trajectories steps latent"],
    ) -> Joint:
        """Of the action at every step of one task's episodes, and of the latent at the first one."""
        actions = jax.vmap(jax.vmap(self))(observations, latents)
        latent = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, latents.shape), self.latent)
        return Joint(actions, latent, drawn=jnp.zeros(observations.shape[:-1]).at[:, 0].set(1))

    def rates(self, fast_lr: float, latent_rate: float) -> "LatentPolicy":
        """`fast_lr` for the network's parameters, and `latent_rate` for the latent: one rate moves both its moments."""
        rates = self.policy.rates(fast_lr), jnp.full_like(self.latent_mean, latent_rate), None
        return eqx.tree_at(lambda p: (p.policy, p.latent_mean, p.latent_log_std), self, rates)

    def step(
        self,
        gradient: "LatentPolicy",
        rates: "LatentPolicy",
        latents: Float[Array, "trajectories steps latent"],
        advantages: Float[Array, "trajectories steps"],
    ) -> "LatentPolicy":
        """The network after a step down its gradient, the latent's distribution after one of its own, `adapt_latent`.

        The latter is no gradient step, and the meta-gradient always goes through it, `first-order` or not.
        """
        network = self.policy.step(gradient.policy, rates.policy, None, advantages)
        latent = adapt_latent(self.latent, latents[:, 0], advantages[:, 0], rates.latent_mean)
        parts = network, latent.mean, latent.log_std
        return eqx.tree_at(lambda p: (p.policy, p.latent_mean, p.latent_log_std), self, parts)

    def acting(self) -> "LatentPolicy":
        """With its network as it acts."""
        return eqx.tree_at(lambda p: p.policy, self, self.policy.acting())

    def in_units(self, units: ActionUnits) -> "LatentPolicy":
        """With its network in other units."""
        return eqx.tree_at(lambda p: p.policy, self, self.policy.in_units(units))

    def named_parameters(self) -> dict[str, Array]:
        """Those of the network, latent.mean and latent.log_std."""
        latent = {"latent.mean": self.latent_mean, "latent.log_std": self.latent_log_std}
        return self.policy.named_parameters() | latent

    def with_parameters(self, named: dict[str, Array]) -> "LatentPolicy":
        """The policy with its arrays replaced by those of the same names."""
        parts = self.policy.with_parameters(named), named["latent.mean"], named["latent.log_std"]
        return eqx.tree_at(lambda p: (p.policy, p.latent_mean, p.latent_log_std), self, parts)


def adapt_latent(
    latent: Gaussian,
    drawn: Float[Array, "trajectories latent"],
    advantages: Float[Array, "trajectories"],
    rate: Float[Array, "latent"] | float,
) -> Gaussian:
    """The latent's distribution q after a step towards the trajectories that were better than the others.

    It is the normal distribution with the first two moments of (1 - rate) q + rate * w, where w gives each trajectory
    whose advantage is above their mean a share in proportion to the difference: a natural-gradient step on
    reward-weighted likelihood. One successful trajectory out of many suffices to turn the next ones towards it, where
    a step on the mean of A log q would need a rate that throws q far away once most of them succeed. Where all are
    alike q stays.

    A latent is drawn before anything is observed, so that its baseline is the mean over the trajectories. The fitted
    one's error is the same for all that start alike, and over a long horizon larger than a rare reward is worth there.

    Args:
        latent: The distribution q.
        drawn: Latents of the trajectories.
        advantages: Of their first steps; what they have in common does not matter.
        rate: Between 0 and 0.95; cut to that. What is left keeps the distribution from collapsing onto one trajectory.

    References:
        Peters & Schaal 2007, reward-weighted regression; Rubinstein 1999, the cross-entropy method.
    """
    positive = jnp.maximum(standardise(advantages, jnp.ones_like(advantages, bool)), 0)
    total = jnp.sum(positive)
    shares = positive / jnp.where(total > 0, total, 1)
    rate = jnp.where(total > 0, jnp.clip(rate, 0, LARGEST_RATE), 0)
    better = shares @ drawn
    mean = latent.mean + rate * (better - latent.mean)
    # Variance of the mixture: within its two parts, and between them.
    within = (1 - rate) * jnp.exp(2 * latent.log_std) + rate * (shares @ (drawn - better) ** 2)
    return Gaussian(mean, 0.5 * jnp.log(within + rate * (1 - rate) * (better - latent.mean) ** 2))
