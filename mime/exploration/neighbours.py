"""Distances between states, in units that do not depend on those of their coordinates."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mime.numerics.statistics import CONSTANT


def drawn(
    points: Float[Array, "points coordinates"], allowed: Bool[Array, "points"], num_samples: int, *, key: PRNGKeyArray
) -> Float[Array, "samples coordinates"]:
    """As many of the allowed points, drawn with replacement."""
    return points[jax.random.choice(key, len(points), (num_samples,), p=allowed / jnp.sum(allowed))]


def units(samples: Float[Array, "samples coordinates"]) -> Float[Array, "coordinates"]:
    """Factors that make each coordinate's standard deviation 1; 0 for those that do not vary, which do not count."""
    spread = jnp.std(samples, axis=0)
    varies = spread > CONSTANT * jnp.abs(jnp.mean(samples, axis=0))
    return jnp.where(varies, 1 / jnp.where(varies, spread, 1), 0)


def distances(
    points: Float[Array, "points coordinates"], samples: Float[Array, "samples coordinates"], neighbour: int
) -> Float[Array, "points"]:
    """Each point's distance to the n-th nearest sample."""
    rows = points.T

    def insert(nearest: Float[Array, "neighbours points"], sample: Float[Array, "coordinates"]):
        # Sorted insertion, all points of a coordinate in a row: a hundred times faster than `top_k` on a processor.
        distance = sum((row - coordinate) ** 2 for row, coordinate in zip(rows, sample))
        smaller = jnp.concatenate([jnp.zeros_like(distance)[None], nearest[:-1]])
        return jnp.minimum(nearest, jnp.maximum(smaller, distance)), None

    nearest = jax.lax.scan(insert, jnp.full((neighbour, len(points)), jnp.inf), samples)[0]
    return jnp.sqrt(nearest[-1])
