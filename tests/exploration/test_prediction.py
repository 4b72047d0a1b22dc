"""Bonuses from prediction: novelty against loops, learning, and what they must not depend on."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.exploration.disagreement import EnsembleDisagreement
from mime.exploration.rnd import RandomNetworkDistillation
from mime.sampling.episodes import Episodes

KEY = jax.random.key(0)
BOX = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
BONUSES = [RandomNetworkDistillation, EnsembleDisagreement]


def make(kind, *, space=BOX, varying=None, size=2):
    return kind(size, space, (16,), varying)


def walks(seed, *, tasks=2, trajectories=3, steps=40, centre=0.0, rewards=0.0, discrete=False):
    """Random walks from a centre."""
    rng = np.random.default_rng(seed)
    shape = tasks, trajectories, steps
    actions = rng.integers(0, 3, shape) if discrete else rng.normal(size=(*shape, 2))
    moves = np.stack([actions - 1.0, 0.3 * actions], axis=-1) if discrete else actions
    after = centre + 0.1 * np.cumsum(moves, axis=2)
    before = np.concatenate([np.full((*shape[:2], 1, 2), centre), after[:, :, :-1]], axis=2)
    arrays = before, actions, np.full(shape, rewards), after, np.zeros(shape, bool), np.ones(shape, bool)
    kinds = {float: jnp.float32, int: jnp.int32, bool: bool}
    return Episodes(*(jnp.asarray(a, kinds[type(a.ravel()[0].item())]) for a in arrays))


def one_task(episodes):
    return jax.tree.map(lambda leaf: leaf[0], episodes)


def learned(bonus, *batches, iterations=40):
    state = bonus.init(key=KEY)
    update = jax.jit(lambda s, e, i: bonus.update(s, [e], e, iteration=i, key=jax.random.key(i))[0])
    for number in range(iterations):
        # One program at a time: dozens in flight on two devices starve each other of threads.
        state = jax.block_until_ready(update(state, batches[number % len(batches)], number))
    return state


def apply(network, inputs):
    """A tanh network in NumPy."""
    for depth, layer in enumerate(network.layers):
        hidden = inputs if depth == 0 else np.tanh(inputs)
        inputs = np.asarray(layer.weight, np.float64) @ hidden + np.asarray(layer.bias)
    return inputs


def standardised(state, vector):
    s = state.statistics
    return (vector - np.asarray(s.mean)) / np.sqrt(np.asarray(s.sum_of_squares / s.count, np.float64))


@pytest.mark.parametrize("discrete", [False, True])
@pytest.mark.parametrize("kind", BONUSES)
def test_novelty_like_a_loop(kind, discrete):
    bonus = make(kind, space=gymnasium.spaces.Discrete(3) if discrete else BOX)
    episodes = walks(0, discrete=discrete)
    state = learned(bonus, episodes, iterations=2)
    task = one_task(episodes)
    rewards = np.asarray(bonus.rewards(state, task, key=KEY))
    for place in np.ndindex(rewards.shape):
        before, after = (np.asarray(a[place], np.float64) for a in (task.observations, task.next_observations))
        action = np.eye(3)[int(task.actions[place])] if discrete else np.asarray(task.actions[place], np.float64)
        numbers = standardised(state, np.concatenate([before, action, after - before]))
        if kind is RandomNetworkDistillation:
            arrived = standardised(state, np.concatenate([after, action, after - before]))[:2]
            predictor, target = state.networks
            expected = np.mean((apply(predictor, arrived) - apply(target, arrived)) ** 2)
        else:
            predictions = [apply(network, numbers[: 2 + action.size]) for network in state.networks]
            expected = np.mean(np.var(predictions, axis=0))
        assert rewards[place] == pytest.approx(expected, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("kind", BONUSES)
def test_what_has_been_seen_is_less_novel_than_what_has_not(kind):
    bonus, seen, unseen = make(kind), walks(0), walks(1, centre=3.0)
    state = learned(bonus, seen)
    familiar, new = (float(jnp.mean(bonus.rewards(state, one_task(e), key=KEY))) for e in (seen, unseen))
    assert new > 3 * familiar


@pytest.mark.parametrize("kind", BONUSES)
def test_novelty_wears_off(kind):
    bonus, episodes = make(kind), walks(0)
    early, late = (
        float(jnp.mean(bonus.rewards(learned(bonus, episodes, iterations=n), one_task(episodes), key=KEY)))
        for n in (1, 60)
    )
    assert late < 0.5 * early


@pytest.mark.parametrize("kind", BONUSES)
def test_rewards_of_the_task_play_no_part(kind):
    bonus = make(kind)
    states = [learned(bonus, walks(0, rewards=r), iterations=3) for r in (0.0, 9.0)]
    assert all(np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, states)))
    rewards = [bonus.rewards(states[0], one_task(walks(0, rewards=r)), key=KEY) for r in (0.0, 9.0)]
    np.testing.assert_array_equal(*rewards)


@pytest.mark.parametrize("kind", BONUSES)
def test_only_the_dimensions_that_vary_count(kind):
    episodes = walks(0)
    pad = lambda a: jnp.concatenate([a, jnp.ones((*a.shape[:-1], 1))], axis=-1)  # noqa: E731
    padded = Episodes(
        pad(episodes.observations),
        episodes.actions,
        episodes.rewards,
        pad(episodes.next_observations),
        episodes.success,
        episodes.valid,
    )
    plain, chosen = make(kind), make(kind, varying=(0, 1))
    expected = plain.rewards(learned(plain, episodes, iterations=2), one_task(episodes), key=KEY)
    ours = chosen.rewards(learned(chosen, padded, iterations=2), one_task(padded), key=KEY)
    np.testing.assert_array_equal(ours, expected)


def test_the_target_network_stays_as_it_was_drawn():
    bonus = make(RandomNetworkDistillation)
    first, last = bonus.init(key=KEY).networks, learned(bonus, walks(0), iterations=5).networks
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(first[1]), jax.tree.leaves(last[1])))
    assert not np.array_equal(first[0].layers[0].weight, last[0].layers[0].weight)


@pytest.mark.parametrize("kind", BONUSES)
def test_tensors_hold_all_that_rewards_depend_on(kind):
    bonus, episodes = make(kind), walks(0)
    state = learned(bonus, episodes, iterations=3)
    again = bonus.with_tensors(bonus.init(key=jax.random.key(5)), bonus.tensors(state))
    expected = bonus.rewards(state, one_task(episodes), key=KEY)
    np.testing.assert_array_equal(bonus.rewards(again, one_task(episodes), key=KEY), expected)
