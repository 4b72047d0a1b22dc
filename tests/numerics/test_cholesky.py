"""The Cholesky factorisation without LAPACK, against NumPy's in float64, and where there is none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.numerics.cholesky import LARGEST_UNBLOCKED, cholesky

RNG = np.random.default_rng(0)


def positive_definite(*shape):
    """A batch of matrices whose eigenvalues are from 1 up, so that no pivot is smaller."""
    factors = RNG.normal(size=(*shape, shape[-1]))
    return np.eye(shape[-1]) + factors @ np.swapaxes(factors, -1, -2) / shape[-1]


@pytest.mark.parametrize("size", [1, LARGEST_UNBLOCKED, LARGEST_UNBLOCKED + 1, 50])
def test_factor_and_inverse_by_numpy(size):
    matrices = positive_definite(3, size).astype(np.float32)
    factors, inverses = cholesky(jnp.asarray(matrices), least_pivot=1.0)
    expected = np.linalg.cholesky(matrices.astype(float))
    np.testing.assert_allclose(factors, expected, atol=1e-6)
    np.testing.assert_allclose(inverses, np.linalg.inv(expected), atol=1e-6)
    one = cholesky(jnp.asarray(matrices[1]), least_pivot=1.0)
    for alone, together in zip(one, (factors, inverses)):
        np.testing.assert_allclose(alone, together[1], atol=1e-6)


def test_the_lower_triangle_counts():
    matrix = jnp.asarray(positive_definite(40), jnp.float32)
    for whole, lower in zip(cholesky(matrix, least_pivot=1.0), cholesky(jnp.tril(matrix), least_pivot=1.0)):
        np.testing.assert_array_equal(whole, lower)


def test_a_pivot_that_rounding_made_too_small_is_raised():
    """Of ones, all pivots but the first are zero."""
    factor, inverse = cholesky(jnp.ones((20, 20)), least_pivot=0.01)
    np.testing.assert_allclose(jnp.diagonal(factor), [1] + 19 * [0.1], rtol=1e-6)
    np.testing.assert_allclose(inverse @ factor, jnp.eye(20), atol=1e-5)


def test_not_a_number_is_not_hidden():
    matrix = jnp.asarray(positive_definite(20), jnp.float32).at[3, 3].set(jnp.nan)
    factor, _ = cholesky(matrix, least_pivot=1.0)
    assert jnp.isnan(factor[3, 3])
    assert jnp.isnan(factor[19, 19])


def test_tasks_at_once_are_as_one_by_one():
    matrices = jnp.asarray(positive_definite(4, 30), jnp.float32)
    at_once = jax.vmap(lambda matrix: cholesky(matrix, least_pivot=1.0))(matrices)
    one_by_one = jax.lax.map(lambda matrix: cholesky(matrix, least_pivot=1.0), matrices)
    for these, those in zip(at_once, one_by_one):
        np.testing.assert_allclose(these, those, atol=1e-6)
