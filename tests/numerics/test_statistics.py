"""Masked statistics against NumPy in float64, and the cases that a division by a standard deviation gets wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.numerics.statistics import above_least, masked_mean, standardise

jitted = jax.jit(standardise)


def standardised_in_float64(values, valid):
    chosen = np.asarray(values, np.float64)[valid]
    out = np.zeros(values.shape)
    out[valid] = (chosen - chosen.mean()) / chosen.std()
    return out


def test_masked_mean_is_that_of_the_valid_entries():
    rng = np.random.default_rng(0)
    values, valid = rng.normal(3, 2, (7, 11)), rng.random((7, 11)) < 0.6
    values[~valid] = np.nan
    mean = masked_mean(jnp.asarray(values, jnp.float32), jnp.asarray(valid))
    # 77 float32 additions, each exact to 2**-24 of a sum of at most 77 * 8.
    assert float(mean) == pytest.approx(values[valid].mean(), rel=77 * 2**-24 * 4)
    assert float(masked_mean(jnp.ones(3), jnp.zeros(3, bool))) == 0


@pytest.mark.parametrize("offset", [0, 1, -1000], ids=str)
def test_standardise_like_numpy(offset):
    rng = np.random.default_rng(1)
    values = (offset + rng.gamma(2, 1.5, (20, 30))).astype(np.float32)
    valid = rng.random((20, 30)) < 0.7
    result = np.asarray(jitted(values, valid))
    # Each number is only known to 2**-24 of its size; a second pass over the data makes the mean as exact.
    np.testing.assert_allclose(
        result, standardised_in_float64(values, valid), atol=4 * 2**-24 * (abs(offset) + 10), rtol=1e-5
    )
    assert np.all(result[~valid] == 0)


# Shapes whose sums XLA adds one by one, so that float32 means of constants are off by 1e-5, and a task's usual one.
@pytest.mark.parametrize("shape", [(20, 100), (31, 31), (31, 63)], ids=str)
def test_constants_become_zeros(shape):
    rng = np.random.default_rng(2)
    constants = np.concatenate([[0, 0.1, -1 / 3, 1e-6, 7e-5, 123456.789, 1e8, -1e12], rng.uniform(0.01, 10, 50)])
    for constant in constants.astype(np.float32):
        values = np.full(shape, constant)
        valid = rng.random(shape) < 0.99
        values[~valid] = np.nan
        np.testing.assert_array_equal(jitted(values, valid), np.zeros(shape, np.float32), err_msg=str(constant))


@pytest.mark.parametrize("constant", [0.1, -700.0, 1e8])
def test_rounding_errors_are_no_spread(constant):
    """Rewards that are constant but for the last digit of float32."""
    last_digit = np.random.default_rng(5).integers(-1, 2, (20, 100)) * 2.0**-23
    values = (constant * (1 + last_digit)).astype(np.float32)
    assert len(np.unique(values)) > 1
    np.testing.assert_array_equal(jitted(values, np.ones((20, 100), bool)), np.zeros((20, 100)))


def test_nearly_constant_values_still_have_unit_variance():
    values = 1000 + np.random.default_rng(3).normal(0, 0.1, (20, 100)).astype(np.float32)
    result = np.asarray(jitted(values, np.ones((20, 100), bool)), np.float64)
    assert abs(result.mean()) < 1e-4
    assert result.std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("unit", [1e-30, 4e-21, 1e-8, 1e25, 1e30])
def test_the_unit_does_not_matter(unit):
    values, valid = np.random.default_rng(6).normal(size=(20, 100)), np.ones((20, 100), bool)
    result = jitted((unit * values).astype(np.float32), valid)
    np.testing.assert_allclose(result, standardised_in_float64(values, valid), atol=1e-5)


@pytest.mark.parametrize("constant", [1e5, -1e6])
def test_a_large_constant_does_not_hide_what_float32_holds_besides_it(constant):
    values = (constant + np.random.default_rng(7).normal(size=(20, 100))).astype(np.float32)
    valid = np.ones((20, 100), bool)
    np.testing.assert_allclose(jitted(values, valid), standardised_in_float64(values, valid), atol=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_valid_entries_that_are_not_finite_are_not_hidden(bad):
    values, valid = np.arange(6, dtype=np.float32), np.array([1, 1, 1, 1, 1, 0], bool)
    values[2] = bad
    assert not np.any(np.isfinite(jitted(values, valid)[:5]))


def test_invalid_entries_that_are_not_finite_do_not_matter():
    values, valid = np.arange(6, dtype=np.float32), np.array([1, 1, 1, 1, 0, 0], bool)
    expected = np.asarray(jitted(values, valid))
    values[4:] = [np.nan, np.inf]
    np.testing.assert_array_equal(jitted(values, valid), expected)


def test_gradient_against_finite_differences():
    rng = np.random.default_rng(4)
    values, weights, valid = rng.normal(2, 1, (3, 4)), rng.normal(size=(3, 4)), rng.random((3, 4)) < 0.7
    with jax.enable_x64(True):
        gradient = jax.grad(lambda v: jnp.sum(weights * standardise(v, jnp.asarray(valid))))(jnp.asarray(values))
    for index in np.ndindex(values.shape):
        step = np.zeros_like(values)
        step[index] = 1e-5
        difference = standardised_in_float64(values + step, valid) - standardised_in_float64(values - step, valid)
        # Truncation 1e-10, rounding 1e-16 / 1e-5.
        assert float(gradient[index]) == pytest.approx(np.sum(weights * difference) / 2e-5, abs=1e-8)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e6])
def test_gradient_is_finite_at_constants(constant):
    weights, valid = jnp.arange(5.0), jnp.array([1, 1, 1, 0, 1], bool)
    gradient = jax.grad(lambda v: jnp.sum(weights * standardise(v, valid)))(jnp.full(5, constant))
    assert np.all(np.isfinite(gradient))


def test_what_is_above_the_least_valid_entry():
    values = jnp.array([[0.0, -5.0, 0.0], [2.0, 0.0, 3.0]])
    valid = jnp.array([[True, False, True], [True, True, False]])
    assert above_least(values, valid).tolist() == [[False, False, False], [True, False, False]]
    assert not above_least(jnp.full((2, 2), 0.7), jnp.ones((2, 2), bool)).any()
    assert not above_least(jnp.array([0.0, 1.0, jnp.nan]), jnp.ones(3, bool)).any()
