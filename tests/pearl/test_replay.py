"""The replay buffers against a list per task."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.pearl.replay import Transitions, empty, transitions_of
from mime.sampling.episodes import Episodes

KEY = jax.random.key(0)
TASKS, CAPACITY = 4, 7


def numbered(numbers):
    """Transitions `[chosen steps]` that carry a number in every field."""
    numbers = jnp.asarray(numbers, jnp.float32)
    return Transitions(
        observations=jnp.stack([numbers, -numbers], axis=-1),
        actions=numbers[..., None] + 0.25,
        rewards=numbers + 0.5,
        next_observations=jnp.stack([numbers + 1, -numbers], axis=-1),
        terminals=numbers % 2 == 0,
    )


def contents(replay, task):
    return sorted(np.asarray(replay.transitions.rewards[task, : replay.size[task]] - 0.5).astype(int).tolist())


def start():
    return empty(TASKS, CAPACITY, observation_size=2, action_size=1)


def test_holds_what_a_list_of_the_newest_would():
    rng = np.random.default_rng(0)
    replay, lists, counter = start(), [[] for _ in range(TASKS)], 1
    add = jax.jit(lambda replay, *arguments: replay.add(*arguments))
    for _ in range(60):
        chosen = rng.permutation(TASKS)[:2]
        steps = int(rng.integers(1, 12))
        numbers = counter + np.arange(2 * steps).reshape(2, steps)
        valid = rng.random((2, steps)) < 0.7
        counter += 2 * steps
        replay = add(replay, jnp.asarray(chosen), numbered(numbers), jnp.asarray(valid))
        for task, row, mask in zip(chosen, numbers, valid):
            lists[task] = (lists[task] + row[mask].tolist())[-CAPACITY:]
        assert [contents(replay, task) for task in range(TASKS)] == [sorted(each) for each in lists]
    assert counter > 500


def test_fields_of_a_transition_stay_together():
    replay = start().add(jnp.array([2]), numbered([range(1, 11)]), jnp.ones((1, 10), bool))
    drawn, valid = replay.sample(jnp.array([2]), 100, key=KEY)
    assert jnp.all(valid)
    numbers = drawn.rewards - 0.5
    for here, there in zip(jax.tree.leaves(drawn), jax.tree.leaves(numbered(numbers))):
        np.testing.assert_array_equal(here, there)


def test_samples_are_uniform_over_a_task_and_never_from_another():
    replay = start()
    for task, numbers in enumerate(([1, 2, 3], [11, 12, 13, 14, 15])):
        replay = replay.add(jnp.array([task]), numbered([numbers]), jnp.ones((1, len(numbers)), bool))
    drawn, _ = replay.sample(jnp.array([1, 0, 1]), 6000, key=KEY)
    numbers = np.asarray(drawn.rewards - 0.5).astype(int)
    for row, expected in zip(numbers, ([11, 12, 13, 14, 15], [1, 2, 3], [11, 12, 13, 14, 15])):
        values, counts = np.unique(row, return_counts=True)
        assert values.tolist() == expected
        np.testing.assert_allclose(counts / 6000, 1 / len(expected), atol=0.03)
    assert not np.array_equal(numbers[0], numbers[2])


def test_an_empty_ring_has_nothing_that_counts():
    replay = start().add(jnp.array([0]), numbered([[1, 2]]), jnp.ones((1, 2), bool))
    _, valid = replay.sample(jnp.array([0, 1]), 5, key=KEY)
    np.testing.assert_array_equal(valid, [[True] * 5, [False] * 5])


def test_clearing_empties_the_chosen_tasks_alone():
    everyone = jnp.arange(TASKS)
    full = start().add(everyone, numbered(np.arange(1, 1 + 3 * TASKS).reshape(TASKS, 3)), jnp.ones((TASKS, 3), bool))
    cleared = full.clear(jnp.array([1, 3]))
    assert [contents(cleared, task) for task in range(TASKS)] == [[1, 2, 3], [], [7, 8, 9], []]
    again = cleared.add(jnp.array([1]), numbered([[40]]), jnp.ones((1, 1), bool))
    assert contents(again, 1) == [40]


@pytest.mark.parametrize(
    ("valid", "terminals"),
    [
        ([True, True, True, True], [False, False, False, False]),
        ([True, True, False, False], [False, True, False, False]),
        ([True, False, False, False], [True, False, False, False]),
    ],
)
def test_running_out_of_time_is_not_an_end(valid, terminals):
    episodes = Episodes(
        observations=jnp.zeros((1, 4, 2)),
        actions=jnp.zeros((1, 4, 1)),
        rewards=jnp.zeros((1, 4)),
        next_observations=jnp.zeros((1, 4, 2)),
        success=jnp.zeros((1, 4), bool),
        valid=jnp.array([valid]),
    )
    np.testing.assert_array_equal(transitions_of(episodes).terminals, [terminals])
