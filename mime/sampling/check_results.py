"""What checks of somebody's environment find, in words."""

import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np


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


def findings(checks: Mapping[str, Check]) -> list[Finding]:
    """The outcome of each check, up to the first that fails: later ones would fail for the same reason.

    Args:
        checks: By what they check.
    """
    found: list[Finding] = []
    for subject, check in checks.items():
        try:
            found.append(Finding(subject, True, check()))
        except Mistake as mistake:
            found.append(Finding(subject, False, str(mistake)))
            break
        except Exception as error:  # Whatever somebody's environment raises.
            found.append(Finding(subject, False, described(error)))
            break
    return found


def described(error: BaseException) -> str:
    """An exception in a line: its kind, its message, and the line of code that is the first to look at."""
    # The last line of code that is neither ours nor a library's.
    package = str(Path(__file__).parents[1])
    frames = traceback.extract_tb(error.__traceback__)
    own = [each for each in frames if not each.filename.startswith(package) and "site-packages" not in each.filename]
    place = f" ({own[-1].filename}, line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {(str(error) or 'without a message').splitlines()[0]}{place}"


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
