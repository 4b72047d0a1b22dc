"""Random Fourier features: a vector whose products with others are a Gaussian kernel."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from mime.numerics.cholesky import product

TERMS = 6


class FourierFeatures(eqx.Module):
    """Cosines and sines of random projections: phi(x)·phi(y) is about exp(-|x - y|² / (2 length²)), phi(x)·phi(x) = 1.

    Args:
        num_inputs: Numbers in x.
        num_features: In phi, half of them cosines and half of them sines.
        length_scale: Distance at which the kernel is exp(-1/2).
        key: For the projections.

    Attributes:
        frequencies: The projections, drawn from a normal distribution, in radians for a change of 1.

    References:
        Rahimi & Recht 2007, Random Features for Large-Scale Kernel Machines.
    """

    frequencies: Float[Array, "inputs half"]

    def __init__(self, num_inputs: int, num_features: int, length_scale: float, *, key: PRNGKeyArray):
        self.frequencies = jax.random.normal(key, (num_inputs, num_features // 2)) / length_scale

    def __call__(self, inputs: Float[Array, "*batch inputs"]) -> Float[Array, "*batch features"]:
        """phi of each input."""
        turns = product(inputs, self.frequencies / (2 * math.pi))
        # A quarter of a turn back, a cosine is a sine.
        return cosines(jnp.concatenate([turns, turns - 0.25], axis=-1)) / math.sqrt(self.frequencies.shape[1])


def cosines(turns: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """cos(2 pi turns), within 2e-7 of it: ten times as fast as `jnp.cos` on a processor."""
    # To half a turn on either side, and by cos(2 pi t) = sin(2 pi (1/4 - |t|)) to a quarter of one.
    quarters = 0.25 - jnp.abs(turns - jnp.round(turns))
    squares = quarters**2
    total = jnp.zeros_like(quarters)
    for coefficient in reversed(_sine_coefficients()):
        total = total * squares + coefficient
    return total * quarters


def _sine_coefficients() -> list[float]:
    """Of an odd polynomial that is sin(2 pi t) for |t| <= 1/4, by least squares at Chebyshev's points."""
    points = 0.25 * np.cos(np.pi * (np.arange(400) + 0.5) / 400)
    powers = points[:, None] ** (2 * np.arange(TERMS) + 1)
    return np.linalg.lstsq(powers, np.sin(2 * np.pi * points), rcond=None)[0].tolist()
