"""Pictures of a trial: in TensorBoard, and as a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from mime.drawing.trajectories import before_and_after, picture
from mime.envs.registration import Environment
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
    tasks, before, after = jax.device_get((tasks, stages[0], stages[-1]))
    recorder.picture("TrainTrajectories", picture(environment, tasks, before, f"{caption}, before adaptation"), x)
    recorder.picture("ValidTrajectories", picture(environment, tasks, after, f"{caption}, after adaptation"), x)
    path.parent.mkdir(exist_ok=True)
    before_and_after(environment, tasks, before, after, caption).savefig(path, dpi=150)
