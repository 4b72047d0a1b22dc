"""The recurrent policy: what it reads, that it remembers, its gradient through time, and its twin in NumPy."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.envs.navigation import RingNavigation
from mime.policies.recurrent import GRU, make_recurrent
from mime.sampling.compiled import trial

KEY = jax.random.key(0)
SPACES = {
    "box": gymnasium.spaces.Box(np.array([-1, -2], np.float32), np.array([3, np.inf], np.float32)),
    "discrete": gymnasium.spaces.Discrete(3),
}
OBSERVATIONS = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)


def policy_for(actions, observations=OBSERVATIONS, **options):
    keys = {"hidden_size": 5, "observation_scale": 0.5, "reward_scale": 2.0, "initial_std": 0.7, "min_std": 1e-6}
    return make_recurrent(observations, actions, **keys | options, key=KEY)[0]


class EndsEarly(RingNavigation):
    """A ring whose episodes end once the point is far to the east: some early, some never."""

    def terminal(self, state, rng, params=None):
        return state[0] > 0.15


@pytest.fixture(scope="module")
def recorded():
    """A trial of three episodes whose actions are, but for a millionth, the means of their distributions."""
    environment = EndsEarly(low=1.0, high=2.0, horizon=6)
    policy = policy_for(environment.action_space, environment.observation_space, initial_std=1e-6)
    run = jax.jit(lambda key: trial(environment, policy, jnp.array([0.2, 0.0]), key, num_episodes=3))
    return policy, run(KEY)


def test_recorded_trials_are_read_as_they_were_acted(recorded):
    policy, episodes = recorded
    inputs = policy.inputs(episodes.observations, episodes.actions, episodes.rewards, episodes.valid)
    valid = episodes.valid.ravel()
    means = policy.actions.distribution(policy.network.unroll(inputs, valid)).mean
    np.testing.assert_allclose(means[valid], episodes.actions.reshape(-1, 2)[valid], atol=1e-5)


def test_the_memory_crosses_episodes(recorded):
    policy, episodes = recorded
    firsts = np.asarray(episodes.actions[:, 0])
    alone = policy(episodes.observations[1, 0], policy.start())[0].mean
    np.testing.assert_allclose(firsts[0], alone, atol=1e-5)
    assert np.abs(firsts[1] - firsts[0]).max() > 1e-3
    assert np.abs(firsts[2] - firsts[1]).max() > 1e-4


def test_inputs_skip_what_did_not_take_place():
    policy = policy_for(SPACES["discrete"])
    observations = jnp.arange(12.0).reshape(2, 3, 2)
    actions, rewards = jnp.array([[0, 1, 2], [2, 1, 0]]), jnp.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    valid = jnp.array([[True, True, False], [True, True, True]])
    inputs = np.asarray(policy.inputs(observations, actions, rewards, valid))
    np.testing.assert_array_equal(inputs[:, :2], 0.5 * observations.reshape(6, 2))
    # The action of the last step that took place, one-hot, twice its reward, and whether an episode has just ended.
    told = [[0, 0, 0, 0, 0], [1, 0, 0, 2, 0], [0, 1, 0, 4, 0], [0, 1, 0, 4, 1], [0, 0, 1, 8, 0], [0, 1, 0, 10, 0]]
    np.testing.assert_array_equal(inputs[:, 2:], told)


def test_the_gradient_through_time_is_that_of_finite_differences():
    with jax.enable_x64(True):
        network = GRU(3, 4, 2, key=KEY)
        inputs = jax.random.normal(jax.random.key(1), (7, 3))
        valid = jnp.array([True, True, True, False, True, True, True])
        weights = jax.random.normal(jax.random.key(2), (7, 2))

        def number(network):
            return jnp.sum(weights * network.unroll(inputs, valid))

        leaves, form = jax.tree.flatten(network)
        gradient = jax.tree.leaves(jax.jit(jax.grad(number))(network))
        value = jax.jit(lambda leaves: number(jax.tree.unflatten(form, leaves)))
        for place, leaf in enumerate(leaves):
            direction = jax.random.normal(jax.random.key(3), leaf.shape)
            ahead, behind = (
                value([*leaves[:place], leaf + step * direction, *leaves[place + 1 :]]) for step in (1e-6, -1e-6)
            )
            np.testing.assert_allclose((ahead - behind) / 2e-6, jnp.sum(gradient[place] * direction), rtol=1e-7)


@pytest.mark.parametrize(("bptt_steps", "reached"), [(None, range(9)), (4, [8]), (3, [6, 7, 8]), (9, range(9))])
def test_truncation_cuts_the_gradient_and_nothing_else(bptt_steps, reached):
    network = GRU(3, 4, 2, key=KEY)
    inputs, valid = jax.random.normal(jax.random.key(1), (9, 3)), jnp.ones(9, bool)

    def last(inputs):
        outputs = network.unroll(inputs, valid, bptt_steps=bptt_steps)
        return jnp.sum(outputs[-1]), outputs

    (_, outputs), slopes = jax.value_and_grad(last, has_aux=True)(inputs)
    np.testing.assert_allclose(outputs, network.unroll(inputs, valid), rtol=1e-5, atol=1e-6)
    assert np.flatnonzero(np.abs(slopes).max(axis=1)).tolist() == list(reached)


@pytest.mark.parametrize("kind", SPACES)
def test_the_twin_in_numpy_acts_alike(kind):
    policy = policy_for(SPACES[kind])
    named = jax.tree.map(np.asarray, policy.named_parameters())
    twin, carry, rng = policy.in_numpy(named), policy.start(), np.random.default_rng(0)
    for step in range(6):
        if step % 3 == 0:
            twin.given(None)
            carry = policy.next_episode(carry) if step else carry
        observation = rng.normal(size=2).astype(np.float32)
        distribution, carry = policy(jnp.asarray(observation), carry)
        noise = np.zeros(policy.actions.size, np.float32)
        action = twin.act(observation, noise)
        if kind == "box":
            np.testing.assert_allclose(action, distribution.mean, rtol=1e-5, atol=1e-6)
            moved = twin.actions.choice(np.zeros(2, np.float32), np.ones(2, np.float32))
            still = twin.actions.choice(np.zeros(2, np.float32), np.zeros(2, np.float32))
            np.testing.assert_allclose(moved - still, np.exp(distribution.log_std), rtol=1e-5)
        else:
            assert action == np.argmax(distribution.logits)
        reward = float(rng.normal())
        carry = policy.remember(carry, jnp.asarray(action), jnp.asarray(reward))
        twin.remember(action, reward)
        np.testing.assert_allclose(twin.hidden, carry.hidden, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", SPACES)
def test_named_parameters_are_read_back(kind):
    policy = policy_for(SPACES[kind])
    other = jax.tree.map(lambda leaf: leaf + 1, policy)
    restored = policy.with_parameters(other.named_parameters())
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), restored, other)


def test_other_spaces_are_refused():
    with pytest.raises(ValueError, match="actions must be Discrete or a Box of one axis"):
        policy_for(gymnasium.spaces.MultiBinary(3))
    with pytest.raises(ValueError, match="observations must be a vector"):
        policy_for(SPACES["box"], gymnasium.spaces.Box(0, 1, (2, 2)))
