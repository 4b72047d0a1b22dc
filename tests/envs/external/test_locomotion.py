"""HalfCheetah and Ant with tasks."""

from pathlib import Path

import jax
import numpy as np
import pytest

from mime.configuration import parsing
from mime.envs import registration
from mime.policies.numpy_policy import NumpyPolicy
from mime.sampling.rollouts import Request, rollout

KEY = jax.random.key(0)
CONFIGURATIONS = sorted((Path(__file__).parents[3] / "configs" / "locomotion").iterdir())


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: path.stem)
def test_published_configurations_load(path):
    pytest.importorskip("mujoco")
    assert registration.find(parsing.load(path).env_name).hosted.startswith("mime.envs.external.locomotion:")


def test_locomotion_rewards():
    pytest.importorskip("mujoco")
    environment = registration.make("HalfCheetahDir-v1", {})
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
def test_locomotion_tasks_can_be_rolled_out(name):
    pytest.importorskip("mujoco")
    environment = registration.make(name, {"max_episode_steps": 5})
    size, actions = environment.observation_space.shape[0], environment.action_space.shape[0]
    policy = NumpyPolicy(
        ((np.zeros((actions, size), np.float32), np.zeros(actions, np.float32)),), np.zeros(actions, np.float32), "tanh"
    )
    for task in environment.sample_tasks(KEY, 2):
        fields = rollout(environment, Request(task, policy, (0,), 2))
        assert np.isfinite(fields["rewards"]).all()
        assert fields["valid"].any()
