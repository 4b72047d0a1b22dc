"""Means, standardisation and rare values over the valid entries of an array."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

# Spread relative to the mean below which float32 numbers count as constant: where the mean is a plain sum's,
CONSTANT = 1e-5
# and where it is as exact as the numbers, which are rounded by up to 6e-8 in each operation.
ROUNDED = 3e-7


def masked_mean(values: Float[Array, "*shape"], valid: Bool[Array, "*shape"]) -> Float[Array, ""]:
    """Mean over the valid entries; 0 if there are none."""
    return jnp.sum(jnp.where(valid, values, 0)) / jnp.maximum(jnp.sum(valid), 1)


def standardise(values: Float[Array, "*shape"], valid: Bool[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Shift and scale the valid entries to zero mean and unit variance; invalid entries become 0.

    Constant values become zeros, where a division by their vanishing standard deviation would amplify rounding errors.
    The values' unit does not matter, whether it makes them 1e-30 or 1e30: they are scaled before they are squared.
    """
    values = values / binary_scale(jnp.where(valid, values, 0))
    mean = masked_mean(values, valid)
    centred = jnp.where(valid, values - mean, 0)
    # A float32 sum of thousands of numbers is exact to 1e-5 only; the mean of what is left makes up for that.
    centred = jnp.where(valid, centred - masked_mean(centred, valid), 0)
    variance = masked_mean(centred**2, valid)
    # Written so that NaN is neither constant nor hidden.
    constant = variance <= (ROUNDED * mean) ** 2
    return jnp.where(constant, 0, centred / jnp.sqrt(jnp.where(constant, 1, variance)))


def binary_scale(values: Float[Array, "*shape"], axis: int | tuple[int, ...] | None = None) -> Float[Array, "..."]:
    """The power of two below the largest magnitude along some axes, by all by default; 1 for zeros alone.

    A division by it rounds nothing, and leaves numbers whose squares float32 can hold. It counts as constant when
    differentiated.
    """
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(values), axis=axis, initial=0))
    exponent = jnp.frexp(largest)[1] - 1
    usable = (largest > 0) & jnp.isfinite(largest)
    return jnp.where(usable, jnp.ldexp(jnp.ones_like(largest), jnp.where(usable, exponent, 0)), 1)


def above_least(values: Float[Array, "*shape"], valid: Bool[Array, "*shape"]) -> Bool[Array, "*shape"]:
    """Which valid entries are above the lowest of them: of sparse rewards, those that were found.

    None if one is NaN.
    """
    return valid & (values > jnp.min(jnp.where(valid, values, jnp.inf)))
