"""Reward proximity against brute force, and what it must not depend on."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.configuration.gradients import Experiment
from mime.envs.pendulum import Pendulum
from mime.exploration.linear_gain import LinearInformationGain
from mime.exploration.reward_proximity import RewardProximity
from mime.sampling.episodes import Episodes
from tests.exploration.making import make_bonus

KEY = jax.random.key(0)
ACTIONS = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
RNG = np.random.default_rng(0)
POSITIONS = RNG.normal(size=(6, 40, 2)) * [1, 30] + 5
FEW = np.zeros((6, 40))
FEW[1, 12], FEW[1, 13], FEW[4, 30] = 1, 3, 0.5


def episodes_at(positions, rewards, valid=None):
    """Trajectories that arrive at `positions` [trajectories steps coordinates]."""
    positions, rewards = jnp.asarray(positions, jnp.float32), jnp.asarray(rewards, jnp.float32)
    valid = jnp.ones(rewards.shape, bool) if valid is None else jnp.asarray(valid)
    before = jnp.zeros_like(positions)
    return Episodes(before, before, rewards, positions, jnp.zeros(rewards.shape, bool), valid)


def gain_of(size, places=None):
    return LinearInformationGain(size, ACTIONS, inputs="arrival", varying=places)


def proximity(positions, rewards, *, valid=None, places=None):
    """The bonus of such trajectories."""
    bonus = RewardProximity(gain_of(np.shape(positions)[-1] if places is None else len(places), places), places)
    return np.asarray(bonus.rewards(bonus.init(key=KEY), episodes_at(positions, rewards, valid), key=KEY))


def test_distance_to_the_nearest_rewarded_place_by_brute_force():
    units_key = jax.random.split(KEY)[0]
    points = POSITIONS.reshape(-1, 2)
    spread = points[np.asarray(jax.random.choice(units_key, len(points), (64,), p=jnp.full(240, 1 / 240)))].std(axis=0)
    goals = POSITIONS[FEW > 0]
    nearest = [min(np.linalg.norm((point - goal) / spread) for goal in goals) for point in points]
    np.testing.assert_allclose(proximity(POSITIONS, FEW).ravel(), -np.array(nearest), atol=2e-5)


@pytest.mark.parametrize("reward", [0.0, -0.3])
def test_as_long_as_nothing_is_found_it_is_the_information_gain(reward):
    ours, gain = proximity(POSITIONS, np.full((6, 40), reward)), gain_of(2)
    theirs = gain.rewards(gain.init(key=KEY), episodes_at(POSITIONS, np.zeros((6, 40))), key=KEY)
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert ours.min() > 0


def test_a_rewarded_place_is_where_it_is_greatest():
    rewards = proximity(POSITIONS, FEW)
    assert (rewards[FEW > 0] == 0).all()
    assert (rewards[FEW == 0] < 0).all()


@pytest.mark.parametrize("change", [lambda r: 100 * r, lambda r: r - 2, np.sign])
def test_it_matters_where_rewards_are_and_not_how_large(change):
    np.testing.assert_array_equal(proximity(POSITIONS, change(FEW)), proximity(POSITIONS, FEW))


def test_units_do_not_matter():
    np.testing.assert_allclose(proximity([100, 0.01] * POSITIONS, FEW), proximity(POSITIONS, FEW), rtol=1e-4)


def test_what_does_not_count_does_not_matter():
    noise = RNG.normal(size=(6, 40, 1))
    counted = proximity(np.concatenate([POSITIONS, noise], axis=-1), FEW, places=(0, 1))
    np.testing.assert_allclose(counted, proximity(POSITIONS, FEW), rtol=1e-6)


def test_steps_after_an_end_count_nowhere():
    valid = np.ones((6, 40), bool)
    valid[1, 20:] = valid[4, 31:] = False
    moved = POSITIONS.copy()
    moved[~valid] = 1000
    rewards = FEW.copy()
    rewards[~valid] = 1
    ours = proximity(moved, rewards, valid=valid)
    np.testing.assert_array_equal(ours[valid], proximity(POSITIONS, FEW, valid=valid)[valid])


def test_rewards_after_an_end_are_not_found():
    valid = np.ones((6, 40), bool)
    valid[1, 12:] = valid[4, 25:] = False
    unrewarded = proximity(POSITIONS, np.zeros((6, 40)), valid=valid)
    np.testing.assert_array_equal(proximity(POSITIONS, FEW, valid=valid), unrewarded)
    assert not unrewarded[~valid].any()


def test_a_pendulum_is_near_upright_whatever_its_speed():
    env = Pendulum(sparse=True)
    experiment = Experiment(use_vime=True, bonus="reward-proximity")
    bonus = make_bonus(experiment, env.observation_space, env.action_space, num_tasks=6, places=env.places)
    angles, speeds = RNG.uniform(-np.pi, np.pi, (4, 50)), RNG.normal(size=(4, 50))
    angles[2, 20] = 0
    arrived = jnp.asarray(np.stack([np.cos(angles), np.sin(angles), speeds], axis=-1), jnp.float32)
    found = jnp.asarray(angles == 0)
    episodes = Episodes(arrived, arrived[..., :1], found.astype(jnp.float32), arrived, found, jnp.ones_like(found))
    rewards = bonus.rewards(bonus.init(key=KEY), episodes, key=KEY).ravel()
    order = np.argsort(np.abs(angles).ravel())
    # The sine's and the cosine's units differ a little, so that order is exact within a quarter turn.
    near = order[np.abs(angles).ravel()[order] < np.pi / 2]
    assert (np.diff(np.asarray(rewards)[near]) < 1e-6).mean() > 0.9
    assert np.argmax(np.asarray(rewards)) == order[0]
