"""The weight between extrinsic and intrinsic reward, and how it is meta-learned."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

LARGEST_CHANGE = 0.3


def mix(
    extrinsic: Float[Array, "*shape"], intrinsic: Float[Array, "*shape"], eta: Float[Array, ""]
) -> Float[Array, "*shape"]:
    """(1.05 - s) extrinsic + (0.05 + s) intrinsic with s = sigmoid(eta): neither reward ever vanishes."""
    share = jax.nn.sigmoid(eta)
    return (1.05 - share) * extrinsic + (0.05 + share) * intrinsic


def updated(
    eta: Float[Array, ""], gradient: Float[Array, ""], *, rate: float
) -> tuple[Float[Array, ""], Bool[Array, ""]]:
    """One descent step on the logit, relative to the share s and at most 0.3 long.

    Args:
        eta: The logit.
        gradient: Derivative of the loss with respect to the logit.
        rate: Factor of the step.

    Returns:
        The new logit, and whether the step was cut to 0.3.
    """
    step = rate * gradient / jax.nn.sigmoid(eta)
    return eta - jnp.clip(step, -LARGEST_CHANGE, LARGEST_CHANGE), jnp.abs(step) > LARGEST_CHANGE
