"""What an environment gives, checked where it comes in. A mistake is told in words that say what it is of, and why."""

import sysconfig
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from jaxtyping import Float

LARGE = 1000.0
"""Numbers below this are as exact in float32 as anybody's clock."""
LOST = 0.01
"""Share of a number's changes that float32 may round away before it is said."""

OURS = (str(Path(__file__).parents[2]),)
LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))


class EnvironmentMistake(Exception):
    """What an environment gave does not fit what it declares. The message goes on after the environment's name."""


class Transition(NamedTuple):
    """What a step gave.

    Attributes:
        observation: After it.
        reward: Of it.
        ended: Whether the episode is over.
        success: Whether it solved the task: what the information calls `success` or, as Gymnasium-Robotics and
            Stable-Baselines3 do, `is_success`.
        success_reported: Whether it said anything about that.
    """

    observation: Any
    reward: float
    ended: bool
    success: bool
    success_reported: bool


def first_observation(result: Any, shape: tuple[int, ...]) -> Any:
    """The observation that `reset` returned.

    Args:
        result: What it returned.
        shape: Of the declared observations.

    Raises:
        EnvironmentMistake: If that is not (observation, information).
    """
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping)):
        raise EnvironmentMistake(f"reset() returned {_brief(result)}, but it must return (observation, dictionary)")
    return _observation("reset()", result[0], shape)


def transition(result: Any, shape: tuple[int, ...]) -> Transition:
    """What `step` returned.

    Args:
        result: What it returned.
        shape: Of the declared observations.

    Raises:
        EnvironmentMistake: If that is not (observation, reward, terminated, truncated, information), or one of them is
            of another shape or kind than it must be.
    """
    if not (isinstance(result, tuple) and len(result) == 5 and isinstance(result[4], Mapping)):
        expected = "(observation, reward, terminated, truncated, dictionary)"
        raise EnvironmentMistake(f"step() returned {_brief(result)}, but it must return {expected}")
    observation, reward, terminated, truncated, information = result
    name = "success" if "success" in information else "is_success"
    success = information.get(name, False)
    return Transition(
        _observation("step()", observation, shape),
        _number(reward),
        _flag("terminated", terminated) or _flag("truncated", truncated),
        _flag(f"{name} in the information", success),
        name in information,
    )


def listed(tasks: Any, method: str, asked: int) -> list[Any]:
    """The tasks that a method returned.

    Raises:
        EnvironmentMistake: If that is no list of them, or an empty one.
    """
    if isinstance(tasks, Mapping | str | bytes | set):
        # A dictionary of columns would become a list of their names.
        raise EnvironmentMistake(f"{method}({asked}) returned a {type(tasks).__name__}, but it must return a list")
    try:
        tasks = list(tasks)
    except TypeError:
        raise EnvironmentMistake(
            f"{method}({asked}) returned {_brief(tasks)}, but it must return a list of tasks"
        ) from None
    if not tasks:
        raise EnvironmentMistake(f"{method}({asked}) gave no tasks")
    return tasks


def lost_digits(name: str, values: Float[np.ndarray, "steps numbers"]) -> list[str]:
    """What float32 loses of numbers that changed from step to step, a line for each.

    Args:
        name: What the numbers are.
        values: As they came, of one episode.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        error = np.max(np.abs(values - values.astype(np.float32)), axis=0)
        spread = np.ptp(values, axis=0)
        large = np.max(np.abs(values), axis=0) >= LARGE
        places = np.flatnonzero(large & (spread > 0) & np.isfinite(error) & (error > LOST * spread))
    return [
        f"{name}[{place}] is about {values[0, place]:.9g} and changes by {spread[place]:.2g}, of which float32 loses"
        f" {min(error[place] / spread[place], 1):.0%}: subtract what is constant, or divide"
        for place in places
    ]


def cause(error: BaseException) -> str:
    """An error in a line: its type and text, and the last line of the user's own files that it came through."""
    text = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_in(OURS, frame.filename)]
    if not frames:
        return text
    *_, last = [frame for frame in frames if not _is_in(LIBRARIES, frame.filename)] or frames
    return f"{text} ({last.filename}, line {last.lineno}, in {last.name}: {last.line})"


def space_of(env: gymnasium.Env) -> gymnasium.spaces.Box:
    """The environment's observation space.

    Raises:
        EnvironmentMistake: If it is no Box of one axis.
    """
    space = env.observation_space
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1:
        raise EnvironmentMistake(
            f"observations must be a vector (a Box of one axis), not {space}; wrap it, as with"
            " gymnasium.wrappers.FlattenObservation"
        )
    return space


def _observation(source: str, observation: Any, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.asarray(observation)
    except ValueError:
        array = np.asarray(None)  # A ragged list.
    if array.dtype.kind not in "biuf":
        raise EnvironmentMistake(f"{source} returned an observation that is no array of numbers: {_brief(observation)}")
    if array.shape != shape:
        raise EnvironmentMistake(
            f"{source} returned an observation of shape {array.shape}, but observation_space has {shape}"
        )
    return array


def _number(reward: Any) -> float:
    if isinstance(reward, float | int | np.number | np.bool_):
        return float(reward)
    array = np.asarray(reward)
    if array.size != 1 or array.dtype.kind not in "biuf":
        raise EnvironmentMistake(f"step() returned the reward {_brief(reward)}, but it must be a number")
    return float(array.item())


def _flag(name: str, value: Any) -> bool:
    if value is True or value is False:
        return value
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "biuf" or array.item() not in (0, 1):
        raise EnvironmentMistake(f"step() returned {name} = {_brief(value)}, but it must be True or False, or 1 or 0")
    return bool(array.item())


def _brief(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_in(folders: Sequence[str], filename: str) -> bool:
    return filename.startswith(("<", *folders))
