"""Tabular decision processes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.configuration.keys import ConfigurationError
from mime.envs import registration
from mime.policies.making import make_policy
from mime.sampling.compiled import CompiledSampler
from tests import small_runs

KEY = jax.random.key(0)
NAME = "TabularMDP-v0"


def test_decision_processes_follow_their_tables():
    environment = registration.make(NAME, {})
    task = jax.tree.map(lambda leaf: leaf[0], environment.sample_tasks(KEY, 1))
    np.testing.assert_allclose(task.transitions.sum(axis=-1), 1, atol=1e-5)
    state, action, keys = jnp.asarray(3), jnp.asarray(2), jax.random.split(KEY, 8000)
    following = jax.vmap(lambda key: environment.transition(state, action, key, task))(keys)
    np.testing.assert_allclose(np.bincount(following, minlength=10) / 8000, task.transitions[3, 2], atol=0.02)
    rewards = jax.vmap(lambda key: environment.reward(state, action, state, key, task))(keys)
    np.testing.assert_allclose(jnp.mean(rewards), task.rewards[3, 2], atol=0.05)
    np.testing.assert_allclose(jnp.std(rewards), 1, atol=0.05)
    # The same key draws both: they must not be the same numbers.
    assert abs(np.corrcoef(following, rewards)[0, 1]) < 0.05


def test_it_can_be_sampled_from():
    environment = registration.make(NAME, {})
    policy = make_policy(
        environment.observation_space, environment.action_space, hidden_sizes=(4,), nonlinearity="relu", key=KEY
    )
    policies = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), policy)
    episodes = CompiledSampler(environment, 2)(policies, environment.sample_tasks(KEY, 3), KEY)
    assert episodes.rewards.shape == (3, 2, environment.horizon)
    assert episodes.valid.all()


def test_impossible_sizes_are_refused():
    with pytest.raises(ConfigurationError, match="must be 2 or more"):
        small_runs.build({"env-name": NAME, "env-kwargs": {"states": 1}})
