"""Compiled rollouts against loops in Python, in environments where everything is random or where episodes end."""

from types import SimpleNamespace

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mime.envs.navigation import DenseNavigation
from mime.envs.task_environment import TaskEnvironment
from mime.policies.feedforward import CategoricalPolicy, GaussianPolicy
from mime.sampling.compiled import CompiledSampler
from mime.sampling.episodes import Sampler

KEY = jax.random.key(0)
TASKS, TRAJECTORIES = 3, 4


class Drunkard(TaskEnvironment):
    """Start, moves, observations and rewards are all noisy. The task is a drift; an episode ends beyond 4."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,))
    action_space = gymnasium.spaces.Box(-1, 1, (2,))
    horizon = 6

    def initial(self, rng, params=None):
        return 0.1 * jax.random.normal(rng, (2,))

    def observation(self, state, rng, params=None):
        return state + 0.5 * jax.random.normal(jax.random.fold_in(rng, 1), (2,))

    def transition(self, state, action, rng, params=None):
        return state + 0.3 * action + params + 0.1 * jax.random.normal(jax.random.fold_in(rng, 2), (2,))

    def reward(self, state, action, next_state, rng, params=None):
        noise = jax.random.normal(jax.random.fold_in(rng, 3))
        return jnp.sum(state * params) + 10 * jnp.sum(next_state) + jnp.sum(action) + noise

    def terminal(self, state, rng, params=None):
        return jnp.linalg.norm(state) > 4

    def success(self, state, task):
        return state[0] > 0.5


DRIFTS = jnp.array([[0.2, 0.0], [-0.1, 0.3], [0.0, 0.0]])


def several(make):
    """Different policies, one for each task."""
    return eqx.filter_vmap(make)(jax.random.split(KEY, TASKS))


def wide(key):
    """A policy with a random bias and standard deviation."""
    policy = GaussianPolicy(2, 2, hidden_sizes=(3,), key=key)
    values = {"mu.bias": jax.random.normal(key, (2,)), "sigma": -jax.random.uniform(key, (2,))}
    return policy.with_parameters(policy.named_parameters() | values)


@pytest.fixture(scope="module")
def drunkard():
    sampler = CompiledSampler(Drunkard(), TRAJECTORIES)
    policies = several(wide)
    return SimpleNamespace(sampler=sampler, policies=policies, episodes=sampler(policies, DRIFTS, KEY))


def test_it_is_a_sampler(drunkard):
    assert isinstance(drunkard.sampler, Sampler)
    assert drunkard.sampler.compiled


def test_shapes_and_types(drunkard):
    episodes = drunkard.episodes
    axes = (TASKS, TRAJECTORIES, Drunkard.horizon)
    shapes = {name: leaf.shape for name, leaf in vars(episodes).items() if leaf is not None}
    assert shapes == {
        "observations": (*axes, 2),
        "actions": (*axes, 2),
        "rewards": axes,
        "next_observations": (*axes, 2),
        "success": axes,
        "valid": axes,
    }
    assert episodes.valid.dtype == episodes.success.dtype == bool
    assert episodes.rewards.dtype == episodes.actions.dtype == jnp.float32


def test_like_a_loop_in_python(drunkard):
    """The loop draws from the same keys, but knows nothing of masks, scans and batches."""
    environment = Drunkard()
    functions = {name: jax.jit(getattr(environment, name)) for name in ("observation", "transition", "reward")}
    keys = jax.random.split(KEY, (TASKS, TRAJECTORIES))
    ended = 0
    for index in np.ndindex(TASKS, TRAJECTORIES):
        policy = jax.tree.map(lambda leaf, i=index[0]: leaf[i], drunkard.policies)
        goal = DRIFTS[index[0]]
        initial_key, steps_key = jax.random.split(keys[index])
        state = environment.initial(initial_key, goal)
        observation = functions["observation"](state, initial_key, goal)
        for t, step_key in enumerate(jax.random.split(steps_key, environment.horizon)):
            action_key, environment_key = jax.random.split(step_key)
            distribution = policy(observation)
            action = distribution.mean + jnp.exp(distribution.log_std) * jax.random.normal(action_key, (2,))
            after = functions["transition"](state, action, environment_key, goal)
            expected = {
                "observations": observation,
                "actions": action,
                "rewards": functions["reward"](state, action, after, environment_key, goal),
                "next_observations": functions["observation"](after, environment_key, goal),
                "success": after[0] > 0.5,
                "valid": True,
            }
            for name, value in expected.items():
                np.testing.assert_allclose(
                    getattr(drunkard.episodes, name)[*index, t], value, atol=2e-5, err_msg=f"{name} {index} {t}"
                )
            state, observation = after, expected["next_observations"]
            if np.linalg.norm(after) > 4:
                assert not np.any(drunkard.episodes.valid[*index, t + 1 :])
                ended += t + 1 < environment.horizon
                break
    assert 0 < ended < TASKS * TRAJECTORIES


def test_the_policy_sees_the_observation_that_was_recorded(drunkard):
    """Observations may be random: what ends one step and starts the next is a single draw."""
    both = np.asarray(drunkard.episodes.valid)[..., 1:]
    assert both.any()
    np.testing.assert_array_equal(
        np.asarray(drunkard.episodes.observations)[..., 1:, :][both],
        np.asarray(drunkard.episodes.next_observations)[..., :-1, :][both],
    )


def test_same_key_same_episodes_other_key_others(drunkard):
    again = drunkard.sampler(drunkard.policies, DRIFTS, KEY)
    other = drunkard.sampler(drunkard.policies, DRIFTS, jax.random.key(1))
    for name in ("observations", "actions", "rewards", "next_observations", "valid"):
        np.testing.assert_array_equal(getattr(again, name), getattr(drunkard.episodes, name))
    assert not np.any(np.isclose(other.actions, drunkard.episodes.actions, atol=1e-6).all(axis=-1))


def standard_policy(key):
    """N(0, 1) in every state."""
    policy = GaussianPolicy(2, 2, hidden_sizes=(), key=key)
    return policy.with_parameters(policy.named_parameters() | {"mu.weight": jnp.zeros((2, 2))})


def test_noise_is_normal_and_independent():
    tasks, trajectories = 6, 10
    sampler = CompiledSampler(DenseNavigation(), trajectories)
    policies = eqx.filter_vmap(standard_policy)(jax.random.split(KEY, tasks))
    actions = np.asarray(sampler(policies, jnp.full((tasks, 2), 0.4), KEY).actions, np.float64)
    assert stats.kstest(actions.ravel(), stats.norm.cdf).pvalue > 1e-4
    assert len(np.unique(actions)) > 0.999 * actions.size
    # Every trajectory is a row of 200 numbers; the largest of 1770 correlations stays below 5 standard errors. Shifted
    # by a step, a trajectory does not resemble itself or any other either.
    rows = actions.reshape(tasks * trajectories, -1)
    correlations = np.corrcoef(rows)[np.triu_indices(len(rows), 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(rows.shape[1])
    shifted = (rows[:, None, 2:] * rows[None, :, :-2]).mean(axis=-1)
    assert np.abs(shifted).max() < 5 / np.sqrt(rows.shape[1] - 2)
    columns = np.corrcoef(rows.T)[np.triu_indices(rows.shape[1], 1)]
    assert columns.std() < 1.1 / np.sqrt(len(rows) - 1)


def test_steps_after_the_end_are_invalid():
    """A policy that walks towards each task's goal by 0.1 a step; the goals are 1, 3 and more steps away."""

    def heading(direction):
        policy = GaussianPolicy(2, 2, hidden_sizes=(), key=KEY)
        values = {"mu.weight": jnp.zeros((2, 2)), "mu.bias": direction, "sigma": jnp.full(2, -20.0)}
        return policy.with_parameters(policy.named_parameters() | values)

    directions = jnp.array([[0.1, 0.1], [-0.1, 0.1], [0.1, 0.0]])
    goals = jnp.array([[0.1, 0.1], [-0.3, 0.3], [0.45, 0.0]])
    episodes = CompiledSampler(DenseNavigation(), 2)(eqx.filter_vmap(heading)(directions), goals, KEY)
    lengths = np.array([1, 3, 100])
    expected = np.broadcast_to(np.arange(100) < lengths[:, None, None], (3, 2, 100))
    np.testing.assert_array_equal(episodes.valid, expected)
    np.testing.assert_array_equal(episodes.solved(), [[True] * 2, [True] * 2, [False] * 2])
    # The step that ends an episode counts: its reward is 0, after two steps at distances 2 and 1 times 0.1 sqrt(2).
    np.testing.assert_allclose(episodes.returns()[:2], [[0, 0], [-0.3 * np.sqrt(2)] * 2], atol=1e-5)


def test_discrete_actions():
    class Arms(Drunkard):
        action_space = gymnasium.spaces.Discrete(3)
        horizon = 2

        def transition(self, state, action, rng, params=None):
            return state + params * action

        def reward(self, state, action, next_state, rng, params=None):
            return action.astype(float)

    def biased(logits):
        policy = CategoricalPolicy(2, 3, hidden_sizes=(), key=KEY)
        return policy.with_parameters({"layer1.weight": jnp.zeros((3, 2)), "layer1.bias": logits})

    probabilities = np.array([[0.2, 0.5, 0.3], [0.7, 0.2, 0.1]])
    policies = eqx.filter_vmap(biased)(jnp.log(jnp.asarray(probabilities, jnp.float32)))
    episodes = CompiledSampler(Arms(), 2000)(policies, DRIFTS[1:], KEY)
    assert episodes.actions.shape == (2, 2000, 2)
    assert jnp.issubdtype(episodes.actions.dtype, jnp.integer)
    np.testing.assert_array_equal(episodes.actions, episodes.rewards)
    for actions, expected in zip(np.asarray(episodes.actions), probabilities):
        counts = np.bincount(actions.ravel(), minlength=3)
        assert stats.chisquare(counts, actions.size * expected).pvalue > 1e-4
