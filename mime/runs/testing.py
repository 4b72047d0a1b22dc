"""Testing a trained run: adaptation to held-out tasks, step by step."""

from collections.abc import Callable

import jax
import numpy as np

from mime.runs import pictures
from mime.runs.folder import RunFolder
from mime.runs.metrics import Recorder, Row, ordered
from mime.runs.training import TESTING, load_weights, set_up, stream


def evaluate(
    folder: RunFolder,
    *,
    num_batches: int,
    num_steps: int,
    seed: int,
    report: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Adapt a trained run to the held-out tasks of its environment and record what comes of it.

    Every batch holds all held-out tasks; batches differ in their random numbers. Rewards are the method's, bonus
    included, and the bonus's model adapts along; the returns are those of the task's own reward.

    Args:
        folder: Of the run; its configuration and weights are read, `test_*` and `test/` written anew.
        num_batches: Times that every held-out task is adapted to.
        num_steps: Steps of adaptation: inner steps, or trajectories of context.
        seed: Of everything random.
        report: Called with the metrics of every batch.

    Returns:
        A row of metrics for each batch.

    Raises:
        UserError: If the run is incomplete or damaged.
    """
    experiment, run_seed = folder.read_config()
    setup = set_up(experiment, run_seed)
    state = load_weights(folder, setup)
    for path in [folder.path / "test_result.csv", folder.path / "test_log.txt", *folder.test.glob("events.out.*")]:
        path.unlink(missing_ok=True)
    recorder = Recorder(folder.path, "test", events=folder.test, pictures=folder.test, x_axis="Batch")
    tasks = setup.environment.test_tasks()
    rows = []
    try:
        for batch in range(num_batches):
            key = jax.random.fold_in(stream(seed, TESTING), batch)
            trial = setup.learner.attempt(state, tasks, key, num_steps=num_steps)
            metrics = jax.device_get(setup.learner.summary(trial, state))
            metrics = {name: np.asarray(value).item() for name, value in metrics.items()}
            row = {"Batch": batch + 1, "TotalEnvSteps": metrics.pop("Steps")} | ordered(metrics)
            recorder.row(row)
            recorder.log(
                f"batch {batch + 1}/{num_batches}  return {row['Train-0/Returns']:.3f} -> {row['Valid/Returns']:.3f}"
                f"  success {row['Train-0/Success']:.2f} -> {row['Valid/Success']:.2f}"
            )
            caption = f"Held-out tasks, {num_steps} {experiment.STEPS}, batch {batch + 1}"
            stages, picture = setup.learner.stages(trial), folder.figures / "test.png"
            pictures.record(recorder, picture, setup.environment, tasks, stages, caption, batch + 1)
            report(row)
            rows.append(row)
    finally:
        recorder.close()
    return rows


def curve(rows: list[Row], name: str) -> list[float]:
    """Mean over batches of a metric before the first inner step, between any two, and after the last."""
    steps = sum(column.startswith("Train-") and column.endswith(f"/{name}") for column in rows[0])
    columns = [f"Train-{step}/{name}" for step in range(steps)] + [f"Valid/{name}"]
    return [float(np.mean([row[column] for row in rows])) for column in columns]
