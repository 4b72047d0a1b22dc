"""The weight between extrinsic and intrinsic reward, and how it is meta-learned."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float

from mime.numerics.statistics import above_least

LARGEST_CHANGE = 0.3
ENOUGH_FOUND = 0.75
# Beyond these the weight hardly changes, and a logit that went on would take at least as long to come back.
LARGEST_FOUND_LOGIT = 5.0


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
            gradient's sign is uncertain, whatever its scale. `found`: plain descent on `excess_found`, from -5 to 5.
        rate: Factor of the step.
    """
    if rule == "adam":
        return optax.adam(rate)

    def clipped(gradient, eta):
        return -jnp.clip(rate * gradient / jax.nn.sigmoid(eta), -LARGEST_CHANGE, LARGEST_CHANGE)

    def found(excess, eta):
        return jnp.clip(eta - rate * excess, -LARGEST_FOUND_LOGIT, LARGEST_FOUND_LOGIT) - eta

    return optax.stateless(found if rule == "found" else clipped)


def excess_found(
    rewards: Float[Array, "tasks trajectories steps"], valid: Bool[Array, "tasks trajectories steps"]
) -> Float[Array, ""]:
    """By how much the share of tasks whose rewards were found is above three quarters.

    A task's are found if they differ between any two of its valid steps: there is something to adapt to. Descent on
    this adapts the weight of the bonus in the manner of SAC's temperature, with a target for what exploration is there
    for: that three quarters of the tasks' rewards are found. It is meant for sparse rewards; dense ones are always
    found. The logit rises up to three times as fast as it falls.

    Args:
        rewards: Of the tasks before adaptation.
        valid: Steps that count.

    References:
        Haarnoja et al. 2018, arXiv 1812.05905, section 5, for the temperature, whose target is the entropy itself.
    """
    found = jax.vmap(above_least)(rewards, valid)
    return jnp.mean(jnp.any(found, axis=(1, 2))) - ENOUGH_FOUND
