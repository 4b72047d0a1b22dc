"""Meta-training from a configuration to run folders."""

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from mime.configuration.keys import Configuration
from mime.configuration.seeds import checked_seed
from mime.errors import Failure, UserError
from mime.runs.folder import RunFolder
from mime.runs.metrics import Row
from mime.runs.recorder import messages_to
from mime.runs.run import Run
from mime.runs.setup import MetaLearner, set_up
from mime.runs.signals import stop_requested
from mime.sampling.resources import HERE, Resources


class TrainingResult(NamedTuple):
    """How training ended."""

    iteration: int
    """Meta-iterations done."""
    interrupted: bool
    """Whether a signal ended it."""
    row: Row
    """Metrics of the last meta-iteration."""


def train(experiment: Configuration, folder: RunFolder, *, seed: int, **options: Any) -> TrainingResult:
    """Meta-train with one seed: `train_seeds` of a single folder, with its options."""
    seed = checked_seed(seed)
    return train_seeds(experiment, {seed: folder}, **options)[seed]


def train_seeds(
    experiment: Configuration,
    folders: Mapping[int, RunFolder],
    *,
    resume: bool = False,
    overwrite: bool = False,
    resources: Resources = HERE,
    report: Callable[[Row], None] = lambda row: None,
    warn: Callable[[str], None] = lambda message: None,
) -> dict[int, TrainingResult]:
    """Meta-train with several seeds in turn, all in one process, and record each in a folder of its own.

    Everything is compiled once. A processor's seeds take their meta-iterations one after the other, each with the very
    numbers of a run of its own; a GPU's take them together, which rounds differently.

    Whatever can be refused is refused before anything is written. A run that is replaced waits beside the new one until
    that has a checkpoint.

    Args:
        experiment: The configuration.
        folders: Of each seed.
        resume: Go on from the newest checkpoints that can be read.
        overwrite: Replace the runs that are there.
        resources: Where the episodes of environments outside JAX are collected.
        report: Called with a copy of the metrics of every meta-iteration; of several seeds, with `Seed` among them. If
            it raises anything, so does this, with everything saved; the same for `warn`.
        warn: Called with anything the user should know at once.

    Returns:
        How training ended for each seed. A signal ends it after the iteration under way.

    Raises:
        UserError: If a run is there already, there is none to go on with or another one, or the experiment cannot be
            run.
        Failure: If a file cannot be written, or the episodes of a task keep failing.
    """
    if resume and overwrite:
        raise UserError("--resume continues the run and --overwrite replaces it: give one of them")
    folders = {checked_seed(seed): folder for seed, folder in folders.items()}
    options = {"resume": resume, "overwrite": overwrite, "resources": resources}
    try:
        return _trained(experiment, folders, **options, report=_marked(report), warn=_marked(warn))
    except _Raised as raised:
        raise raised.error from None


def _trained(
    experiment: Configuration,
    folders: Mapping[int, RunFolder],
    *,
    resume: bool,
    overwrite: bool,
    resources: Resources,
    report: Callable[[Row], None],
    warn: Callable[[str], None],
) -> dict[int, TrainingResult]:
    runs: list[Run] = []
    begun: list[Run] = []

    def finish() -> None:
        for run in begun:
            run.finish()

    def finish_for_good() -> None:
        for run in begun:
            run.finish_for_good()

    with ExitStack() as stack:
        try:
            for seed, folder in folders.items():
                stack.callback(folder.unlock)
                folder.prepare(experiment, seed, resume=resume, overwrite=overwrite)
            for seed, folder in folders.items():
                setup = set_up(experiment, seed, resources, like=runs[0].setup if runs else None)
                if not runs and setup.sampler is not None:
                    stack.callback(setup.sampler.close)
                told = partial(_labelled, warn, "" if len(folders) == 1 else f"seed {seed}: ")
                runs.append(Run(experiment, folder, seed, setup, resume=resume, warn=told))
            for run in runs:
                stack.callback(run.close)
                run.begin()
                begun.append(run)
                stack.enter_context(messages_to(run.recorder.log, warn))
            stop = stack.enter_context(stop_requested(finish_for_good))
            step = _Step(runs[0].setup.learner)
            while not stop.is_set() and not all(run.finished for run in runs):
                lowest = min(run.iteration for run in runs)
                for run in step([run for run in runs if run.iteration == lowest]):
                    report(dict(run.row) if len(runs) == 1 else {**run.row, "Seed": run.seed})
            finish()
        except UserError:
            if not begun:
                for folder in folders.values():
                    folder.leave()
            raise
        except (Failure, _Raised):
            finish()
            raise
        except OSError as error:
            raise Failure(_what_is_kept(error, begun, folders)) from None
        interrupted = stop.is_set()
        return {run.seed: TrainingResult(run.iteration, interrupted and not run.finished, run.row) for run in runs}


class _Raised(BaseException):
    """Something that the caller's function raised, whatever it was, told from what goes wrong here."""

    def __init__(self, error: BaseException):
        super().__init__(error)
        self.error = error


def _marked(function: Callable[[Any], Any]) -> Callable[[Any], None]:
    def call(argument: Any) -> None:
        try:
            function(argument)
        except BaseException as error:
            raise _Raised(error) from None

    return call


def _labelled(warn: Callable[[str], None], label: str, message: str) -> None:
    warn(f"{label}{message}")


@partial(jax.jit, static_argnums=0)
def _iterate(learner: MetaLearner, state: Any, tasks: Any, key: PRNGKeyArray) -> tuple:
    return learner.iterate(state, tasks, key)


class _Step:
    """The next meta-iteration of several runs at the same iteration; gives them back."""

    def __init__(self, learner: MetaLearner):
        self._compiled = learner.compiled
        self._iterate = partial(_iterate, learner) if learner.compiled else learner.iterate
        self._iterate_all = jax.jit(jax.vmap(learner.iterate))

    def __call__(self, runs: Sequence[Run]) -> Sequence[Run]:
        if len(runs) > 1 and self._compiled and jax.default_backend() != "cpu":
            self._together(runs)
        else:
            for run in runs:
                started = time.perf_counter()
                tasks, key = run.draw()
                results = jax.block_until_ready(self._iterate(run.state, tasks, key))
                run.advance(*_in_order(results, tasks), time.perf_counter() - started)
        return runs

    def _together(self, runs: Sequence[Run]) -> None:
        started = time.perf_counter()
        tasks, keys = zip(*(run.draw() for run in runs))
        inputs = [run.state for run in runs], list(tasks), list(keys)
        stacked = (jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees) for trees in inputs)
        results = jax.block_until_ready(self._iterate_all(*stacked))
        seconds = (time.perf_counter() - started) / len(runs)
        for number, run in enumerate(runs):
            of_run = jax.tree.map(lambda leaf, n=number: leaf[n], results)
            run.advance(*_in_order(of_run, tasks[number]), seconds)


def _in_order(results: tuple, tasks: Any) -> tuple:
    state, metrics, trial = results
    return state, metrics, tasks, trial


def _what_is_kept(error: OSError, runs: Sequence[Run], folders: Mapping[int, RunFolder]) -> str:
    kept = ", ".join(f"the checkpoint of iteration {run.kept}" for run in runs if run.kept) or "nothing"
    path = next(iter(folders.values())).path
    folder = shlex.quote(str(path if len(folders) == 1 else path.parent))
    return (
        f"{error.filename or path}: {error.strerror or error}. Kept: {kept}. When that is mended, continue"
        f" with: python train.py --output-folder {folder} --resume"
    )
