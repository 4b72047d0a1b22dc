"""The weight between extrinsic and intrinsic reward, and how it is meta-learned."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

LARGEST_CHANGE = 0.3


def mix(
    extrinsic: Float[Array, "*shape"], intrinsic: Float[Array, "*shape"], eta: Float[Array, ""]
) -> Float[Array, "*shape"]:
    """(1.05 - s) extrinsic + (0.05 + s) intrinsic with s = sigmoid(eta): neither reward ever vanishes."""
    return (1.05 - jax.nn.sigmoid(eta)) * extrinsic + intrinsic_weight(eta) * intrinsic


def intrinsic_weight(eta: Float[Array, ""]) -> Float[Array, ""]:
    """0.05 + sigmoid(eta)."""
    return 0.05 + jax.nn.sigmoid(eta)


def optimiser(rule: str, rate: float) -> optax.GradientTransformation:
    """How the logit follows its gradient.

    Args:
        rule: `clipped`: a descent step relative to the share s, at most 0.3 long (the paper's); it depends on the
            gradient's scale, which differs between experiments. `adam`: steps of about `rate`, shorter where the
            gradient's sign is uncertain, whatever its scale.
        rate: Factor of the step.
    """
    if rule == "adam":
        return optax.adam(rate)

    def step(gradient, eta):
        return -jnp.clip(rate * gradient / jax.nn.sigmoid(eta), -LARGEST_CHANGE, LARGEST_CHANGE)

    return optax.stateless(step)
