"""Numbers for people to read."""

import math

import numpy as np


def number(value: float | np.ndarray) -> str:
    """Two decimals; none for large numbers, significant digits for those that would have too many or none left.

    What is no number is -.
    """
    size = abs(float(value))
    if math.isnan(size):
        return "-"
    if not math.isfinite(size):
        return f"{value:.0f}"
    if 0 < size < 0.01 or size >= 1e9:
        return f"{value:.3g}"
    shown = f"{value:,.0f}" if size >= 1000 else f"{value:.2f}"
    return shown.removeprefix("-") if size == 0 else shown


def share(value: float) -> str:
    """A share in percent, or - if there is none."""
    return "-" if math.isnan(value) else f"{value:.0%}"
