"""Exploration coverage against brute-force counts of cells, position by position."""

import math
from collections import deque
from itertools import product

import jax
import numpy as np
import pytest

from mime.envs.dog_house import DogHouse
from mime.envs.navigation import RingNavigation
from mime.sampling.episodes import Episodes, outcomes


def episodes(positions, lengths):
    """Episodes whose observations are positions `[tasks trajectories steps+1 2]` and something else."""
    observed = np.concatenate([positions, np.ones((*positions.shape[:3], 1))], axis=-1).astype(np.float32)
    valid = np.arange(positions.shape[2] - 1) < np.asarray(lengths)[..., None]
    none = np.zeros(valid.shape, np.float32)
    fields = observed[:, :, :-1], none, none, observed[:, :, 1:], valid, valid
    return Episodes(*(jax.numpy.asarray(field) for field in fields))


def coverage(grid, positions, lengths):
    return jax.jit(lambda collected: collected.coverage(grid))(episodes(positions, lengths))


def brute_force(positions, lengths, cell_of, within_reach):
    """The coverage of each task."""
    shares = []
    for task, task_lengths in zip(positions, lengths):
        visited = {cell_of(*p) for path, length in zip(task, task_lengths) for p in path[: length + 1]}
        shares.append(len(visited & within_reach) / len(within_reach))
    return shares


def ring_cells(low, high, horizon):
    reach = range(-horizon // 10, horizon // 10 + 1)
    return {(x, y) for x, y in product(reach, reach) if math.hypot(x, y) <= high + 1}


@pytest.mark.parametrize(("low", "high", "horizon"), [(5.0, 9.0, 100), (5.0, 5.5, 100), (8.0, 9.0, 70)])
def test_rings_are_counted_in_cells_around_the_start(low, high, horizon):
    rng = np.random.default_rng(0)
    positions = np.cumsum(rng.normal(scale=0.9, size=(3, 4, 101, 2)), axis=2)
    lengths = rng.integers(1, 101, size=(3, 4))
    expected = brute_force(
        positions, lengths, lambda x, y: (math.floor(x + 0.5), math.floor(y + 0.5)), ring_cells(low, high, horizon)
    )
    grid = RingNavigation(low=low, high=high, horizon=horizon).grid
    np.testing.assert_allclose(coverage(grid, positions, lengths), expected, rtol=1e-6)
    assert 0.05 < np.mean(expected) < 0.9
    assert np.abs(positions).max() > high + 2


def test_the_house_is_counted_in_blocks_that_can_be_reached():
    free = {tuple(cell) for cell in np.argwhere(DogHouse.free_centres)}
    reached, queue = {(13, 20)}, deque([(13, 20)])
    while queue:
        x, y = queue.popleft()
        new = {(x + dx, y + dy) for dx, dy in product((-1, 0, 1), repeat=2)}
        new = {cell for cell in new if cell in free and cell not in reached}
        reached |= new
        queue.extend(new)
    rng = np.random.default_rng(2)
    centres = rng.integers(0, 100, size=(2, 5, 201, 2))
    positions = (centres + rng.uniform(-0.45, 0.45, size=centres.shape)) / 10
    lengths = rng.integers(1, 201, size=(2, 5))
    expected = brute_force(
        positions,
        lengths,
        lambda x, y: (round(10 * x) // 5, round(10 * y) // 5),
        {(x // 5, y // 5) for x, y in reached},
    )
    np.testing.assert_allclose(coverage(DogHouse.grid, positions, lengths), expected, rtol=1e-6)


def test_positions_that_are_not_finite_are_in_no_cell():
    positions = np.zeros((1, 1, 5, 2))
    positions[0, 0, 1:] = [[np.nan, 0], [0, np.inf], [-np.inf, 0], [1e30, 0]]
    grid = RingNavigation().grid
    assert coverage(grid, positions, [[4]]) * grid.within_reach.sum() == pytest.approx(1)


def test_coverage_is_recorded_in_each_stage_as_the_mean_over_tasks():
    still, moving = np.zeros((1, 1, 11, 2)), np.zeros((1, 1, 11, 2))
    moving[..., 0] = np.arange(11)
    grid = RingNavigation().grid
    before, after = (
        episodes(np.concatenate([still, still]), [[10], [10]]),
        episodes(np.concatenate([still, moving]), [[10], [10]]),
    )
    metrics = jax.jit(lambda stages: outcomes(stages, grid))([before, after])
    assert metrics["Train-0/Coverage"] == pytest.approx(1 / 317)
    assert metrics["Valid/Coverage"] == pytest.approx((1 + 11) / 2 / 317)
    assert not any("Coverage" in name for name in jax.eval_shape(outcomes, [before, after]))
