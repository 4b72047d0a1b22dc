"""Names for the arrays of any pytree, as they are exported under."""

from typing import Any

import jax
from jaxtyping import Array


def named_leaves(tree: Any) -> dict[str, Array]:
    """The tree's arrays under their paths: `layers.0.weight`, ..."""
    paths = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in paths}


def with_leaves(tree: Any, named: dict[str, Array]) -> Any:
    """The tree with its arrays replaced by those of the same names."""
    return jax.tree.unflatten(jax.tree.structure(tree), [named[name] for name in named_leaves(tree)])
