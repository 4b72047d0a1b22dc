"""Distributions of what a policy decides: actions, and the latent of a trajectory."""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped


class Gaussian(eqx.Module):
    """A normal distribution with independent coordinates."""

    mean: Float[Array, "*batch action"]
    log_std: Float[Array, "*batch action"]

    def sample(self, *, key: PRNGKeyArray) -> Float[Array, "*batch action"]:
        """One action, unclipped."""
        return self.mean + jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape)

    def log_prob(self, action: Float[Array, "*batch action"]) -> Float[Array, "*batch"]:
        """Logarithm of the density at `action`."""
        standardised = (action - self.mean) * jnp.exp(-self.log_std)
        return -jnp.sum(0.5 * standardised**2 + self.log_std + 0.5 * math.log(2 * math.pi), axis=-1)

    def kl(self, other: "Gaussian") -> Float[Array, "*batch"]:
        """Kullback-Leibler divergence KL(self || other), in nats."""
        log_ratio = self.log_std - other.log_std
        distance = (self.mean - other.mean) * jnp.exp(-other.log_std)
        return jnp.sum(0.5 * (jnp.exp(2 * log_ratio) + distance**2 - 1) - log_ratio, axis=-1)

    def entropy(self) -> Float[Array, "*batch"]:
        """Differential entropy, in nats."""
        return jnp.sum(self.log_std + 0.5 * math.log(2 * math.pi * math.e), axis=-1)


class Categorical(eqx.Module):
    """A distribution over discrete actions.

    Attributes:
        logits: Of each.
        start: The first action's number.
    """

    logits: Float[Array, "*batch choices"]
    start: int = eqx.field(static=True, default=0)

    def sample(self, *, key: PRNGKeyArray) -> Int[Array, "*batch"]:
        """One action."""
        return self.start + jax.random.categorical(key, self.logits)

    def log_prob(self, action: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Logarithm of the probability of `action`."""
        log_probabilities = jax.nn.log_softmax(self.logits)
        return jnp.take_along_axis(log_probabilities, action[..., None] - self.start, axis=-1)[..., 0]

    def kl(self, other: "Categorical") -> Float[Array, "*batch"]:
        """Kullback-Leibler divergence KL(self || other), in nats."""
        ours, theirs = jax.nn.log_softmax(self.logits), jax.nn.log_softmax(other.logits)
        return jnp.sum(jnp.exp(ours) * (ours - theirs), axis=-1)

    def entropy(self) -> Float[Array, "*batch"]:
        """Entropy, in nats."""
        log_probabilities = jax.nn.log_softmax(self.logits)
        return -jnp.sum(jnp.exp(log_probabilities) * log_probabilities, axis=-1)


class Decisions(NamedTuple):
    """What a policy with a latent decided at every step: the action, and the latent that its trajectory holds."""

    actions: Shaped[Array, "..."]
    latents: Float[Array, "*batch latent"]


class Joint(eqx.Module):
    """Of the actions, and of the latent that was drawn at the trajectory's first step.

    Attributes:
        action: Gaussian or categorical, given the latent.
        latent: Of the latent.
        drawn: 1 where the latent was drawn, at first steps, and 0 elsewhere.
    """

    action: Any
    latent: Gaussian
    drawn: Float[Array, "*batch"]

    def log_prob(self, decisions: Decisions) -> Float[Array, "*batch"]:
        """Logarithm of the density; summed over a trajectory's steps, that of all its decisions."""
        return self.action.log_prob(decisions.actions) + self.drawn * self.latent.log_prob(decisions.latents)

    def kl(self, other: "Joint") -> Float[Array, "*batch"]:
        """Kullback-Leibler divergence KL(self || other), in nats."""
        return self.action.kl(other.action) + self.drawn * self.latent.kl(other.latent)


Distribution = Gaussian | Categorical | Joint
