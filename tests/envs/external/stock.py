"""Plain Meta-World, to compare ours with."""

import pickle
from functools import cache

import numpy as np
import pytest

pytest.importorskip("metaworld")

from metaworld.env_dict import ALL_V3_ENVIRONMENTS, ML10_V3
from metaworld.types import Task

from mime.envs.external import metaworld_tasks

ML10 = [*ML10_V3["train"], *ML10_V3["test"]]
PADDING = {*range(11, 18), *range(29, 36), *range(36, 39)}


class Recorded:
    """A policy that plays given actions, whatever it sees."""

    def __init__(self, actions):
        self.actions = actions

    def given(self, latent):
        return self

    def noise(self, generator, num_steps):
        return self.actions

    def act(self, observation, noise):
        return noise

    def remember(self, action, reward):
        pass


@cache
def vectors():
    """Two goals of every class."""
    drawn = {}
    for kind in ML10:
        env = ALL_V3_ENVIRONMENTS[kind]()
        env._freeze_rand_vec, env._set_task_called = False, True
        np.random.seed(7)
        drawn[kind] = []
        for _ in range(2):
            env.reset()
            drawn[kind].append(env._last_rand_vec.copy())
    return drawn


def task_of(kind, vector):
    content = {"env_cls": ALL_V3_ENVIRONMENTS[kind], "rand_vec": vector, "partially_observable": True}
    return Task(kind, pickle.dumps(content))


def drifting_actions(num_steps, seed=0):
    """Smooth wandering, which meets objects more often than white noise, and beyond the bounds."""
    noise = np.random.default_rng(seed).normal(0, 0.3, (num_steps, 4))
    return np.clip(np.cumsum(noise, axis=0), -1.3, 1.3).astype(np.float32)


def stock_episode(kind, vector, policy, num_steps):
    """What plain Meta-World gives, in an environment used for nothing else."""
    env = ALL_V3_ENVIRONMENTS[kind]()
    env.set_task(task_of(kind, vector))
    observations, rewards, success = [env.reset()[0]], [], []
    for noise in policy.noise(None, num_steps):
        action = np.clip(policy.act(np.float32(observations[-1]), noise), -1, 1)
        observation, reward, _, _, info = env.step(action)
        observations.append(observation)
        rewards.append(reward)
        success.append(bool(info["success"]))
    return np.array(observations), np.array(rewards), np.array(success)


def small_tasks():
    """A task list as a benchmark with two training and two test classes would have it."""
    goals = np.arange(50 * 3, dtype=float).reshape(50, 3)
    return metaworld_tasks.TaskList(
        training={"reach-v3": goals, "push-v3": goals + 1},
        test={"door-close-v3": goals + 2, "lever-pull-v3": goals + 3},
        varying=(0, 1, 5),
    )
