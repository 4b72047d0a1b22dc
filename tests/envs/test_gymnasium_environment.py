"""Anyone's environment: found by name, refused with a reason, and sampled from like any other."""

from pathlib import Path

import jax
import numpy as np
import pytest

from mime.configuration import parsing
from mime.envs.external import hosting
from mime.policies.numpy_policy import NumpyPolicy
from mime.sampling.rollouts import Request, rollout

KEY = jax.random.key(0)
ROOT = Path(__file__).parents[2]
TOY = "tests.sampling.toy:Toy"


def parse(name, **arguments):
    return parsing.parse({"env-name": name, "env-kwargs": arguments}, source="here.yaml")


@pytest.mark.parametrize(
    ("name", "arguments", "mentions"),
    [
        ("no_such_package.module:Env", {}, ["env-name", "cannot be imported", "no_such_package"]),
        ("tests.sampling.toy:Missing", {}, ["env-name", "does not exist", "has no Missing"]),
        ("tests.sampling.toy:Taskless", {"max_episode_steps": 5}, ["env-name", "has no reset_task()"]),
        ("tests.sampling.toy:NotAnEnvironment", {}, ["env-name", "not a subclass of gymnasium.Env"]),
        ("os:system", {}, ["env-name", "not a subclass of gymnasium.Env"]),
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
    with pytest.raises(config.ConfigurationError) as error:
        parse(name, **arguments)
    for mention in ["here.yaml", *mentions]:
        assert mention in str(error.value)


def test_names_of_environments_are_accepted():
    assert parse(TOY, max_episode_steps=5).env_name == TOY


def test_tasks_follow_from_the_key():
    environment = hosting.make(TOY, {"max_episode_steps": 5})
    one, again = (environment.sample_tasks(KEY, 3) for _ in range(2))
    other = environment.sample_tasks(jax.random.key(1), 3)
    assert list(one) == list(again)
    assert not any(a == b for a, b in zip(one, other))
    assert [task["goal"] for task in environment.test_batch(0)] == np.linspace(-1, 1, 20).tolist()
    assert list(environment.test_batch(0)) == list(environment.test_batch(1))


def constant_policy(value):
    """Always the same action, in the policy's own units."""
    weight = np.zeros((1, 2), np.float32)
    return NumpyPolicy(((weight, np.array([value], np.float32)),), np.array([-20.0], np.float32), "tanh")


@pytest.mark.parametrize(
    ("scale", "action", "moved"), [(None, 0.5, 0.5), (None, 7.0, 1.0), (10.0, 5.0, 0.5), (10.0, -30.0, -1.0)]
)
def test_actions_are_clipped_and_rescaled(scale, action, moved):
    environment = hosting.make(TOY, {"max_episode_steps": 3, "normalization_scale": scale})
    fields = rollout(environment, Request({"goal": -9.0}, constant_policy(action), (1,), 2))
    np.testing.assert_allclose(fields["actions"], action, atol=1e-5)
    positions = np.concatenate([fields["observations"][:, :1, 0], fields["next_observations"][:, :, 0]], axis=1)
    np.testing.assert_allclose(np.diff(positions), 0.1 * moved, atol=1e-6)


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "locomotion").iterdir()), ids=lambda path: path.stem)
def test_published_configurations_load(path):
    pytest.importorskip("mujoco")
    assert parsing.load(path).env_name in hosting.LOCOMOTION


def test_locomotion_rewards():
    pytest.importorskip("mujoco")
    environment = hosting.make("HalfCheetahDir-v1", {})
    assert environment.horizon == 200
    assert sorted(environment.sample_tasks(KEY, 4)) == [-1.0, -1.0, 1.0, 1.0]
    policy = NumpyPolicy(
        ((np.zeros((6, 17), np.float32), np.full(6, 0.3, np.float32)),), np.full(6, -20.0, np.float32), "tanh"
    )
    forward, backward = (rollout(environment, Request(task, policy, (5,), 1)) for task in (1.0, -1.0))
    np.testing.assert_array_equal(forward["observations"], backward["observations"])
    cost = 0.05 * 6 * 0.3**2
    np.testing.assert_allclose(forward["rewards"] + backward["rewards"], -2 * cost, atol=1e-5)
    # The average forward velocity is the distance over the time; the ninth observation is the velocity at each step.
    assert np.corrcoef(forward["rewards"][0], forward["next_observations"][0, :, 8])[0, 1] > 0.7


@pytest.mark.parametrize("name", ["HalfCheetahVel-v1", "AntDir-v1", "AntVel-v1", "AntPos-v0"])
def test_locomotion_tasks_can_be_lived(name):
    pytest.importorskip("mujoco")
    environment = hosting.make(name, {"max_episode_steps": 5})
    size, actions = environment.observation_space.shape[0], environment.action_space.shape[0]
    policy = NumpyPolicy(
        ((np.zeros((actions, size), np.float32), np.zeros(actions, np.float32)),), np.zeros(actions, np.float32), "tanh"
    )
    for task in environment.sample_tasks(KEY, 2):
        fields = rollout(environment, Request(task, policy, (0,), 2))
        assert np.isfinite(fields["rewards"]).all()
        assert fields["valid"].any()
