"""Metrics of each class of tasks, where an environment has several, as Meta-World does."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mime.envs.external.hosted_environment import HostedEnvironment
from mime.runs.metrics import Row
from mime.sampling.episodes import Episodes


def class_metrics(environment: Any, classes: Sequence[str], tasks: Any, stages: Sequence[Episodes]) -> Row:
    """Returns and success before each inner step and after the last, by class: `Valid/door-close-v3/Success`, ...

    Args:
        environment: Where the trial took place.
        classes: Names of the classes to report on, whether or not the batch has tasks of each.
        tasks: Its tasks, with a leading `tasks` axis.
        stages: Episodes before each inner step, and after the last one.

    Returns:
        Means over each class's tasks, NaN for a class without, and the share of trajectories whose last step was a
        success. Nothing for environments written in JAX.
    """
    if not isinstance(environment, HostedEnvironment):
        return {}
    names = [*(f"Train-{number}" for number in range(len(stages) - 1)), "Valid"]
    metrics = {}
    for stage, episodes in zip(names, stages):
        outcomes = task_outcomes(episodes)
        metrics[f"{stage}/LastStepSuccess"] = float(np.mean(outcomes["LastStepSuccess"]))
        for kind in classes:
            members = [environment.class_of(task) == kind for task in tasks]
            for name, values in outcomes.items():
                metrics[f"{stage}/{kind}/{name}"] = float(np.mean(values[members])) if any(members) else float("nan")
    return metrics


def task_outcomes(episodes: Episodes) -> dict[str, np.ndarray]:
    """Each task's mean return, and its success: of any trajectory, by share of trajectories, and at their last step."""
    solved, valid = np.asarray(episodes.solved()), np.asarray(episodes.valid)
    last = np.maximum(valid.sum(axis=-1, keepdims=True) - 1, 0)
    at_last = np.take_along_axis(np.asarray(episodes.success), last, axis=-1)[..., 0]
    return {
        "Returns": np.asarray(episodes.returns()).mean(axis=1),
        "Success": solved.any(axis=1).astype(float),
        "TrajectorySuccess": solved.mean(axis=1),
        "LastStepSuccess": at_last.mean(axis=1),
    }
