"""State entropy against brute force, and what it must not depend on."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.configuration.gradients import Experiment
from mime.envs.dog_house import DogHouse
from mime.exploration.state_entropy import StateEntropy
from mime.sampling.episodes import Episodes
from tests.exploration.making import make_bonus

KEY = jax.random.key(0)


def episodes_at(positions, *, rewards=0.0, valid=None):
    """Trajectories that arrive at `positions` [trajectories steps coordinates]."""
    positions = jnp.asarray(positions, jnp.float32)
    shape = positions.shape[:-1]
    valid = jnp.ones(shape, bool) if valid is None else jnp.asarray(valid)
    before = jnp.zeros_like(positions)
    return Episodes(before, before, jnp.full(shape, rewards), positions, jnp.zeros(shape, bool), valid)


@pytest.mark.parametrize("num_points", [40, 700])
def test_distances_by_brute_force(num_points):
    rng = np.random.default_rng(num_points)
    points = rng.normal(size=(num_points, 2)) * [1, 30] + 5
    valid = rng.random(num_points) < 0.7
    ours = StateEntropy().rewards((), episodes_at(points[None], rewards=0.0, valid=valid[None]), key=KEY)[0]
    share = jnp.asarray(valid / valid.sum(), jnp.float32)
    chosen = np.asarray(jax.random.choice(KEY, num_points, (StateEntropy.num_samples,), p=share))
    assert valid[chosen].all()
    samples = points[chosen]
    for point, distance in zip(points, np.asarray(ours)):
        ranked = sorted(np.sqrt(np.sum(((point - s) / samples.std(axis=0)) ** 2)) for s in samples)
        assert distance == pytest.approx(ranked[2], abs=1e-4)


def test_what_is_far_from_the_rest_is_rewarded_more():
    rng = np.random.default_rng(0)
    positions = 0.1 * rng.normal(size=(4, 50, 2))
    positions[2, 30] = 5, 5
    rewards = np.asarray(StateEntropy().rewards((), episodes_at(positions), key=KEY))
    assert rewards.shape == (4, 50)
    assert np.unravel_index(np.argmax(rewards), rewards.shape) == (2, 30)


def test_rewards_do_not_depend_on_the_task_rewards_nor_on_units():
    positions = np.random.default_rng(0).normal(size=(3, 20, 2))
    plain, paid, in_centimetres = (
        StateEntropy().rewards((), episodes, key=KEY)
        for episodes in (episodes_at(positions), episodes_at(positions, rewards=7.0), episodes_at(100 * positions))
    )
    np.testing.assert_array_equal(plain, paid)
    np.testing.assert_allclose(plain, in_centimetres, atol=1e-4)


def test_coordinates_that_do_not_vary_or_do_not_count_change_nothing():
    rng = np.random.default_rng(0)
    positions = rng.normal(size=(3, 20, 2))
    constant, noise = np.full((3, 20, 1), 4.0), rng.normal(size=(3, 20, 1))
    expected = StateEntropy().rewards((), episodes_at(positions), key=KEY)
    with_constant = StateEntropy().rewards((), episodes_at(np.concatenate([positions, constant], -1)), key=KEY)
    uncounted = episodes_at(np.concatenate([positions, noise], -1))
    np.testing.assert_allclose(with_constant, expected, atol=1e-6)
    np.testing.assert_allclose(StateEntropy(places=(0, 1)).rewards((), uncounted, key=KEY), expected, atol=1e-6)


def test_steps_after_an_end_are_no_ones_neighbours():
    positions = np.random.default_rng(0).normal(size=(2, 30, 2))
    valid = np.ones((2, 30), bool)
    valid[1, 10:] = False
    moved = positions.copy()
    moved[1, 10:] = 1000
    rewards = [StateEntropy().rewards((), episodes_at(p, valid=valid), key=KEY) for p in (positions, moved)]
    np.testing.assert_array_equal(*(np.asarray(r)[valid] for r in rewards))


def test_a_robot_that_never_moves_gets_no_reward():
    rewards = StateEntropy().rewards((), episodes_at(np.ones((3, 20, 2))), key=KEY)
    np.testing.assert_array_equal(rewards, np.zeros((3, 20)))


def test_the_mean_is_that_of_uniform_points():
    """Of n uniform points in a square of area a, the 3rd nearest is Γ(3.5)/Γ(3) sqrt(a / (π n)) away, edges aside."""
    positions = np.random.default_rng(0).random((50, 200, 2))
    inside = ((positions > 0.25) & (positions < 0.75)).all(-1)
    rewards = np.asarray(StateEntropy().rewards((), episodes_at(positions), key=KEY))
    # A uniform coordinate's standard deviation is 1 / sqrt(12), so that the square's area is 12.
    expected = math.gamma(3.5) / math.gamma(3) * math.sqrt(12 / (math.pi * StateEntropy.num_samples))
    assert rewards[inside].mean() == pytest.approx(expected, rel=0.1)


def test_the_mean_grows_with_the_entropy_of_the_states():
    """Uniform on a disc and on its rim have the same spread; the disc's states are the more entropic."""
    rng = np.random.default_rng(0)
    angles, radii = rng.uniform(0, 2 * np.pi, (20, 100)), np.sqrt(rng.random((20, 100)))
    rim = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    means = [
        float(jnp.mean(StateEntropy().rewards((), episodes_at(p), key=KEY))) for p in (radii[..., None] * rim, rim)
    ]
    assert means[0] > 2 * means[1]


def test_in_the_dog_house_the_bump_makes_no_place_new():
    house = DogHouse()
    experiment = Experiment(use_vime=True, bonus="state-entropy")
    bonus = make_bonus(experiment, house.observation_space, house.action_space, num_tasks=3, places=house.places)
    rng = np.random.default_rng(0)
    places, bumps = rng.uniform(0, 10, (3, 20, 2)), rng.integers(0, 2, (3, 20, 1))
    felt, not_felt = (episodes_at(np.concatenate([places, bump], -1)) for bump in (bumps, 0 * bumps))
    np.testing.assert_array_equal(bonus.rewards((), felt, key=KEY), bonus.rewards((), not_felt, key=KEY))
