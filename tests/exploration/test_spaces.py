"""Running statistics against NumPy on all the data at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.exploration.spaces import Statistics

include = jax.jit(lambda statistics, vectors, valid: statistics.including(vectors, valid))


def test_like_numpy_on_concatenated_data():
    rng = np.random.default_rng(0)
    statistics, seen = Statistics.empty(3), []
    for size in (5, 40, 1, 40):
        vectors = (rng.normal(size=(2, size, 3)) * [1, 100, 1e-3] + [5, -300, 0]).astype(np.float32)
        valid = rng.random((2, size)) < 0.7
        statistics = include(statistics, vectors, valid)
        seen.append(vectors[valid].astype(np.float64))
    seen = np.concatenate(seen)
    assert float(statistics.count) == len(seen)
    # A few roundings of 6e-8 each.
    scale = np.abs(seen).max(axis=0)
    np.testing.assert_allclose(statistics.mean / scale, seen.mean(axis=0) / scale, atol=1e-6)
    np.testing.assert_allclose(statistics.sum_of_squares / len(seen), seen.var(axis=0), rtol=1e-5)
    new = (rng.normal(size=(4, 3)) * [1, 100, 1e-3] + [5, -300, 0]).astype(np.float32)
    np.testing.assert_allclose(
        statistics.standardise(jnp.asarray(new)), (new - seen.mean(axis=0)) / seen.std(axis=0), atol=1e-4
    )


def test_before_any_data_nothing_is_changed():
    vectors = np.random.default_rng(1).normal(size=(3, 2)).astype(np.float32)
    np.testing.assert_array_equal(Statistics.empty(2).standardise(jnp.asarray(vectors)), vectors)


@pytest.mark.parametrize("batches", [1, 3])
@pytest.mark.parametrize("size", [7, 961, 1953])
def test_constant_features_are_only_shifted(size, batches):
    constants = np.array([0.1, -1 / 3, 0, 7e5, 7e-5], np.float32)
    statistics = Statistics.empty(5)
    for _ in range(batches):
        statistics = include(statistics, np.broadcast_to(constants, (size, 5)), np.ones(size, bool))
    shifted = np.asarray(statistics.standardise(jnp.asarray(constants + np.float32(2) * (constants != 0))))
    # The shift is exact to the float32 mean's own error of 2e-5.
    np.testing.assert_allclose(shifted, 2 * (constants != 0), atol=2e-5 * 7e5, rtol=0)
    np.testing.assert_allclose(shifted[:3], [2, 2, 0], atol=2e-5)


def test_rounding_errors_are_no_spread():
    """A feature that is constant but for the last digit of float32 is not divided by that."""
    values = (0.1 * (1 + np.random.default_rng(4).integers(-1, 2, (500, 1)) * 2.0**-23)).astype(np.float32)
    statistics = include(Statistics.empty(1), values, np.ones(500, bool))
    assert float(statistics.sum_of_squares[0]) > 0
    np.testing.assert_allclose(statistics.standardise(jnp.asarray([2.1], jnp.float32)), [2], rtol=1e-6)


def test_a_batch_without_valid_vectors_changes_nothing():
    vectors = np.random.default_rng(2).normal(size=(10, 2)).astype(np.float32)
    before = include(Statistics.empty(2), vectors, np.ones(10, bool))
    after = include(before, np.full((10, 2), 1e6, np.float32), np.zeros(10, bool))
    for ours, theirs in zip(jax.tree.leaves(after), jax.tree.leaves(before)):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("garbage", [np.nan, np.inf])
def test_invalid_vectors_have_no_influence(garbage):
    rng = np.random.default_rng(3)
    vectors, valid = rng.normal(size=(10, 2)).astype(np.float32), rng.random(10) < 0.5
    expected = include(Statistics.empty(2), vectors, valid)
    vectors[~valid] = garbage
    for ours, theirs in zip(jax.tree.leaves(include(Statistics.empty(2), vectors, valid)), jax.tree.leaves(expected)):
        np.testing.assert_array_equal(ours, theirs)


def test_valid_numbers_that_are_not_finite_are_not_hidden():
    vectors = np.ones((4, 1), np.float32)
    vectors[2] = np.nan
    assert np.isnan(include(Statistics.empty(1), vectors, np.ones(4, bool)).mean[0])
