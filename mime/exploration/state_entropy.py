"""State entropy: reward for being where a task's other states are sparse."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from mime.exploration.bonus import Metrics
from mime.exploration.spaces import dimensions
from mime.sampling.episodes import Episodes


@dataclass(frozen=True, eq=False)
class StateEntropy:
    """The bonus: distance to the 3rd nearest of 256 states of the task's batch, with nothing to learn.

    In d > 1 dimensions the distance falls with the density of states as density^(-1/d), so that its mean over the
    states of a policy estimates the integral of density^(1 - 1/d). That grows with their Rényi entropy of order
    1 - 1/d: it is greatest for trajectories that spread evenly. The logarithm of the distance, for Shannon's entropy,
    gives less to the few who come where nobody else does. Coordinates are measured in their standard deviations over
    the task's batch.

    Attributes:
        places: The observation's dimensions that count; None for all.

    References:
        Leonenko et al. 2008, Annals of Statistics 36(5), for the estimate; Seo et al. 2021, RE3, arXiv 2102.09430, and
        Liu & Abbeel 2021, APT, arXiv 2103.04551, for the bonus, there with logarithms and features of images.
    """

    places: Sequence[int] | None = None
    num_samples: ClassVar[int] = 256
    neighbour: ClassVar[int] = 3

    def init(self, *, key: PRNGKeyArray) -> tuple[()]:
        """Nothing."""
        return ()

    def rewards(self, state: tuple[()], episodes: Episodes, *, key: PRNGKeyArray) -> Float[Array, "trajectories steps"]:
        """Each step's distance, where it arrives, to the 3rd nearest sample."""
        arrived = dimensions(episodes.next_observations, self.places)
        points, valid = arrived.reshape(-1, arrived.shape[-1]), episodes.valid.reshape(-1)
        distances = distances_to_neighbour(points, valid, self.num_samples, self.neighbour, key=key)
        return distances.reshape(episodes.rewards.shape)

    def adapt(self, state: tuple[()], episodes: Episodes, *, key: PRNGKeyArray) -> tuple[()]:
        """Nothing."""
        return state

    def update(
        self,
        state: tuple[()],
        inner: Sequence[Episodes],
        after: Episodes,
        *,
        iteration: Int[Array, ""],
        key: PRNGKeyArray,
    ) -> tuple[tuple[()], Metrics]:
        """Nothing."""
        return state, {}

    def tensors(self, state: tuple[()]) -> dict[str, Array]:
        """None."""
        return {}

    def with_tensors(self, state: tuple[()], named: dict[str, Array]) -> tuple[()]:
        """Nothing."""
        return state


def distances_to_neighbour(
    points: Float[Array, "points coordinates"],
    valid: Bool[Array, "points"],
    num_samples: int,
    neighbour: int,
    *,
    key: PRNGKeyArray,
) -> Float[Array, "points"]:
    """Each point's distance to the n-th nearest of as many samples of the valid points, drawn with replacement.

    Coordinates are measured in standard deviations of the samples; those that do not vary do not count.
    """
    samples = points[jax.random.choice(key, len(points), (num_samples,), p=valid / jnp.sum(valid))]
    spread = jnp.std(samples, axis=0)
    scale = jnp.where(spread > 0, 1 / jnp.where(spread > 0, spread, 1), 0)

    scaled, samples = (points * scale).T, samples * scale

    def insert(nearest: Float[Array, "neighbours points"], sample: Float[Array, "coordinates"]):
        # Sorted insertion, all points of a coordinate in a row: a hundred times faster than `top_k` on a processor.
        distance = sum((row - coordinate) ** 2 for row, coordinate in zip(scaled, sample))
        smaller = jnp.concatenate([jnp.zeros_like(distance)[None], nearest[:-1]])
        return jnp.minimum(nearest, jnp.maximum(smaller, distance)), None

    nearest = jax.lax.scan(insert, jnp.full((neighbour, len(points)), jnp.inf), samples)[0]
    return jnp.sqrt(nearest[-1])
