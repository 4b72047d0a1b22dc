"""The library's front door: what `import mime` offers. The commands stand on the same functions."""

import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console

from mime.commands.terminal import ProgressBar, prepare_jax
from mime.configuration import packaged, parsing
from mime.configuration.gradients import Experiment
from mime.configuration.keys import Configuration, kebab
from mime.configuration.pearl import PearlExperiment
from mime.configuration.rl2 import Rl2Experiment
from mime.envs.environment import Environment
from mime.envs.registration import make as make_environment
from mime.envs.task_environment import TaskEnvironment
from mime.errors import Failure, UserError
from mime.exploration.bonus import Bonus
from mime.policies.policy import Policy
from mime.runs import pretrained, testing, trained, training
from mime.runs.folder import RunFolder
from mime.runs.metrics import Row
from mime.runs.setup import build_environment
from mime.runs.trained import TrainedRun
from mime.runs.training import TrainingResult
from mime.sampling.environment_checks import check_environment
from mime.sampling.episodes import Episodes
from mime.sampling.resources import HERE, Resources

__all__ = [
    "Bonus",
    "Environment",
    "Episodes",
    "Experiment",
    "Failure",
    "PearlExperiment",
    "Policy",
    "Resources",
    "Rl2Experiment",
    "TaskEnvironment",
    "TrainedRun",
    "TrainingResult",
    "UserError",
    "check_environment",
    "evaluate",
    "load_experiment",
    "load_pretrained",
    "load_run",
    "make_environment",
    "train",
]


def load_experiment(path: str | Path, *, scale: str | None = None, **keys: Any) -> Configuration:
    """The experiment in a YAML file, with other values of some keys.

    Args:
        path: The file, or the name of a packaged configuration, as `wide-ring` or `solved/wide-ring`.
        scale: Name of an entry under `scales` in the file, whose values replace those of the experiment.
        **keys: Keys of the configuration with underscores, as `fast_lr=0.1`.

    Raises:
        UserError: If the file cannot be read, or a key or value is not allowed.
    """
    prepare_jax()
    path = packaged.find(path)
    document = parsing.load(path, scale=scale).as_keys()
    experiment = parsing.parse(document | {kebab(key): value for key, value in keys.items()}, source=str(path))
    parsing.require_used(experiment, map(kebab, keys))
    build_environment(experiment, source=str(path))
    return experiment


def train(
    experiment: Configuration,
    folder: str | Path,
    *,
    seed: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    resources: Resources = HERE,
    report: Callable[[Row], Any] = lambda row: None,
    warn: Callable[[str], Any] = warnings.warn,
) -> TrainingResult:
    """Meta-train, and record the run in a folder, as `mime train` does.

    On a terminal and in a notebook a progress bar is shown. All cores are used, and compiled programs are kept between
    runs, unless JAX has computed something before or its configuration says otherwise.

    Args:
        experiment: The configuration.
        folder: Run folder; made if missing.
        seed: Of everything random: the same seed gives the same numbers.
        resume: Continue the run in the folder from its newest checkpoint.
        overwrite: Replace the run in the folder.
        resources: Where the episodes of environments outside JAX are collected.
        report: Called with a copy of the metrics of every meta-iteration. If it raises anything, so does this, with
            everything saved; the same for `warn`.
        warn: Called with anything the user should know at once.

    Returns:
        How training ended. Ctrl-C ends it after the iteration under way.

    Raises:
        UserError: If the environment does not exist or does not fit, a run is there already, or `resume` is to continue
            another experiment.
        Failure: If a file cannot be written, or the episodes of a task keep failing.
    """
    prepare_jax()
    with _progress("meta-iterations", experiment.iterations, report) as advance:
        return training.train(
            experiment,
            RunFolder(Path(folder)),
            seed=seed,
            resume=resume,
            overwrite=overwrite,
            resources=resources,
            report=advance,
            warn=warn,
        )


def evaluate(
    folder: str | Path,
    *,
    num_batches: int = 3,
    num_steps: int | None = None,
    seed: int = 1,
    unseen: bool = False,
    resources: Resources = HERE,
    report: Callable[[Row], Any] = lambda row: None,
) -> list[Row]:
    """Adapt a trained run to the held-out tasks of its environment, and record what comes of it, as `mime test` does.

    Args:
        folder: Run folder.
        num_batches: Times that every held-out task is adapted to.
        num_steps: Steps of adaptation: inner steps, for PEARL trajectories of context, for RL2 earlier episodes of a
            trial. By default 10; for RL2, as many as in training.
        seed: Of everything random.
        unseen: Adapt to tasks unlike the training ones, in place of the held-out ones.
        resources: Where the episodes of environments outside JAX are collected.
        report: Called with the metrics of every batch.

    Returns:
        A row of metrics for each batch.

    Raises:
        UserError: If the run is incomplete or damaged, or the environment has no such tasks.
    """
    prepare_jax()
    with _progress("test batches", num_batches, report) as advance:
        return testing.evaluate(
            RunFolder(Path(folder)),
            num_batches=num_batches,
            num_steps=num_steps,
            seed=seed,
            unseen=unseen,
            resources=resources,
            report=advance,
        )


def load_run(folder: str | Path, *, resources: Resources = HERE) -> TrainedRun:
    """A trained run, to adapt its policy to tasks.

    Args:
        folder: Run folder.
        resources: Where the episodes of environments outside JAX are collected.

    Raises:
        UserError: If the run is incomplete or damaged, or its method does not adapt the policy's parameters.
    """
    prepare_jax()
    return trained.load_run(RunFolder(Path(folder)), resources)


def load_pretrained(name: str) -> TrainedRun:
    """A trained run that comes with the package, to adapt its policy to tasks without training.

    Args:
        name: As `wide-ring`, which `configs/solved/2d-navigation-wide-ring-sparse.yaml` trained.

    Raises:
        UserError: If there is none of this name; it lists them.
    """
    prepare_jax()
    return trained.load_run(pretrained.find(name))


@contextmanager
def _progress(what: str, total: int, report: Callable[[Row], Any]) -> Generator[Callable[[Row], None]]:
    """A function that shows each row's progress, where somebody looks, and reports the row."""
    with ProgressBar(what, total, on=Console(stderr=True, highlight=False)) as advance:

        def both(row: Row) -> None:
            advance(row)
            report(row)

        yield both
