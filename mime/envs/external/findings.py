"""What is wrong with an environment, or worth knowing of it, in words: found by drawing tasks and acting at random."""

from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium
import numpy as np

from mime.envs.external.checks import EnvironmentMistake, cause, first_observation, lost_digits, transition
from mime.envs.external.hosted_environment import HostedEnvironment
from mime.errors import UserError

NUM_TASKS = 4
WORDS = (0xC4EC,)


def findings(environment: HostedEnvironment, *, num_tasks: int = NUM_TASKS) -> list[str]:
    """What is found, a line each; nothing if all is well. A line about a mistake that ends the search is the last one.

    The environment is built and acts in this process: a worker would be replaced if it died or hung.

    Args:
        environment: Somebody's.
        num_tasks: Training tasks that are drawn, in each of which an episode takes place.
    """
    found: dict[str, None] = {}
    try:
        for line in _search(environment, num_tasks):
            found[line] = None
    except (EnvironmentMistake, UserError, ValueError) as mistake:
        found[str(mistake)] = None
    except Exception as error:  # Whatever the environment raises.
        found[f"raised {cause(error)}"] = None
    return list(found)


def _search(environment: HostedEnvironment, num_tasks: int) -> Iterator[str]:
    spaces = gymnasium.spaces.Discrete, gymnasium.spaces.Box
    if not isinstance(environment.action_space, spaces) or len(environment.action_space.shape or ()) > 1:
        raise EnvironmentMistake(f"actions must be Discrete or a Box of one axis, not {environment.action_space}")
    environment.test_batch(0)
    tasks = environment.draw_tasks(WORDS, num_tasks)
    yield from environment.remarks
    for place, task in enumerate(tasks):
        yield from _of_an_episode(environment, task, place)


def _of_an_episode(environment: HostedEnvironment, task: Any, seed: int) -> Iterator[str]:
    space = environment.observation_space
    env = environment.enter(task)
    generator = np.random.default_rng(seed)
    observations, rewards = [first_observation(env.reset(seed=seed), space.shape)], []
    for _ in range(environment.horizon):
        observation, reward, ended, _ = transition(env.step(_drawn(env.action_space, generator)), space.shape)
        # A copy: some environments write the next one into the same array.
        observations.append(np.array(observation))
        rewards.append([reward])
        if ended:
            break
    numbers = {"observation": np.array(observations, np.float64), "reward": np.array(rewards, np.float64)}
    for name, values in numbers.items():
        yield from lost_digits(name, values)
        if not np.isfinite(values).all():
            yield f"{name}s are not finite in task {environment.describe(task)}"
    yield from _outside(space, numbers["observation"])


def _drawn(space: gymnasium.Space, generator: np.random.Generator) -> Any:
    """An action as a policy draws its first ones."""
    if isinstance(space, gymnasium.spaces.Discrete):
        return generator.integers(space.n)
    return generator.standard_normal(space.shape).astype(np.float32)


def _outside(space: gymnasium.spaces.Box, observations: np.ndarray) -> Sequence[str]:
    outside = (observations < space.low) | (observations > space.high)
    return [
        f"observation[{place}] leaves the bounds that observation_space declares, as with"
        f" {observations[outside[:, place], place][0]:.6g}"
        for place in np.flatnonzero(outside.any(axis=0))
    ]
