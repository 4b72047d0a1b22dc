"""Latents drawn alone and together: each is standard normal, and together they do not clump."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mime.policies.draws import Independent, Together, even_points, normal_numbers

KEY = jax.random.key(0)


@pytest.mark.parametrize("draws", [Independent(), Together()])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_each_trajectorys_latent_is_standard_normal(draws, size):
    """Of one trajectory of twenty, over many tasks; no two of its numbers are correlated."""
    keys = jax.random.split(KEY, (4000, 20))
    drawn = np.asarray(jax.jit(jax.vmap(lambda keys: draws(keys, size)))(keys))
    for trajectory in (0, 7, 19):
        for column in drawn[:, trajectory].T:
            assert stats.kstest(column, "norm").pvalue > 1e-4
        correlations = np.corrcoef(drawn[:, trajectory].T) - np.eye(size)
        assert np.abs(correlations).max() < 5 / np.sqrt(4000)


def test_drawn_together_the_directions_divide_the_circle():
    drawn = np.asarray(Together()(jax.random.split(KEY, 20), 2))
    angles = np.sort(np.arctan2(drawn[:, 1], drawn[:, 0]))
    np.testing.assert_allclose(np.diff(angles), 2 * np.pi / 20, atol=1e-4)


def test_drawn_together_latents_differ_from_task_to_task():
    first, second = (np.asarray(Together()(jax.random.split(jax.random.key(n), 20), 2)) for n in range(2))
    assert np.abs(first - second).max() > 0.1


@pytest.mark.parametrize("number", [1, 2, 20, 33])
def test_points_are_in_the_cube_and_fill_it_evenly(number):
    points = even_points(number, 3)
    assert points.shape == (number, 3)
    assert np.all((points >= 0) & (points < 1))
    if number > 2:
        for column in points.T:
            # Of independent points, a quarter would hold more or fewer than this in one of three draws.
            assert np.abs(np.histogram(column, 4, (0, 1))[0] - number / 4).max() <= max(2, number / 8)


def test_normal_numbers_are_finite_at_the_ends():
    ends = jnp.asarray([[0.0, 0.0, 0.0], [1 - 2**-24, 1 - 2**-24, 1 - 2**-24]])
    assert np.all(np.isfinite(normal_numbers(ends)))
