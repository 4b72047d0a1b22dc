"""Testing a trained run: adaptation to held-out tasks, step by step."""

from collections.abc import Callable

import jax
import numpy as np

from mime.envs.task_environment import count_tasks
from mime.numerics import parallel
from mime.runs.folder import RunFolder
from mime.runs.metrics import Row, before_and_after, class_metrics, ordered
from mime.runs.recorder import Recorder, messages_to
from mime.runs.rendering import draw_trial
from mime.runs.setup import TESTING, load_weights, set_up, stream
from mime.sampling.episodes import LAST_STAGE, recorded_stages
from mime.sampling.resources import HERE, Resources


def evaluate(
    folder: RunFolder,
    *,
    num_batches: int,
    num_steps: int,
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
            written anew, and how it was tested goes into `config.json`.
        num_batches: Times that every held-out task is adapted to.
        num_steps: Steps of adaptation: inner steps, or trajectories of context.
        seed: Of everything random.
        unseen: Adapt to the environment's tasks unlike the training ones, in place of the held-out ones.
        resources: Where the episodes of environments outside JAX are collected.
        report: Called with the metrics of every batch.

    Returns:
        A row of metrics for each batch.

    Raises:
        UserError: If the run is incomplete or damaged, or the environment has no such tasks.
    """
    experiment, run_seed = folder.read_config()
    setup = set_up(experiment, run_seed, resources, source=str(folder.config))
    state = load_weights(folder, setup)
    batches = setup.environment.unseen_batch if unseen else setup.environment.test_batch
    batches(0)  # An environment without such tasks says so before an earlier test's files are gone.
    name = "unseen" if unseen else "test"
    events = folder.path / name
    for path in [folder.path / f"{name}_result.csv", folder.path / f"{name}_log.txt", *events.glob("events.out.*")]:
        path.unlink(missing_ok=True)
    recorder = Recorder(folder.path, name, events=events, pictures=events, x_axis="Batch")
    classes = getattr(setup.environment, "test_classes", ())
    rows = []
    try:
        with messages_to(recorder.log):
            for batch in range(num_batches):
                key = jax.random.fold_in(stream(seed, TESTING), batch)
                tasks = batches(batch)
                shared = parallel.share(state, count_tasks(tasks))
                trial = setup.learner.adapt_and_evaluate(shared, tasks, key, num_steps=num_steps)
                metrics = jax.device_get(setup.learner.summary(trial, state))
                metrics = {name: np.asarray(value).item() for name, value in metrics.items()}
                stages = setup.learner.stages(trial)
                metrics |= class_metrics(setup.environment, classes, tasks, stages)
                row = {"Batch": batch + 1, "TotalEnvSteps": metrics.pop("Steps")} | ordered(metrics)
                recorder.row(row)
                recorder.log(f"batch {batch + 1}/{num_batches}  {before_and_after(row)}")
                caption = (
                    f"{'Unseen' if unseen else 'Held-out'} tasks, {num_steps} {experiment.STEPS}, batch {batch + 1}"
                )
                picture = folder.figures / f"{name}.png"
                draw_trial(recorder, picture, setup.environment, tasks, stages, caption, batch + 1)
                report(row)
                rows.append(row)
        folder.record_test(tasks=name, num_batches=num_batches, num_steps=num_steps, seed=seed)
    finally:
        if setup.sampler is not None:
            setup.sampler.close()
        recorder.close()
    return rows


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
