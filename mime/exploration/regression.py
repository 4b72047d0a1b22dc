"""How much each step tells Bayesian linear regression, given other steps.

With weights ~ N(0, I) and noise of variance s, the precision of the weights after steps with features phi is
A = I + sum phi phi^T / s, whatever was predicted. One step more tells 1/2 log(1 + phi^T A^-1 phi / s) nats about the
weights. Below, A is that of all steps. Every factorisation is of a matrix whose pivots have a bound that is known,
because phi^T phi <= 1 and A >= I; rounding cannot make it fail.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mime.numerics.cholesky import cholesky, product, transposed

Steps = Float[Array, "trajectories steps"]
Features = Float[Array, "trajectories steps features"]

LONGEST_SEGMENT = 128
"""Steps of a trajectory whose gains are read from one factorisation."""


def leave_one_out_gains(features: Features, noise_variance: float) -> Steps:
    """Gain of each step given all other steps: -1/2 log(1 - h), h = phi^T A^-1 phi / s (Sherman-Morrison).

    Args:
        features: phi, no longer than 1; 0 for steps that do not count.
        noise_variance: s.
    """
    leverage = sum(jnp.sum(part**2, axis=-1) for part in _whitened(features, noise_variance))
    return -jnp.log1p(-jnp.minimum(leverage, 1 / (1 + noise_variance))) / 2


def chain_rule_gains(features: Features, noise_variance: float) -> Steps:
    """Gain of each step given all other trajectories and its own trajectory's earlier steps.

    With z = L^-1 phi / sqrt(s), L L^T = A, the precision without a trajectory's later steps is L (I - Z Z^T) L^T, Z the
    matrix of their z. What is left of 1 - z^T z after its steps were eliminated from I - Z^T Z, last one first, is
    1 / (1 + phi^T A^-1 phi / s) with A of all steps but this and the later ones, so that the gain is -log of the
    Cholesky factor's diagonal. Long trajectories are eliminated segment by segment, as the matrices of steps by steps
    would grow beyond those of features by features: after each segment P = (I - Z Z^T)^-1 is updated.

    Args:
        features: phi, no longer than 1; 0 for steps that do not count.
        noise_variance: s.
    """
    trajectories, steps, size = features.shape
    segments = -(-steps // LONGEST_SEGMENT)
    length = -(-steps // segments)
    missing = segments * length - steps
    # Backwards in time from here, as steps are eliminated.
    backwards = jnp.pad(features, ((0, 0), (0, missing), (0, 0)))[:, ::-1]
    parts = _whitened(backwards, noise_variance)
    least_pivot = noise_variance / (1 + noise_variance)
    if segments == 1:
        gains = _eliminated(sum(product(part, transposed(part)) for part in parts), least_pivot)[0]
    else:
        whitened = jnp.concatenate(parts, axis=-1).reshape(trajectories, segments, length, size)

        def eliminate(inverse, segment):
            seen = product(segment, inverse)
            gains, solve = _eliminated(product(seen, transposed(segment)), least_pivot)
            change = product(solve, seen)
            return inverse + product(transposed(change), change), gains

        nothing_eliminated = jnp.broadcast_to(jnp.eye(size), (trajectories, size, size))
        gains = jax.lax.scan(eliminate, nothing_eliminated, jnp.swapaxes(whitened, 0, 1))[1]
        gains = jnp.swapaxes(gains, 0, 1).reshape(trajectories, -1)
    return gains[:, ::-1][:, :steps]


def _eliminated(overlaps: Float[Array, "trajectories steps steps"], least_pivot: float) -> tuple[Steps, Array]:
    """Gains of steps in the order of their elimination from I - overlaps, and its Cholesky factor's inverse."""
    factor, inverse = cholesky(jnp.eye(overlaps.shape[-1]) - overlaps, least_pivot=least_pivot)
    return -jnp.log(jnp.minimum(jnp.diagonal(factor, axis1=-2, axis2=-1), 1)), inverse


def _whitened(features: Features, noise_variance: float) -> list[Float[Array, "trajectories steps half"]]:
    """z = L^-1 phi / sqrt(s) in two halves: of the first one's features, the second half is not needed."""
    inverse = cholesky(_precision(features, noise_variance), least_pivot=1.0)[1] / math.sqrt(noise_variance)
    half = features.shape[-1] // 2
    return [product(features[..., :half], inverse[:half, :half].T), product(features, inverse[half:].T)]


def _precision(features: Features, noise_variance: float) -> Float[Array, "features features"]:
    """The lower triangle of A, and some of the upper one."""
    size = features.shape[-1]
    half = size // 2

    def include(total, trajectory):
        upper, lower = total
        upper += product(trajectory[:, :half].T, trajectory[:, :half])
        return (upper, lower + product(trajectory[:, half:].T, trajectory)), None

    # Trajectory by trajectory: a processor's products add up step after step, in float32 ten times less exactly.
    nothing = jnp.zeros((half, half)), jnp.zeros((size - half, size))
    upper, lower = jax.lax.scan(include, nothing, features)[0]
    total = jnp.concatenate([jnp.pad(upper, ((0, 0), (0, size - half))), lower]) / noise_variance
    # The prior's 1 is lost by rounding beside numbers ten million times as large. Long before that it is made larger.
    return total + jnp.eye(size) * jnp.maximum(1, 0.75 + jnp.finfo(total.dtype).eps * jnp.trace(total))
