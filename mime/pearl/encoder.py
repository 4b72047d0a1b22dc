"""The context encoder: what a task's transitions say about the task."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mime.pearl.networks import Perceptron
from mime.pearl.replay import Transitions

MIN_VARIANCE = 1e-7


class Evidence(eqx.Module):
    """A product of Gaussian factors over z, in its natural parameters: evidence of more transitions is a sum.

    Attributes:
        precision: Sum of the factors' inverse variances.
        weighted_mean: Sum of the factors' means, each divided by its variance.
    """

    precision: Float[Array, "*batch latent"]
    weighted_mean: Float[Array, "*batch latent"]

    def __add__(self, other: "Evidence") -> "Evidence":
        """The evidence of both."""
        return jax.tree.map(jnp.add, self, other)

    def posterior(self) -> "Posterior":
        """The normalised product of the factors; the prior N(0, I) where there are none.

        References:
            Rakelly et al. 2019, PEARL, arXiv 1903.08254, section 4.1: the prior is no factor of the posterior.
        """
        none = self.precision == 0
        variance = 1 / jnp.where(none, 1, self.precision)
        return Posterior(mean=variance * self.weighted_mean, variance=variance)


class Posterior(eqx.Module):
    """A normal distribution of z with independent coordinates."""

    mean: Float[Array, "*batch latent"]
    variance: Float[Array, "*batch latent"]

    def sample(self, *, key: PRNGKeyArray) -> Float[Array, "*batch latent"]:
        """One z, differentiable with respect to mean and variance."""
        return self.mean + jnp.sqrt(self.variance) * jax.random.normal(key, self.mean.shape)

    def kl_from_prior(self) -> Float[Array, "*batch"]:
        """Kullback-Leibler divergence KL(self || N(0, I)), in nats."""
        return 0.5 * jnp.sum(self.variance + self.mean**2 - 1 - jnp.log(self.variance), axis=-1)


class Encoder(eqx.Module):
    """A network from a transition (o, a, r[, o']) to a Gaussian factor of the posterior over z.

    Args:
        observation_size: Numbers in an observation.
        action_size: Numbers in an action.
        latent_size: Numbers in z.
        width: Of each hidden layer.
        next_observations: Let the network see o'.
        key: For the initial weights.
    """

    network: Perceptron
    latent_size: int = eqx.field(static=True)
    next_observations: bool = eqx.field(static=True)

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        *,
        latent_size: int,
        width: int,
        next_observations: bool,
        key: PRNGKeyArray,
    ):
        inputs = observation_size * (2 if next_observations else 1) + action_size + 1
        self.network = Perceptron(inputs, 2 * latent_size, width=width, key=key)
        self.latent_size, self.next_observations = latent_size, next_observations

    def __call__(self, context: Transitions, valid: Bool[Array, "batch"]) -> Evidence:
        """The evidence of one task's transitions, in whatever order they are.

        Args:
            context: Transitions `[batch ...]`.
            valid: Which of them count.
        """
        parts = [context.observations, context.actions, context.rewards[:, None]]
        if self.next_observations:
            parts.append(context.next_observations)
        means, raw = jnp.split(jax.vmap(self.network)(*parts), 2, axis=-1)
        precisions = valid[:, None] / jnp.maximum(jax.nn.softplus(raw), MIN_VARIANCE)
        return Evidence(jnp.sum(precisions, axis=0), jnp.sum(means * precisions, axis=0))

    def no_evidence(self) -> Evidence:
        """The evidence of no transition."""
        nothing = jnp.zeros(self.latent_size)
        return Evidence(nothing, nothing)
