"""Pictures of a trial: in TensorBoard, and as a file."""

from pathlib import Path
from typing import Any

import jax

from mime.envs.registration import Environment
from mime.figures.trajectories import before_and_after, picture
from mime.meta.learner import Trial
from mime.runs.metrics import Recorder


def record(
    recorder: Recorder, path: Path, environment: Environment, tasks: Any, trial: Trial, caption: str, x: int
) -> None:
    """Draw the trajectories before and after adaptation.

    Args:
        recorder: Gets the TensorBoard images TrainTrajectories and ValidTrajectories.
        path: Of the PNG file with both side by side.
        environment: Where the trial took place.
        tasks: Its tasks, with a leading `tasks` axis.
        trial: What happened.
        caption: What the trial was, as "iteration 10".
        x: The images' place on TensorBoard's axis.
    """
    tasks, before, after = jax.device_get((tasks, trial.inner[0].episodes, trial.after.episodes))
    recorder.picture("TrainTrajectories", picture(environment, tasks, before, f"{caption}, before adaptation"), x)
    recorder.picture("ValidTrajectories", picture(environment, tasks, after, f"{caption}, after adaptation"), x)
    path.parent.mkdir(exist_ok=True)
    before_and_after(environment, tasks, before, after, caption).savefig(path, dpi=150)
