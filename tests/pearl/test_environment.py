"""Actions in [-1, 1] and the box they are stretched to."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.envs.navigation import RingNavigation
from mime.envs.pendulum import Pendulum
from mime.pearl.environment import UnitActions

KEY = jax.random.key(0)


class Lopsided(RingNavigation):
    """A point that moves further to the north-east than to the south-west."""

    action_space = gymnasium.spaces.Box(np.array([-1, -3], np.float32), np.array([2, 5], np.float32))


@pytest.mark.parametrize(
    ("action", "stretched"), [((-1, -1), (-1, -3)), ((1, 1), (2, 5)), ((0, 0), (0.5, 1)), ((0.5, -0.5), (1.25, -1))]
)
def test_actions_are_stretched_linearly_to_the_box(action, stretched):
    environment = UnitActions(Lopsided(), horizon=10)
    np.testing.assert_allclose(environment.stretched(jnp.array(action, jnp.float32)), stretched, atol=1e-6)


def test_a_full_action_moves_the_point_by_all_it_may():
    environment = UnitActions(RingNavigation(), horizon=10)
    moved = environment.transition(jnp.zeros(2), jnp.array([1.0, -1.0]), KEY, jnp.array([6.0, 0.0]))
    np.testing.assert_allclose(moved, [0.1, -0.1], rtol=1e-6)


def test_the_rest_is_the_other_environment():
    inner = Pendulum(sparse=True)
    environment = UnitActions(inner, horizon=17)
    assert (environment.horizon, inner.horizon) == (17, 50)
    task = jax.tree.map(lambda leaf: leaf[0], inner.test_tasks())
    state = inner.initial(KEY, task)
    action = jnp.array([0.3])
    after = environment.transition(state, action, KEY, task)
    assert after == inner.transition(state, 2 * action, KEY, task)
    np.testing.assert_array_equal(environment.observation(after, KEY, task), inner.observation(after, KEY, task))
    assert environment.reward(state, action, after, KEY, task) == inner.reward(state, 2 * action, after, KEY, task)
    assert environment.success(after, task) == inner.success(after, task)


@pytest.mark.parametrize("box", [gymnasium.spaces.Discrete(3), gymnasium.spaces.Box(-np.inf, np.inf, (2,))])
def test_other_actions_are_refused(box):
    class Odd(RingNavigation):
        action_space = box

    with pytest.raises(ValueError, match="bounded box"):
        UnitActions(Odd(), horizon=10)
