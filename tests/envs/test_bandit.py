"""Bernoulli bandits."""

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
NAME = "Bandit-K5-v0"


@pytest.mark.parametrize("arms", [5, 10, 50])
def test_arms_pay_with_their_probabilities(arms):
    environment = registration.make(f"Bandit-K{arms}-v0", {})
    assert environment.action_space.n == arms
    task = environment.sample_tasks(KEY, 1)[0]
    assert task.shape == (arms,)
    keys = jax.random.split(KEY, 4000)
    for arm in (0, arms - 1):
        pulled = environment.transition(jnp.zeros((), int), jnp.asarray(arm), KEY, task)
        pays = jax.vmap(lambda key, arm=pulled: environment.reward(arm, arm, arm, key, task))(keys)
        assert set(np.unique(pays)) <= {0.0, 1.0}
        assert abs(float(jnp.mean(pays)) - float(task[arm])) < 0.03
    assert [bool(environment.success(jnp.asarray(arm), task)) for arm in range(arms)].count(True) == 1
    assert environment.success(jnp.argmax(task), task)


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
        small_runs.build({"env-name": NAME, "env-kwargs": {"arms": 1}})
