"""What all bonuses have in common: the key's every value makes one, which rewards every step of a task's episodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.configuration.gradients import BONUS_NAMES, Experiment
from mime.envs.pendulum import Pendulum
from mime.exploration.bonus import Bonus
from mime.sampling.episodes import Episodes
from tests.exploration.making import make_bonus

KEY = jax.random.key(0)


@pytest.mark.parametrize("name", BONUS_NAMES)
def test_every_name_makes_a_bonus(name):
    env = Pendulum(sparse=True)
    experiment = Experiment(use_vime=True, bonus=name)
    bonus = make_bonus(experiment, env.observation_space, env.action_space, num_tasks=6, places=env.places)
    assert isinstance(bonus, Bonus)
    rng = np.random.default_rng(0)
    before, after = jnp.asarray(rng.normal(size=(2, 20, 50, 3)), jnp.float32)
    found = jnp.asarray(rng.random((20, 50)) < 0.2)
    actions, rewards = jnp.asarray(rng.normal(size=(20, 50, 1)), jnp.float32), found.astype(jnp.float32)
    episodes = Episodes(before, actions, rewards, after, found, jnp.ones_like(found))
    rewards = np.asarray(bonus.rewards(bonus.init(key=KEY), episodes, key=KEY))
    assert rewards.shape == (20, 50)
    assert np.isfinite(rewards).all()
    assert rewards.std() > 0
