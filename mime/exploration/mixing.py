"""The mixture of the task's reward and the bonus (MIME, 2020): weights that are functions of the logit of a share s."""

import jax
from jaxtyping import Array, Float


def mix(
    extrinsic: Float[Array, "*shape"], intrinsic: Float[Array, "*shape"], logit: Float[Array, ""]
) -> Float[Array, "*shape"]:
    """(1.05 - s) extrinsic + (0.05 + s) intrinsic: neither reward ever vanishes."""
    return (1.05 - jax.nn.sigmoid(logit)) * extrinsic + intrinsic_weight(logit) * intrinsic


def intrinsic_weight(logit: Float[Array, ""]) -> Float[Array, ""]:
    """0.05 + s."""
    return 0.05 + jax.nn.sigmoid(logit)
