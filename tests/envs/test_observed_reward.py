"""Environments whose last reward is observed: the same episodes otherwise, and nothing for bonuses to see of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.envs.dog_house import DogHouse
from mime.envs.navigation import RingNavigation
from mime.envs.observed_reward import ObservedReward, with_observed_reward
from mime.policies.distributions import Gaussian
from mime.sampling.compiled import rollout

KEY = jax.random.key(0)


def eastwards(observation):
    """The same actions whatever is observed."""
    return Gaussian(jnp.array([0.1, 0.0]), jnp.array([-3.0, -3.0]))


@pytest.fixture(scope="module")
def episodes():
    """The same episode without and with its rewards observed."""
    environment, goal = RingNavigation(low=2.0, high=3.0), jnp.array([2.5, 0.0])
    return [rollout(each, eastwards, goal, KEY) for each in (environment, ObservedReward(environment))]


def test_the_episode_is_the_same_but_for_the_observations(episodes):
    plain, observed = episodes
    for name in ("actions", "rewards", "success", "valid"):
        np.testing.assert_array_equal(getattr(observed, name), getattr(plain, name))
    np.testing.assert_array_equal(observed.observations[:, :2], plain.observations)
    assert 0 < np.sum(plain.rewards) < 100


def test_the_last_number_is_the_reward_of_the_step_before(episodes):
    _, observed = episodes
    np.testing.assert_array_equal(observed.next_observations[:, 2], observed.rewards)
    np.testing.assert_array_equal(observed.observations[1:, 2], observed.rewards[:-1])
    assert observed.observations[0, 2] == 0


def test_what_a_bonus_sees_does_not_grow():
    assert ObservedReward(RingNavigation()).places == (0, 1)
    assert ObservedReward(DogHouse()).places == DogHouse().places
    assert ObservedReward(RingNavigation()).observation_space.shape == (3,)


def test_environments_outside_jax_are_refused():
    with pytest.raises(ValueError, match="observe-reward: true needs an environment written in JAX"):
        with_observed_reward(object())
