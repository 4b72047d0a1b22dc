"""Seeds on the command line."""

import operator
import re
from typing import Any

from mime.errors import UserError

MOST = 10_000
LARGEST = 2**63 - 1


def checked_seed(seed: Any) -> int:
    """The seed as a number of Python's.

    Args:
        seed: Of any whole type, NumPy's among them.

    Raises:
        UserError: If it is no seed.
    """
    try:
        number = -1 if isinstance(seed, bool) else operator.index(seed)
    except TypeError:
        number = -1
    if not 0 <= number <= LARGEST:
        raise UserError(f"seed: {seed!r} must be a whole number from 0 to {LARGEST}")
    return number


def parse_seeds(text: str) -> list[int]:
    """Seeds from a list of numbers and ranges, as `0-4` or `0,3,7-9`.

    Raises:
        UserError: If it is none.
    """
    seeds: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        if match is None:
            raise UserError(f"--seeds: {text!r} should be numbers and ranges like 0-4 or 0,3,7-9")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise UserError(f"--seeds: {part.strip()} ends before it begins")
        checked_seed(last)
        if len(seeds) + last - first >= MOST:
            raise UserError(f"--seeds: {text!r} are more than {MOST}, each of which is a run; give fewer")
        seeds += range(first, last + 1)
    return list(dict.fromkeys(seeds))
