"""Testing a trained run: adaptation to held-out tasks, step by step."""

import os
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
import numpy as np

from mime.configuration.seeds import checked_seed
from mime.envs.task_environment import count_tasks
from mime.errors import Failure, require
from mime.numerics import parallel
from mime.runs.folder import EVENTS, UNFINISHED_TEST, RunFolder
from mime.runs.metrics import Row, before_and_after, class_metrics, ordered, without_success
from mime.runs.recorder import Recorder, messages_to
from mime.runs.rendering import draw_trial
from mime.runs.setup import TESTING, load_weights, set_up, stream
from mime.sampling.episodes import LAST_STAGE, recorded_stages
from mime.sampling.resources import HERE, Resources


def evaluate(
    folder: RunFolder,
    *,
    num_batches: int,
    num_steps: int | None,
    seed: int,
    unseen: bool = False,
    resources: Resources = HERE,
    report: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Adapt a trained run to the held-out tasks of its environment and record what comes of it.

    Every batch holds all held-out tasks or, for Meta-World, the next goal of each test class; batches differ in their
    random numbers. Rewards are the method's, bonus included, and the bonus's model adapts along; the returns are those
    of the task's own reward.

    Args:
        folder: Of the run; its configuration and weights are read, `test_*` and `test/` (or `unseen_*` and `unseen/`)
            written anew, and how it was tested goes into `config.json`. What an earlier test wrote stays until this one
            has ended.
        num_batches: Times that every held-out task is adapted to.
        num_steps: Steps of adaptation: inner steps, trajectories of context, or earlier episodes of a trial. None for
            the configuration's `test_steps`.
        seed: Of everything random.
        unseen: Adapt to the environment's tasks unlike the training ones, in place of the held-out ones.
        resources: Where the episodes of environments outside JAX are collected.
        report: Called with the metrics of every batch.

    Returns:
        A row of metrics for each batch.

    Raises:
        UserError: If the run is incomplete or damaged, a number too small, or there are no such tasks.
        Failure: If a file cannot be written.
    """
    require("num_batches", num_batches, at_least=1)
    require("num_steps", num_steps, at_least=1)
    seed = checked_seed(seed)
    experiment, run_seed = folder.read_config()
    num_steps = experiment.test_steps if num_steps is None else num_steps
    setup = set_up(experiment, run_seed, resources, source=str(folder.config))
    state = load_weights(folder, setup)
    name, batches = ("unseen", setup.environment.unseen_batch) if unseen else ("test", setup.environment.test_batch)
    batches(0)  # An environment without such tasks says so before anything is written.
    classes = getattr(setup.environment, "test_classes", ())
    rows = []
    with ExitStack() as stack:
        if setup.sampler is not None:
            stack.callback(setup.sampler.close)
        stack.enter_context(_told(folder))
        folder.lock("testing")
        stack.callback(folder.unlock)
        made = Path(stack.enter_context(TemporaryDirectory(prefix=UNFINISHED_TEST, dir=folder.path)))
        events = made / name
        recorder = Recorder(made, name, events=events, pictures=events, x_axis="Batch")
        with closing(recorder), messages_to(recorder.log):
            for batch in range(num_batches):
                key = jax.random.fold_in(stream(seed, TESTING), batch)
                tasks = batches(batch)
                shared = parallel.share(state, count_tasks(tasks))
                trial = setup.learner.adapt_and_evaluate(shared, tasks, key, num_steps=num_steps)
                metrics = jax.device_get(setup.learner.summary(trial, state))
                metrics = {name: np.asarray(value).item() for name, value in metrics.items()}
                stages = setup.learner.stages(trial)
                metrics |= class_metrics(setup.environment, classes, tasks, stages)
                metrics = dict(without_success(metrics, setup.environment))
                row = {"Batch": batch + 1, "TotalEnvSteps": metrics.pop("Steps")} | ordered(metrics)
                recorder.row(row)
                recorder.log(f"batch {batch + 1}/{num_batches}  {before_and_after(row)}")
                kind = "Unseen" if unseen else "Held-out"
                caption = f"{kind} tasks, {num_steps} {experiment.STEPS}, batch {batch + 1}"
                picture = made / folder.figures.name / f"{name}.png"
                draw_trial(recorder, picture, setup.environment, tasks, stages, caption, batch + 1)
                rows.append(row)
                report(dict(row))
        _replace(folder, made, name)
        folder.record_test(tasks=name, num_batches=num_batches, num_steps=num_steps, seed=seed)
    return rows


@contextmanager
def _told(folder: RunFolder) -> Generator[None]:
    try:
        yield
    except BrokenPipeError:  # Of whoever reads what is reported.
        raise
    except OSError as error:
        raise Failure(
            f"{error.filename or folder.path}: {error.strerror or error}. The run, and what an earlier test wrote, are"
            " as they were; test again when that is mended"
        ) from None


def _replace(folder: RunFolder, made: Path, name: str) -> None:
    """Put a finished test's files in the place of an earlier one's, the table last."""
    old = set((folder.path / name).glob(EVENTS))
    files = [path for path in made.rglob("*") if path.is_file()]
    for path in sorted(files, key=lambda path: path.suffix == ".csv"):
        target = folder.path / path.relative_to(made)
        target.parent.mkdir(exist_ok=True)
        os.replace(path, target)
        old.discard(target)
    for path in old:
        path.unlink()


def curve(rows: list[Row], name: str) -> list[float]:
    """Mean over batches of a metric before the first inner step, between any two, and after the last."""
    return [float(np.mean([row[f"{stage}/{name}"] for row in rows])) for stage in recorded_stages(rows[0], name)]


def class_table(rows: list[Row]) -> dict[str, dict[str, float]]:
    """For each class of tasks, means over batches of its metrics after adaptation; empty if there is one class."""
    table: dict[str, dict[str, float]] = {}
    for column in rows[0]:
        if column.startswith(f"{LAST_STAGE}/") and column.count("/") == 2:
            _, kind, name = column.split("/")
            table.setdefault(kind, {})[name] = float(np.mean([row[column] for row in rows]))
    return table
