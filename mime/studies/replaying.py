"""Replays of trained runs: their adaptation to held-out tasks, as a page that moves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mime.configuration.keys import Configuration
from mime.drawing.replay_page import Replayed, page
from mime.envs.replay_scenes import replay_scene
from mime.envs.scenes import Trajectories
from mime.envs.task_environment import count_tasks
from mime.errors import UserError
from mime.numerics import parallel
from mime.runs.files import write_atomically
from mime.runs.folder import RunFolder
from mime.runs.rendering import trajectories
from mime.runs.setup import TESTING, Setup, load_weights, set_up, stream
from mime.sampling.resources import HERE, Resources


def replay(
    folders: Sequence[RunFolder],
    path: Path,
    *,
    steps: Sequence[int],
    num_trajectories: int,
    seed: int,
    resources: Resources = HERE,
) -> None:
    """Adapt trained runs to the held-out tasks of their environment, and write a page that shows them side by side.

    Args:
        folders: Of the runs, all in the same environment.
        path: Of the HTML file.
        steps: Steps of adaptation after which episodes are shown.
        num_trajectories: Trajectories of each task that are shown.
        seed: Of everything random: the same seed gives the same file.
        resources: Where the episodes of environments outside JAX are collected.

    Raises:
        UserError: If a run is incomplete or damaged, or they are in different environments.
        OSError: If the file cannot be written.
    """
    configured = [folder.read_config() for folder in folders]
    _require_same_environment(folders, [experiment for experiment, _ in configured])
    runs = {}
    with_success = False
    for name, folder, (experiment, run_seed) in zip(_titles(folders, configured), folders, configured):
        setup = set_up(experiment, run_seed, resources, source=str(folder.config))
        try:
            runs[name] = _stages(folder, setup, steps, num_trajectories, seed)
        finally:
            if setup.sampler is not None:
                setup.sampler.close()
        with_success |= setup.environment.reports_success
    experiment = configured[0][0]
    title = f"Held-out tasks of {experiment.env_name}"
    write_atomically(path, page(title, experiment.STEPS, runs, with_success=with_success).encode())


def _stages(
    folder: RunFolder, setup: Setup, steps: Sequence[int], num_trajectories: int, seed: int
) -> dict[int, Replayed]:
    """What a run's policies do after so many steps of adaptation."""
    state = load_weights(folder, setup)
    tasks = setup.environment.test_batch(0)
    shared = parallel.share(state, count_tasks(tasks))
    # As in a test of the run: its first batch of the same seed has these very episodes.
    key = jax.random.fold_in(stream(seed, TESTING), 0)
    trial = setup.learner.adapt_and_evaluate(shared, tasks, key, num_steps=max(1, *steps))
    stages = setup.learner.stages(trial)
    tasks = jax.device_get(tasks)
    shown = {step: _some(trajectories(stages[step]), num_trajectories) for step in sorted(set(steps))}
    return {step: Replayed(replay_scene(setup.environment, tasks, each), each) for step, each in shown.items()}


def _some(whole: Trajectories, number: int) -> Trajectories:
    """So many trajectories of each task, evenly among all."""
    total = whole.valid.shape[1]
    chosen = np.arange(min(number, total)) * total // min(number, total)
    return Trajectories(*(array[:, chosen] for array in whole))


def _require_same_environment(folders: Sequence[RunFolder], experiments: Sequence[Configuration]) -> None:
    first = experiments[0]
    for folder, experiment in zip(folders, experiments):
        if (experiment.env_name, experiment.env_kwargs) != (first.env_name, first.env_kwargs):
            raise UserError(
                f"{folder.path}: is in {experiment.env_name} {experiment.env_kwargs}, and {folders[0].path} in"
                f" {first.env_name} {first.env_kwargs}; replay them one by one"
            )


def _titles(folders: Sequence[RunFolder], configured: Sequence[tuple[Configuration, int]]) -> list[str]:
    """The method of each run; with its seed, or with its folder, where that does not tell them apart."""
    methods = [experiment.method for experiment, _ in configured]
    seeds = [f"{method}, seed {seed}" for method, (_, seed) in zip(methods, configured)]
    paths: list[Any] = [f"{method}, {folder.path}" for method, folder in zip(methods, folders)]
    return next((titles for titles in (methods, seeds) if len(set(titles)) == len(titles)), paths)
