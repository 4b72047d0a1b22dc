"""Checks of environments written in JAX: each mistake is named, and what is right is not."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.envs.task_environment import TaskEnvironment
from mime.sampling.compiled_checks import check_compiled, require_fitting_functions


class Rail(TaskEnvironment):
    """A cart on a rail."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    horizon = 4

    def initial(self, rng, params=None):
        return jnp.zeros(1)

    def observation(self, state, rng, params=None):
        return state

    def transition(self, state, action, rng, params=None):
        return state + action

    def reward(self, state, action, next_state, rng, params=None):
        return -jnp.abs(next_state[0] - params)

    def sample_tasks(self, key, num_tasks):
        return jax.random.uniform(key, (num_tasks,))

    def test_tasks(self):
        return jnp.array([0.5])


class NoReward(Rail):
    reward = TaskEnvironment.reward


class NoVector(Rail):
    observation_space = gymnasium.spaces.Discrete(3)


class NoHorizon(Rail):
    horizon = 2.5


class OtherTasks(Rail):
    def test_tasks(self):
        return jnp.zeros((1, 2))


class Drawing(Rail):
    def sample_tasks(self, key, num_tasks):
        return jnp.asarray(np.random.default_rng().uniform(size=num_tasks), jnp.float32)


class OtherState(Rail):
    def transition(self, state, action, rng, params=None):
        return state[0] + action[0]


class Branching(Rail):
    def transition(self, state, action, rng, params=None):
        return state + action if state[0] > 0 else state


class WideReward(Rail):
    def reward(self, state, action, next_state, rng, params=None):
        return -jnp.abs(next_state - params)


class CountingSteps(Rail):
    steps = 0

    def transition(self, state, action, rng, params=None):
        self.steps += 1
        return state + action


class Noisy(Rail):
    def transition(self, state, action, rng, params=None):
        return state + np.random.default_rng().uniform()


class Endless(Rail):
    def reward(self, state, action, next_state, rng, params=None):
        return jnp.log(0 * next_state[0])


class Leaving(Rail):
    observation_space = gymnasium.spaces.Box(-0.1, 0.1, (1,), np.float32)


class Raising(Rail):
    def initial(self, rng, params=None):
        raise KeyError("speed")


WRONG = {
    NoReward: ("methods", "NoReward has no reward"),
    NoVector: ("spaces", "observations must be a vector"),
    NoHorizon: ("horizon", "horizon is 2.5"),
    OtherTasks: ("tasks", "tasks must have one form; sample_tasks gives float32, test_tasks gives float32[2]"),
    Drawing: ("tasks", "sample_tasks gives other tasks for the same key"),
    OtherState: ("functions", "transition must return a state like that of initial, float32[1]; it returns float32"),
    Branching: ("functions", "transition cannot be compiled: TracerBoolConversionError"),
    WideReward: ("functions", "reward must return one float; it returns float32[1]"),
    Raising: ("functions", "initial raises KeyError: 'speed' ("),
    Noisy: ("purity", "transition returns something else when called again"),
    CountingSteps: ("purity", "calls change self.steps"),
    Endless: ("numbers", "some rewards are not finite"),
    Leaving: ("numbers", "number 0 of the observations goes from"),
}


@pytest.mark.parametrize("kind", WRONG, ids=lambda kind: kind.__name__)
def test_mistakes_are_named(kind):
    *before, last = check_compiled(kind())
    assert (last.subject, last.right) == (WRONG[kind][0], False)
    assert last.words.startswith(WRONG[kind][1])
    assert all(finding.right for finding in before)


def test_an_error_is_told_with_its_place():
    (finding,) = [each for each in check_compiled(Branching()) if not each.right]
    assert "test_compiled_checks.py, line" in finding.words
    assert "use jnp.where in place of if" in finding.words


def test_what_is_right_is_said():
    found = check_compiled(Rail())
    assert [each.words for each in found if not each.right] == []
    assert found[-1].words.startswith("not reported: tables show -")


def test_training_is_refused_before_it_begins():
    with pytest.raises(ValueError, match="reward must return one float"):
        require_fitting_functions(WideReward())
    require_fitting_functions(Rail())
