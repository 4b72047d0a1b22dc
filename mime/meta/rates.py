"""Rates of the inner step that the outer step improves, one for each parameter (Meta-SGD, arXiv 1707.09835)."""

import equinox as eqx
import jax
import jax.numpy as jnp

from mime.policies.networks import LatentPolicy, Policy

INITIAL_LATENT_RATE = 0.7


def initial_rates(policy: Policy, fast_lr: float) -> Policy:
    """`fast_lr` for each of the policy's parameters, and 0.7 for the mean of a latent."""
    rates = jax.tree.map(lambda leaf: jnp.full_like(leaf, fast_lr), policy)
    if not isinstance(policy, LatentPolicy):
        return rates
    return eqx.tree_at(lambda r: r.latent_mean, rates, jnp.full_like(policy.latent_mean, INITIAL_LATENT_RATE))


def used_rates(learned: Policy) -> Policy:
    """The learned rates as the inner step uses them: a negative one counts as 0.

    Left free, some become negative where the training tasks are few: shared parameters and rates then agree on a step
    down the gradient that suits those tasks, and on others every step does harm.
    """
    return jax.tree.map(lambda rate: jnp.maximum(rate, 0), learned)
