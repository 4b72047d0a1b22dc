"""MIME: meta-reinforcement learning that explores, in JAX."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mime.gym import ids as gymnasium_ids
from mime.version import __version__

if TYPE_CHECKING:
    from mime.api import (
        Bonus,
        Environment,
        Episodes,
        Experiment,
        Failure,
        PearlExperiment,
        Policy,
        Resources,
        Rl2Experiment,
        TaskEnvironment,
        TrainedRun,
        TrainingResult,
        UserError,
        check_environment,
        evaluate,
        load_experiment,
        load_pretrained,
        load_run,
        make_environment,
        train,
    )


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
    "__version__",
    "check_environment",
    "evaluate",
    "load_experiment",
    "load_pretrained",
    "load_run",
    "make_environment",
    "train",
]

gymnasium_ids.register()


def __getattr__(name: str) -> Any:
    # Imported on first use: worker processes, and those who want the environments' ids alone, do without JAX.
    if name in __all__:
        return getattr(import_module("mime.api"), name)
    raise AttributeError(f"module mime has no {name}")
