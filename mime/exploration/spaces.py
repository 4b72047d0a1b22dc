"""What a bonus sees of observations and actions, and running statistics to standardise it by."""

from collections.abc import Sequence

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from mime.envs.environment import Environment
from mime.numerics.statistics import CONSTANT


class Statistics(eqx.Module):
    """Mean and spread of all vectors seen so far; the identity transformation before the first."""

    count: Float[Array, ""]
    mean: Float[Array, "features"]
    sum_of_squares: Float[Array, "features"]
    """Squared deviations from the mean, summed."""

    @classmethod
    def empty(cls, size: int) -> "Statistics":
        """Statistics of no vectors of `size` numbers."""
        return cls(count=jnp.zeros(()), mean=jnp.zeros(size), sum_of_squares=jnp.zeros(size))

    def including(self, vectors: Float[Array, "*batch features"], valid: Bool[Array, "*batch"]) -> "Statistics":
        """Statistics after the valid vectors, by the parallel update of Chan et al. (1983)."""
        weights = valid.reshape(-1, 1)
        vectors = jnp.where(weights, vectors.reshape(-1, vectors.shape[-1]), 0)
        count = jnp.sum(weights)
        mean = jnp.sum(vectors, axis=0) / jnp.maximum(count, 1)
        # A float32 sum of thousands of numbers is exact to 1e-5 only; the mean of what is left makes up for that.
        mean += jnp.sum(jnp.where(weights, vectors - mean, 0), axis=0) / jnp.maximum(count, 1)
        total = self.count + count
        difference = mean - self.mean
        return Statistics(
            count=total,
            mean=self.mean + difference * count / jnp.maximum(total, 1),
            sum_of_squares=self.sum_of_squares
            + jnp.sum(jnp.where(weights, vectors - mean, 0) ** 2, axis=0)
            + difference**2 * self.count * count / jnp.maximum(total, 1),
        )

    def standardise(self, vectors: Float[Array, "*batch features"]) -> Float[Array, "*batch features"]:
        """Subtract the mean and divide by the standard deviation; constant features are only shifted."""
        variance = self.sum_of_squares / jnp.maximum(self.count, 1)
        # Written so that NaN is not constant.
        constant = variance <= (CONSTANT * self.mean) ** 2
        return (vectors - self.mean) / jnp.sqrt(jnp.where(constant, 1, variance))


def modelled_size(environment: Environment) -> int:
    """Numbers in an observation that vary, and so are worth modelling."""
    return count_of(environment, environment.varying)


def places_of(environment: Environment) -> Sequence[int] | None:
    """The observation's dimensions that say where one is: those that are named, or else all that vary; None for all."""
    return environment.varying if environment.places is None else environment.places


def count_of(environment: Environment, dimensions: Sequence[int] | None) -> int:
    """How many numbers of an observation those dimensions are; None for all."""
    return environment.observation_space.shape[0] if dimensions is None else len(dimensions)


def action_size(space: gymnasium.Space) -> int:
    """Numbers that describe an action of a Box or, one-hot, of a Discrete space."""
    return int(space.n) if isinstance(space, gymnasium.spaces.Discrete) else space.shape[0]


def action_numbers(space: gymnasium.Space, actions: Shaped[Array, "..."]) -> Float[Array, "*batch action"]:
    """The actions as numbers: those of a Discrete space one-hot."""
    discrete = isinstance(space, gymnasium.spaces.Discrete)
    return jax.nn.one_hot(actions, action_size(space)) if discrete else actions


def dimensions(
    observations: Float[Array, "*batch observation"], varying: Sequence[int] | None
) -> Float[Array, "*batch counting"]:
    """The observations' dimensions that count; None for all."""
    return observations if varying is None else observations[..., jnp.array(varying)]
