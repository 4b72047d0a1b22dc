"""Seeds: every whole number below 2^63, each with numbers of its own."""

import jax
import numpy as np
import pytest

from mime.configuration.seeds import LARGEST, checked_seed, parse_seeds
from mime.errors import UserError
from mime.runs.setup import stream


@pytest.mark.parametrize("seed", [0, 1, LARGEST, np.int64(3), np.uint64(LARGEST), np.asarray(7)])
def test_whole_numbers_are_seeds(seed):
    assert checked_seed(seed) == int(seed)
    assert type(checked_seed(seed)) is int


@pytest.mark.parametrize("seed", [-1, LARGEST + 1, 1.0, "1", True, None, np.uint64(LARGEST + 1)])
def test_others_are_refused(seed):
    with pytest.raises(UserError, match=f"must be a whole number from 0 to {LARGEST}"):
        checked_seed(seed)


def test_lists_of_seeds_are_checked_before_they_are_made():
    with pytest.raises(UserError, match="must be a whole number"):
        parse_seeds(f"0,{LARGEST + 1}")


def test_all_bits_of_a_seed_count():
    seeds = [1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**33 + 1, LARGEST]
    keys = {tuple(jax.random.key_data(stream(seed, 0)).tolist()) for seed in seeds}
    assert len(keys) == len(seeds)
    expected = jax.random.fold_in(jax.random.key(1), 0)
    np.testing.assert_array_equal(jax.random.key_data(stream(1, 0)), jax.random.key_data(expected))
