"""How the latents of a task's trajectories are drawn: standard normal numbers, alone or together."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

LATENT, SHIFT = 2, 3  # Streams folded into a trajectory's key; a rollout splits the key itself in two.
SCRAMBLING = 0  # Seed of the one scrambled point set, whose shift is what is random.
TINY = 2.0**-24  # The quantiles of 0 and 1 are infinite.


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

    Points that fill the unit cube evenly are shifted by one random vector (modulo 1), and two coordinates at a time
    turned into two normal numbers, an angle and a distance from zero. A shifted point is uniform, so that every
    trajectory's latent is standard normal, and gradients of what a trajectory earns by itself keep their form; only the
    trajectories of a task are not independent. (A credit that they earn together, as E-MAML's, would vanish.)

    The first angle divides the circle into equal parts. Twenty straight paths in the directions of independent latents
    meet 61 % of the goals of a ring on which each path meets 4.5 %; in directions of Sobol points through the normal
    quantile function, 68 %; in these, 89 %.

    References:
        Cranley & Patterson 1976, SIAM Journal on Numerical Analysis 13(6), for the shift; Box & Muller 1958, Annals of
        Mathematical Statistics 29(2), for the two normal numbers; Owen 1998, Journal of Complexity 14(4), for
        scrambled Sobol points.
    """

    def __call__(self, keys: Key[Array, "trajectories"], size: int) -> Float[Array, "trajectories latent"]:
        """Standard normal numbers that are spread evenly over the trajectories."""
        points = jnp.asarray(even_points(len(keys), size), jnp.float32)
        shift = jax.random.uniform(jax.random.fold_in(keys[0], SHIFT), (size,))
        return normal_numbers((points + shift) % 1)


def even_points(number: int, size: int) -> Float[np.ndarray, "number size"]:
    """Points that fill the unit cube evenly: the first coordinate in equal steps, the others of a Sobol sequence."""
    steps = np.arange(number)[:, None] / number
    if size == 1:
        return steps
    # Importing it takes a second, and most runs need no such points.
    from scipy.stats import qmc

    sampler = qmc.Sobol(size - 1, scramble=True, rng=np.random.default_rng(SCRAMBLING))
    # A power of two at once: fewer would be no worse, but SciPy warns.
    return np.concatenate([steps, sampler.random_base2(math.ceil(math.log2(max(number, 2))))[:number]], axis=1)


def normal_numbers(uniform: Float[Array, "*batch size"]) -> Float[Array, "*batch size"]:
    """Standard normal numbers of as many uniform ones: an angle and a distance make two, one that is left makes one."""
    pairs = uniform.shape[-1] // 2
    angles, lengths = 2 * jnp.pi * uniform[..., 0 : 2 * pairs : 2], uniform[..., 1 : 2 * pairs : 2]
    # The numbers are below 1, so that the logarithm is finite.
    radii = jnp.sqrt(-2 * jnp.log1p(-lengths))
    numbers = jnp.stack([radii * jnp.cos(angles), radii * jnp.sin(angles)], axis=-1)
    rest = jax.scipy.special.ndtri(jnp.clip(uniform[..., 2 * pairs :], TINY, 1 - TINY))
    return jnp.concatenate([numbers.reshape(*uniform.shape[:-1], 2 * pairs), rest], axis=-1)
