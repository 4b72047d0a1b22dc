"""Accelerated Meta-World: the same observations and rewards as the stock one, from faster steps."""

import numpy as np
import pytest

pytest.importorskip("metaworld")

from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.sawyer_xyz_env import SawyerXYZEnv

from mime.envs.external.metaworld_speed import accelerated
from tests.envs.external.stock import ML10, Recorded, drifting_actions, stock_episode, task_of, vectors
from tests.scripted import Scripted

# Meta-World's scripted policies say so of themselves.
pytestmark = pytest.mark.filterwarnings("ignore:Constant")


@pytest.fixture(scope="module", name="vectors")
def vectors_fixture():
    """Two goals of every class."""
    return vectors()


@pytest.mark.parametrize("kind", ML10)
def test_accelerated_steps_equal_stock_ones(kind, vectors):
    fast = accelerated(ALL_V3_ENVIRONMENTS[kind])()
    fast.set_task(task_of(kind, vectors[kind][1]))  # Another task first: nothing of it may be left.
    fast.reset()
    for action in drifting_actions(30, seed=1):
        fast.step(action)
    fast.set_task(task_of(kind, vectors[kind][0]))
    for policy in (Recorded(drifting_actions(100)), Scripted(kind)):  # The second reset restores a snapshot.
        observations, rewards, success = stock_episode(kind, vectors[kind][0], policy, 100)
        observation, _ = fast.reset()
        np.testing.assert_array_equal(observation, observations[0], strict=True)
        for step, noise in enumerate(policy.noise(None, 100)):
            action = np.clip(policy.act(np.float32(observation), noise), -1, 1)
            observation, reward, terminated, truncated, info = fast.step(action)
            np.testing.assert_array_equal(observation, observations[step + 1], strict=True)
            assert abs(reward - rewards[step]) < 1e-12
            assert bool(info["success"]) == success[step]
            assert (terminated, truncated) == (False, False)


def test_nothing_that_is_replaced_is_specialised_by_a_class():
    specialised = set(vars(accelerated(ALL_V3_ENVIRONMENTS["reach-v3"]).__mro__[1])) - {"__init__", "__module__"}
    specialised -= {"__doc__", "__dict__", "__weakref__"}
    for kind in ALL_V3_ENVIRONMENTS.values():
        assert not specialised & set(vars(kind)), kind


def test_setting_a_task_leaves_nothing_of_an_earlier_one(vectors):
    fresh, used = (accelerated(ALL_V3_ENVIRONMENTS["door-open-v3"])() for _ in range(2))
    used.set_task(task_of("door-open-v3", vectors["door-open-v3"][1]))
    used.reset()
    used.step(np.ones(4, np.float32))
    used.set_task(task_of("door-open-v3", vectors["door-open-v3"][0]))
    for name in ("body_pos", "site_pos"):
        np.testing.assert_array_equal(getattr(used.model, name), getattr(fresh.model, name))
    for name in ("qpos", "qvel", "mocap_pos", "qacc_warmstart", "xpos"):
        np.testing.assert_array_equal(getattr(used.data, name), getattr(fresh.data, name))
    assert used.curr_path_length == fresh.curr_path_length == 0


def test_only_the_first_reset_to_a_task_simulates(monkeypatch, vectors):
    env = accelerated(ALL_V3_ENVIRONMENTS["reach-v3"])()
    resets, stock_reset = [], SawyerXYZEnv.reset
    monkeypatch.setattr(SawyerXYZEnv, "reset", lambda self, **how: resets.append(how) or stock_reset(self, **how))
    for vector in vectors["reach-v3"]:
        env.set_task(task_of("reach-v3", vector))
        observations = [env.reset()[0] for _ in range(4)]
        np.testing.assert_array_equal(observations, [observations[0]] * 4)
    assert len(resets) == 2
