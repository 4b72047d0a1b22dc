"""Distances between states, against brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.exploration.neighbours import distances, drawn, units

KEY = jax.random.key(0)


@pytest.mark.parametrize("num_points", [40, 700])
@pytest.mark.parametrize("neighbour", [1, 3])
def test_distances_by_brute_force(num_points, neighbour):
    rng = np.random.default_rng(num_points)
    points, samples = rng.normal(size=(num_points, 2)), rng.normal(size=(64, 2))
    ours = jax.jit(distances, static_argnums=2)(points.astype(np.float32), samples.astype(np.float32), neighbour)
    for point, distance in zip(points, np.asarray(ours)):
        ranked = sorted(np.linalg.norm(point - sample) for sample in samples)
        assert distance == pytest.approx(ranked[neighbour - 1], abs=1e-4)


def test_only_allowed_points_are_drawn_each_as_often():
    points = np.arange(20.0)[:, None]
    allowed = np.arange(20) % 3 == 0
    values, counts = np.unique(drawn(jnp.asarray(points), jnp.asarray(allowed), 7000, key=KEY), return_counts=True)
    np.testing.assert_array_equal(values, points[allowed, 0])
    assert (abs(counts - 1000) < 5 * np.sqrt(1000)).all()


def test_units_make_the_spread_one_and_leave_out_what_is_constant():
    samples = jnp.asarray(np.random.default_rng(0).normal(size=(500, 4)) * [5, 0, 0.1, 0] + [2, 2, 0.1, 0.1])
    assert units(samples)[np.array([1, 3])].tolist() == [0, 0]
    assert jnp.std(samples * units(samples), axis=0) == pytest.approx([1, 0, 1, 0], abs=1e-4)
