"""How the latents of a task's trajectories are drawn: standard normal numbers, alone or together."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from scipy.stats import qmc

LATENT, SHIFT = 2, 3  # Streams of a trajectory's key; the episode's own are its two halves.
SCRAMBLING = 0  # Seed of the one scrambled point set, whose shift is what is random.


@runtime_checkable
class Draws(Protocol):
    """Draws the latents of one task's trajectories."""

    def __call__(self, keys: Key[Array, "trajectories"], size: int) -> Float[Array, "trajectories latent"]:
        """Numbers, each of which is standard normal."""
        ...


@dataclass(frozen=True)
class Independent:
    """Each trajectory's by itself."""

    def __call__(self, keys: Key[Array, "trajectories"], size: int) -> Float[Array, "trajectories latent"]:
        """Independent standard normal numbers."""
        return jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, LATENT), (size,)))(keys)


@dataclass(frozen=True)
class Together:
    """All of a task's trajectories at once, so that they do not clump: each keeps its distribution.

    Scrambled Sobol points in the unit cube, all shifted by one random vector (modulo 1), through the normal
    distribution's quantile function. A shifted point is uniform, so that every trajectory's latent is standard normal
    and likelihood ratios and gradients keep their form; only the trajectories of a task are not independent.

    References:
        Cranley & Patterson 1976, SIAM Journal on Numerical Analysis 13(6), for the shift; Owen 1998, Journal of
        Complexity 14(4), for the scrambling.
    """

    def __call__(self, keys: Key[Array, "trajectories"], size: int) -> Float[Array, "trajectories latent"]:
        """Standard normal numbers that are spread evenly over the trajectories."""
        points = jnp.asarray(sobol_points(len(keys), size), jnp.float32)
        shift = jax.random.uniform(jax.random.fold_in(keys[0], SHIFT), (size,))
        tiny = 1e-6  # The quantiles of 0 and 1 are infinite.
        return jax.scipy.special.ndtri(jnp.clip((points + shift) % 1, tiny, 1 - tiny))


def sobol_points(number: int, size: int) -> Float[np.ndarray, "number size"]:
    """The first points of one scrambled Sobol sequence, in the unit cube."""
    # A power of two at once: fewer would be no worse, but SciPy warns.
    sampler = qmc.Sobol(size, scramble=True, rng=np.random.default_rng(SCRAMBLING))
    return sampler.random_base2(int(np.ceil(np.log2(max(number, 2)))))[:number]
