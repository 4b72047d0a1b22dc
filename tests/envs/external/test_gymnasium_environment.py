"""Anyone's environment: found by name, refused with a reason, and sampled from like any other."""

import jax
import numpy as np
import pytest

from mime.configuration.keys import ConfigurationError
from mime.envs import registration
from mime.errors import UserError
from mime.policies.numpy_policy import NumpyPolicy
from mime.sampling.rollouts import Request, rollout
from tests import small_runs
from tests.sampling.toy import Toy

KEY = jax.random.key(0)
TOY = "tests.sampling.toy:Toy"


def build(name, **arguments):
    return small_runs.build({"env-name": name, "env-kwargs": arguments}, source="here.yaml")


@pytest.mark.parametrize(
    ("name", "arguments", "mentions"),
    [
        ("no_such_package.module:Env", {}, ["env-name", "cannot be imported", "no_such_package"]),
        ("tests.sampling.toy:Missing", {}, ["env-name", "does not exist", "has no Missing"]),
        ("tests.sampling.toy:Taskless", {"max_episode_steps": 5}, ["env-name", "has no reset_task()"]),
        ("tests.sampling.toy:NotAnEnvironment", {}, ["env-name", "a subclass of gymnasium.Env"]),
        ("os:system", {}, ["env-name", "a subclass of gymnasium.Env"]),
        ("__main__:Env", {}, ["env-name", "cannot import", "my_file:Env"]),
        ("gymnasium.vector:VectorEnv", {}, ["env-name", "vector of environments", "a single one"]),
        ("CartPole-v1", {}, ["env-name", "has no sample_tasks() and no reset_task()"]),
        ("NoSuchThing-v3", {}, ["env-name", "NoSuchThing", "Gymnasium"]),
        ("2DNavigationSprase-v0", {}, ["env-name", "did you mean 2DNavigationSparse-v0?"]),
        (TOY, {}, ["env-kwargs", "max_episode_steps", "None"]),
        (TOY, {"max_episode_steps": 0}, ["env-kwargs", "max_episode_steps", "0"]),
        (TOY, {"max_episode_steps": 5, "normalization_scale": -1.0}, ["env-kwargs", "normalization_scale", "-1.0"]),
        (TOY, {"max_episode_steps": 5, "colour": "red"}, ["env-kwargs", "colour"]),
    ],
)
def test_mistakes_are_named(name, arguments, mentions):
    with pytest.raises(ConfigurationError) as error:
        build(name, **arguments)
    for mention in ["here.yaml", *mentions]:
        assert mention in str(error.value)


def test_names_of_environments_are_accepted():
    assert build(TOY, max_episode_steps=5).name == TOY


def test_tasks_follow_from_the_key():
    environment = registration.make(TOY, {"max_episode_steps": 5})
    one, again = (environment.sample_tasks(KEY, 3) for _ in range(2))
    other = environment.sample_tasks(jax.random.key(1), 3)
    assert list(one) == list(again)
    assert not any(a == b for a, b in zip(one, other))
    assert [task["goal"] for task in environment.test_batch(0)] == np.linspace(-1, 1, 20).tolist()
    assert list(environment.test_batch(0)) == list(environment.test_batch(1))


def test_a_wrapper_keeps_its_own_methods():
    environment = registration.make("tests.sampling.toy:OwnMethods", {"max_episode_steps": 3})
    tasks = environment.draw_tasks((1,), 3)
    assert list(tasks) == [100, 101, 102]
    assert environment.enter(tasks[2]).unwrapped.goal == 2
    # Those that it does not have are the inner environment's.
    assert environment.test_batch(0)[0] == {"goal": -1}


def test_scaled_actions_fit_a_box_of_somebody_elses_environment():
    space = registration.make(TOY, {"max_episode_steps": 3}).action_space
    assert space.is_bounded()


def test_errors_while_tasks_are_drawn_are_told_in_a_line():
    environment = registration.make(f"{__name__}:NoTasks", {"max_episode_steps": 3})
    with pytest.raises(
        UserError, match=r"sample_tasks\(2\) raised RuntimeError: no map \(.*test_gymnasium_environment"
    ):
        environment.draw_tasks((1,), 2)


class NoTasks(Toy):
    """Cannot draw tasks."""

    def sample_tasks(self, n):
        raise RuntimeError("no map")


def constant_policy(value):
    """Always the same action, in the policy's own units."""
    weight = np.zeros((1, 2), np.float32)
    return NumpyPolicy(((weight, np.array([value], np.float32)),), np.array([-20.0], np.float32), "tanh")


@pytest.mark.parametrize(
    ("scale", "action", "moved"), [(None, 0.5, 0.5), (None, 7.0, 1.0), (10.0, 5.0, 0.5), (10.0, -30.0, -1.0)]
)
def test_actions_are_clipped_and_rescaled(scale, action, moved):
    environment = registration.make(TOY, {"max_episode_steps": 3, "normalization_scale": scale})
    fields = rollout(environment, Request({"goal": -9.0}, constant_policy(action), (1,), 2))
    np.testing.assert_allclose(fields["actions"], action, atol=1e-5)
    positions = np.concatenate([fields["observations"][:, :1, 0], fields["next_observations"][:, :, 0]], axis=1)
    np.testing.assert_allclose(np.diff(positions), 0.1 * moved, atol=1e-6)
