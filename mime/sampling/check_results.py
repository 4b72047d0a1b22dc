"""What checks of somebody's environment find, in words."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from mime.envs.external.checks import EnvironmentMistake, cause
from mime.errors import UserError


class Finding(NamedTuple):
    """What one check found.

    Attributes:
        subject: What was checked, as `spaces`.
        right: Whether it is as it must be.
        words: What is right, or what is wrong and how to mend it.
    """

    subject: str
    right: bool
    words: str


class Mistake(Exception):
    """What is wrong with an environment, and how to mend it."""


Check = Callable[[], str]
"""Says in words what is right; raises a `Mistake`, or whatever the environment raises, if something is wrong."""


def any_key() -> PRNGKeyArray:
    """What checks draw with. A function: a key that is made when a module is imported would start JAX's devices."""
    return jax.random.key(0)


def findings(checks: Mapping[str, Check]) -> list[Finding]:
    """The outcome of each check, up to the first that fails: later ones would fail for the same reason.

    Args:
        checks: By what they check.
    """
    found: list[Finding] = []
    for subject, check in checks.items():
        try:
            found.append(Finding(subject, True, check()))
        except (Mistake, EnvironmentMistake, UserError) as mistake:
            found.append(Finding(subject, False, str(mistake)))
            break
        except Exception as error:  # Whatever somebody's environment raises.
            found.append(Finding(subject, False, cause(error)))
            break
    return found


def same(first: Any, second: Any) -> bool:
    """Whether two pytrees of arrays, or lists of anything, are equal, NaN to NaN."""
    leaves = [jax.tree.leaves(tree) for tree in (first, second)]
    return len(leaves[0]) == len(leaves[1]) and all(
        np.array_equal(np.asarray(one), np.asarray(other), equal_nan=np.asarray(one).dtype.kind == "f")
        for one, other in zip(*leaves)
    )


def form(tree: Any) -> str:
    """The structure of a pytree with the types and shapes of its arrays, as `float32[2]`."""

    def text(leaf: Any) -> str:
        leaf = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
        return f"{leaf.dtype}{list(leaf.shape) if leaf.shape else ''}"

    return str(jax.tree.map(text, tree)).replace("'", "")
