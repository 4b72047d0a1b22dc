"""Keeping numbers that are not finite out of what is learned."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool


def all_finite(tree: Any) -> Bool[Array, ""]:
    """Whether every number in a pytree is finite; so it is where there are none."""
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)], bool))


def select(condition: Bool[Array, ""], this: Any, other: Any) -> Any:
    """One of two pytrees."""
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), this, other)
