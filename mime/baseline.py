"""Advantages: a linear baseline refitted on every batch, and generalised advantage estimation."""

import math
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from mime.numerics.statistics import binary_scale, standardise

Steps = Float[Array, "trajectories steps"]
RIDGE = 1e-5


@runtime_checkable
class Observed(Protocol):
    """What the baseline sees of one task's `mime.sampling.episodes.Episodes`."""

    @property
    def observations(self) -> Float[Array, "trajectories steps observation"]:
        """Observation before each step."""
        ...

    @property
    def valid(self) -> Bool[Array, "trajectories steps"]:
        """False after an episode's end."""
        ...


def advantages(episodes: Observed, rewards: Steps, *, gamma: float, gae_lambda: float) -> Steps:
    """Normalised advantages of one task's episodes.

    Fits the baseline to the episodes' own returns. Gradients flow through `rewards`, never through the baseline.

    Args:
        episodes: Of one task, `[trajectories steps ...]`.
        rewards: The rewards to use in place of the episodes' own.
        gamma: Discount.
        gae_lambda: Decay of the exponential average over n-step advantages.

    Returns:
        Advantages of zero mean and unit variance over the valid steps, 0 elsewhere.
    """
    rewards = jnp.where(episodes.valid, rewards, 0)
    returns = discounted_sums(jax.lax.stop_gradient(rewards), gamma)
    values = fitted_values(episodes.observations, returns, episodes.valid)
    return standardise(generalised_advantages(rewards, values, gamma=gamma, gae_lambda=gae_lambda), episodes.valid)


def discounted_sums(rewards: Steps, discount: float) -> Steps:
    """sum_k discount^k r[t + k] for every step t."""

    def accumulate(total, reward):
        total = reward + discount * total
        return total, total

    return jax.lax.scan(accumulate, jnp.zeros(rewards.shape[0]), rewards.T, reverse=True)[1].T


def generalised_advantages(rewards: Steps, values: Steps, *, gamma: float, gae_lambda: float) -> Steps:
    """GAE(gamma, lambda) (Schulman et al. 2016, arXiv 1506.02438, equation 16); the value after the last step is 0.

    Invalid steps must have zero rewards and values.
    """
    next_values = jnp.pad(values[:, 1:], ((0, 0), (0, 1)))
    return discounted_sums(rewards + gamma * next_values - values, gamma * gae_lambda)


def features(
    observations: Float[Array, "trajectories steps observation"],
) -> Float[Array, "trajectories steps features"]:
    """[o, o², t, t², t³, 1] with t = step / 100 (Duan et al. 2016, arXiv 1604.06778, section 6)."""
    trajectories, steps, _ = observations.shape
    time = jnp.broadcast_to(jnp.arange(steps)[:, None] / 100, (trajectories, steps, 1))
    return jnp.concatenate([observations, observations**2, time, time**2, time**3, jnp.ones_like(time)], axis=-1)


def fitted_values(
    observations: Float[Array, "trajectories steps observation"],
    returns: Steps,
    valid: Bool[Array, "trajectories steps"],
) -> Steps:
    """The linear function of `features` that is nearest to `returns` on the valid steps, evaluated on them.

    Ridge regression on features scaled to unit mean square: the projection of the returns, padded with zeros, onto the
    columns of the features stacked on the ridge. Those have full rank whatever the features' rank. The observations'
    units do not matter: they are scaled before they are squared.
    """
    observed = jnp.where(valid[..., None], jax.lax.stop_gradient(observations), 0)
    observed = observed / binary_scale(observed, axis=(0, 1))
    inputs = jnp.where(valid[..., None], features(observed), 0)
    targets = jnp.where(valid, jax.lax.stop_gradient(returns), 0)
    size = jnp.sqrt(jnp.mean(inputs**2, axis=(0, 1)))
    inputs = inputs / jnp.where(size > 0, size, 1)
    num_features = inputs.shape[-1]
    stacked = jnp.concatenate([inputs.reshape(-1, num_features), math.sqrt(RIDGE) * jnp.eye(num_features)])
    basis = orthonormal_basis(stacked)[: targets.size]
    return (basis @ (targets.ravel() @ basis)).reshape(targets.shape)


def orthonormal_basis(matrix: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
    """An orthonormal basis of the span of a matrix's columns, which are linearly independent.

    Gram-Schmidt, each column made orthogonal twice: the basis is then orthogonal to rounding, whatever the condition
    number (Giraud et al. 2005, Numerische Mathematik 101). In place of LAPACK's factorisation, which is slower for so
    few columns, and deadlocks in jaxlib when as many calls run at once as there are threads.
    """

    def extend(basis, column):
        index, vector = column
        for _ in range(2):
            vector = vector - basis @ (vector @ basis)
        return basis.at[:, index].set(vector / jnp.linalg.norm(vector)), None

    columns = jnp.arange(matrix.shape[1]), matrix.T
    return jax.lax.scan(extend, jnp.zeros_like(matrix), columns)[0]
