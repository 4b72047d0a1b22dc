"""Bandits and tabular decision processes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.configuration import parsing
from mime.envs import registration
from mime.policies.making import make_policy
from mime.sampling.compiled import CompiledSampler

KEY = jax.random.key(0)


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


def test_decision_processes_follow_their_tables():
    environment = registration.make("TabularMDP-v0", {})
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


@pytest.mark.parametrize("name", ["Bandit-K5-v0", "TabularMDP-v0"])
def test_they_can_be_sampled_from(name):
    environment = registration.make(name, {})
    policy = make_policy(
        environment.observation_space, environment.action_space, hidden_sizes=(4,), nonlinearity="relu", key=KEY
    )
    policies = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), policy)
    episodes = CompiledSampler(environment, 2)(policies, environment.sample_tasks(KEY, 3), KEY)
    assert episodes.rewards.shape == (3, 2, environment.horizon)
    assert episodes.valid.all()


@pytest.mark.parametrize(("name", "arguments"), [("Bandit-K5-v0", {"arms": 1}), ("TabularMDP-v0", {"states": 1})])
def test_impossible_sizes_are_refused(name, arguments):
    with pytest.raises(config.ConfigurationError, match="must be 2 or more"):
        parsing.parse({"env-name": name, "env-kwargs": arguments}, source="test")
