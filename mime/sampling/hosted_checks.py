"""Checks of an environment outside JAX: what the workers and the learner take for granted about it."""

import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
import numpy as np

from mime.envs.external.hosted_environment import HostedEnvironment, as_tasks
from mime.sampling.check_results import Finding, Mistake, findings
from mime.sampling.rollouts import Fields, Request, rollout

NUM_TASKS, NUM_TRAJECTORIES = 3, 2


def check_hosted(environment: HostedEnvironment) -> list[Finding]:
    """What is right and wrong with a Gymnasium environment that has tasks.

    Args:
        environment: The environment.
    """
    checks = (_spaces, _horizon, _tasks, _episodes, _seeds, _success)
    return findings({check.__name__[1:]: partial(check, environment) for check in checks})


class RandomPolicy:
    """An `ActingPolicy` that takes any action of a space, uniformly where it is bounded.

    Args:
        space: Of actions.
    """

    def __init__(self, space: gymnasium.Space):
        self.space = space

    def given(self, latent: np.ndarray | None) -> "RandomPolicy":
        """The same in every episode."""
        return self

    def noise(self, generator: np.random.Generator, num_steps: int) -> np.ndarray:
        """Seeds, one a step."""
        return generator.integers(0, 2**31, num_steps)

    def act(self, observation: np.ndarray, noise: Any) -> Any:
        """An action."""
        self.space.seed(int(noise))
        return self.space.sample()

    def remember(self, action: Any, reward: float) -> None:
        """Nothing."""


def _spaces(environment: HostedEnvironment) -> str:
    # Observations that are no vector are a mistake that the environment itself names.
    observations, actions = environment.observation_space, environment.action_space
    vector = isinstance(actions, gymnasium.spaces.Box) and len(actions.shape) == 1
    if not vector and not isinstance(actions, gymnasium.spaces.Discrete):
        raise Mistake(f"actions must be Discrete or a Box of one axis, not {actions}")
    return "; ".join([f"observations {observations}, actions {actions}", *environment.remarks])


def _horizon(environment: HostedEnvironment) -> str:
    return f"{environment.horizon} steps"


def _tasks(environment: HostedEnvironment) -> str:
    drawn = [environment.draw_tasks(words, NUM_TASKS) for words in ((1,), (1,), (2,))]
    if len(drawn[0]) != NUM_TASKS:
        raise Mistake(f"sample_tasks({NUM_TASKS}) gives {len(drawn[0])} of them")
    texts = [pickle.dumps(list(tasks)) for tasks in drawn]
    if texts[0] != texts[1]:
        raise Mistake("sample_tasks gives other tasks from the same seed: draw them from self.np_random")
    held_out = len(environment.test_batch(0))
    same = ", the same whatever the seed" if texts[0] == texts[2] else ""
    return f"as {environment.describe(drawn[0][0])}{same}; {held_out} held out"


def _episodes(environment: HostedEnvironment) -> str:
    remarks: dict[str, None] = {}
    fields = [_collected(environment, task, remarks.setdefault) for task in _some_tasks(environment)]
    for name in ("observations", "next_observations", "rewards"):
        if not all(np.isfinite(each[name]).all() for each in fields):
            raise Mistake(f"some {name.replace('_', ' ')} are not finite under random actions")
    rewards, observations = (
        np.concatenate([each[name][each["valid"]] for each in fields]) for name in ("rewards", "next_observations")
    )
    lengths = np.concatenate([each["valid"].sum(axis=1) for each in fields])
    words = f"{lengths.min()} to {lengths.max()} steps, rewards from {rewards.min():g} to {rewards.max():g} a step"
    return "; ".join([words, *remarks, *_outside(environment.observation_space, observations)])


def _outside(space: gymnasium.spaces.Box, observations: np.ndarray) -> list[str]:
    outside = (observations < space.low) | (observations > space.high)
    return [
        f"observation[{place}] leaves the bounds that observation_space declares, as with"
        f" {observations[outside[:, place], place][0]:.6g}"
        for place in np.flatnonzero(outside.any(axis=0))
    ]


def _seeds(environment: HostedEnvironment) -> str:
    task = _some_tasks(environment)[0]
    first, _, again = (_collected(environment, each) for each in (task, _some_tasks(environment)[1], task))
    if any(not np.array_equal(first[name], again[name], equal_nan=True) for name in ("observations", "rewards")):
        raise Mistake(
            "an episode differs from another of the same task and seed: reset everything in reset(seed=...), and draw"
            " from self.np_random after super().reset(seed=seed)"
        )
    return "the same task and seed give the same episode"


def _success(environment: HostedEnvironment) -> str:
    fields = [_collected(environment, task) for task in _some_tasks(environment)]
    if not any(each["success_reported"].any() for each in fields):
        return 'not reported: tables show - for it. If tasks can be solved, put "success" into the dictionary of step'
    solved = np.concatenate([each["success"].any(axis=1) for each in fields])
    return f"random actions solve {solved.sum()} of {solved.size} episodes"


def _some_tasks(environment: HostedEnvironment) -> Any:
    return as_tasks(environment.draw_tasks((1,), NUM_TASKS))


def _collected(environment: HostedEnvironment, task: Any, remark: Callable[[str], Any] = lambda remark: None) -> Fields:
    request = Request(task, RandomPolicy(environment.action_space), (1,), NUM_TRAJECTORIES)
    return rollout(environment, request, remark)
