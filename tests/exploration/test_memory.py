"""Memory: what a dynamics model learns from again, and trajectories that are new only once."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.configuration.gradients import Experiment
from mime.exploration.gains import adam_gain, closed_form_gain
from mime.exploration.memory import ITERATIONS, Memory
from tests.exploration.making import make_bonus
from tests.exploration.test_prediction import one_task, walks

KEY = jax.random.key(0)
BOX = gymnasium.spaces.Box(-1, 1, (2,), np.float32)


def test_a_memory_holds_the_newest_examples():
    memory, count = Memory.empty(5 * ITERATIONS, 1, 1), 5
    assert not memory.valid.any()
    for number in range(ITERATIONS + 3):
        examples = jnp.full((40, 1), float(number))
        memory = memory.including(examples, -examples, jnp.ones(40, bool), key=jax.random.key(number))
        held = np.asarray(memory.inputs[memory.valid, 0])
        expected = np.repeat(np.arange(max(0, number + 1 - ITERATIONS), number + 1), count)
        np.testing.assert_array_equal(np.sort(held), expected)
        np.testing.assert_array_equal(memory.targets[memory.valid], -memory.inputs[memory.valid])


def test_only_valid_examples_are_remembered():
    examples, valid = jnp.arange(100.0)[:, None], jnp.arange(100) % 3 == 0
    memory = Memory.empty(400, 1, 1).including(examples, examples, valid, key=KEY)
    held = np.asarray(memory.inputs[memory.valid, 0])
    assert held.size == 20
    assert np.all(held % 3 == 0)


def bonus_with(**keys):
    experiment = Experiment(use_vime=True, dyn_hidden=(16,), dyn_fast_lr=1e-3, **keys)
    return make_bonus(experiment, BOX, BOX, num_tasks=2)


def test_what_was_learned_early_is_remembered():
    """Ten iterations in one place, ten in another: with a memory, the first one's error stays lower."""
    here, there = walks(0), walks(1, centre=2.0)
    errors = []
    for size in (0, 400):
        bonus = bonus_with(dyn_memory=size)
        state = bonus.init(key=KEY)
        update = jax.jit(lambda s, e, i, k, b=bonus: b.update(s, [e], e, iteration=i, key=k)[0])
        for number in range(40):
            state = jax.block_until_ready(update(state, here if number < 20 else there, number, jax.random.key(number)))
        inputs = jnp.concatenate([here.observations, here.actions], axis=-1).reshape(-1, 4)
        predictions = jax.vmap(state.network.predict)(inputs)
        errors.append(float(jnp.mean((predictions - here.next_observations.reshape(-1, 2)) ** 2)))
    assert errors[1] < errors[0]


@pytest.mark.parametrize("closed_form", [False, True])
def test_within_a_task_later_trajectories_gain_as_if_the_earlier_ones_had_been_learned(closed_form):
    task = one_task(walks(0))
    bonus = bonus_with(dyn_within_task=True, dyn_second_order=closed_form, dyn_lr=1e-3)
    apart = bonus_with(dyn_second_order=closed_form, dyn_lr=1e-3)
    state = bonus.init(key=KEY)
    gains = np.asarray(bonus.rewards(state, task, key=KEY))
    # The plain loop: gains of a trajectory, then a step on it, with the same noise.
    inputs, targets = bonus._examples(state, task)
    noise = state.network.draw(*task.rewards.shape, key=KEY)
    network = state.network
    for number in range(3):
        gain = closed_form_gain if closed_form else lambda *args: adam_gain(*args, rate=1e-3)
        expected = gain(network, inputs[number], targets[number], noise[number])
        np.testing.assert_allclose(gains[number], np.clip(expected, 0, 1000), rtol=1e-3)
        network = bonus._adapted(network, (inputs[number], targets[number], task.valid[number]), noise[number])
    without = np.asarray(apart.rewards(state, task, key=KEY))
    np.testing.assert_allclose(gains[0], without[0], rtol=1e-3)
    assert not np.allclose(gains[2], without[2], rtol=1e-2)
