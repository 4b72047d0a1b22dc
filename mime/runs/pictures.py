"""Pictures of a trial: in TensorBoard, and as a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mime.drawing.trajectories import before_and_after
from mime.envs.environment import Environment
from mime.envs.scenes import Trajectories, picture
from mime.runs.metrics import Recorder
from mime.sampling.episodes import Episodes


def record(
    recorder: Recorder,
    path: Path,
    environment: Environment,
    tasks: Any,
    stages: Sequence[Episodes],
    caption: str,
    x: int,
) -> None:
    """Draw the trajectories before and after adaptation.

    Args:
        recorder: Gets the TensorBoard images TrainTrajectories and ValidTrajectories.
        path: Of the PNG file with both side by side.
        environment: Where the trial took place.
        tasks: Its tasks, with a leading `tasks` axis.
        stages: Episodes `[tasks trajectories steps ...]`, the first before adaptation and the last after it.
        caption: What the trial was, as "iteration 10".
        x: The images' place on TensorBoard's axis.
    """
    tasks = jax.device_get(tasks)
    before, after = trajectories(stages[0]), trajectories(stages[-1])
    recorder.picture("TrainTrajectories", picture(environment, tasks, before, f"{caption}, before adaptation"), x)
    recorder.picture("ValidTrajectories", picture(environment, tasks, after, f"{caption}, after adaptation"), x)
    path.parent.mkdir(exist_ok=True)
    before_and_after(environment, tasks, before, after, caption).savefig(path, dpi=150)


def trajectories(episodes: Episodes) -> Trajectories:
    """What is drawn of episodes `[tasks trajectories steps ...]`."""
    arrays = jax.device_get(episodes)
    observations = np.concatenate([arrays.observations[:, :, :1], arrays.next_observations], axis=2)
    return Trajectories(observations, arrays.rewards, arrays.success, arrays.valid)
