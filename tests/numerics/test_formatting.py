"""Numbers keep digits that mean something, whatever their size."""

import numpy as np
import pytest

from mime.numerics.formatting import number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.00"),
        (-0.0, "0.00"),
        (0.5, "0.50"),
        (-12.345, "-12.35"),
        (1234.5, "1,234"),
        (3e-6, "3e-06"),
        (-0.00123456, "-0.00123"),
        (1.25e25, "1.25e+25"),
        (np.nan, "-"),
        (-np.inf, "-inf"),
    ],
)
def test_numbers(value, text):
    assert number(value) == number(np.float64(value)) == text
