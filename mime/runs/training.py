"""Meta-training from a configuration to a run folder."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from mime.errors import Failure
from mime.keys import Configuration
from mime.runs import hparams, pictures, weights
from mime.runs.checkpoints import Checkpoints
from mime.runs.classes import class_metrics
from mime.runs.folder import RunFolder
from mime.runs.learner import MetaLearner
from mime.runs.messages import messages_to
from mime.runs.metrics import Recorder, Row, cut_back, ordered
from mime.runs.sentences import sentence, troubles
from mime.runs.setup import TRAINING, set_up, stream
from mime.runs.signals import stop_requested
from mime.sampling.resources import HERE, Resources


class Outcome(NamedTuple):
    """How training ended."""

    iteration: int
    """Meta-iterations done."""
    interrupted: bool
    """Whether a signal ended it."""
    row: Row
    """Metrics of the last meta-iteration."""


def train(
    experiment: Configuration,
    folder: RunFolder,
    *,
    seed: int,
    resume: bool,
    resources: Resources = HERE,
    report: Callable[[Row], None] = lambda row: None,
    warn: Callable[[str], None] = lambda message: None,
) -> Outcome:
    """Meta-train, and record everything in the run folder.

    Args:
        experiment: The configuration.
        folder: Made ready by `create`, or on resuming locked.
        seed: Of everything random.
        resume: Go on from the newest intact checkpoint.
        resources: Where the episodes of environments outside JAX are lived.
        report: Called with the metrics of every meta-iteration.
        warn: Called with anything the user should know at once.

    Returns:
        How training ended. A signal (SIGINT, SIGTERM) ends it after the iteration under way.

    Raises:
        Failure: If a file cannot be written, or the episodes of a task keep failing.
    """
    environment, learner, state, sample_tasks, sampler = set_up(experiment, seed, resources)
    checkpoints = Checkpoints(folder.checkpoints)
    record: dict[str, Any] = {}
    if resume:
        restored, record, damaged = checkpoints.restore(state)
        state = state if restored is None else restored
        for message in damaged:
            warn(message)
        cut_back(folder.path, record.get("sizes", {}))
    env_steps, row = record.get("env_steps", 0), record.get("row", {})
    iteration = int(state.iteration)
    recorder = Recorder(
        folder.path,
        "train",
        events=folder.path,
        pictures=folder.train_trajectories,
        x_axis="TotalEnvSteps",
        start=iteration,
    )

    def save() -> None:
        record = {"env_steps": env_steps, "row": row, "sizes": recorder.sizes()}
        checkpoints.save(iteration, state, record)
        export(folder, learner, state)

    iterate = jax.jit(learner.iterate) if learner.compiled else learner.iterate
    classes = getattr(environment, "classes", ())
    if iteration == 0:
        recorder.about(hparams.started(experiment, seed))
        for remark in getattr(environment, "remarks", ()):
            recorder.log(remark)
            warn(remark)
    saved = None
    try:
        with stop_requested() as stop, messages_to(recorder.log, warn):
            while iteration < experiment.iterations and not stop.is_set():
                started = time.perf_counter()
                tasks_key, key = jax.random.split(jax.random.fold_in(stream(seed, TRAINING), iteration))
                tasks = sample_tasks(tasks_key)
                state, metrics, trial = iterate(state, tasks, key)
                metrics = {name: np.asarray(value).item() for name, value in jax.device_get(metrics).items()}
                metrics |= class_metrics(environment, classes, tasks, learner.stages(trial))
                env_steps += metrics.pop("Steps")
                iteration += 1
                row = {"TotalEnvSteps": env_steps, "Iteration": iteration} | ordered(metrics)
                recorder.row(row)
                recorder.log(sentence(row, experiment, time.perf_counter() - started))
                for message in troubles(row):
                    recorder.log(f"  {message}")
                    if "finite" in message:
                        warn(f"iteration {iteration}: {message}")
                last = iteration == experiment.iterations
                if last or iteration % experiment.pictures_every == 0 or iteration == 1:
                    caption = f"Training tasks, iteration {iteration}"
                    stages = learner.stages(trial)
                    pictures.record(
                        recorder, folder.figures / "train.png", environment, tasks, stages, caption, env_steps
                    )
                report(row)
                if last or iteration % experiment.checkpoint_every == 0:
                    save()
                    saved = iteration
            if iteration != saved:
                save()
            checkpoints.finish()
            if iteration == experiment.iterations:
                recorder.about(hparams.finished())
            return Outcome(iteration, stop.is_set() and iteration < experiment.iterations, row)
    except Failure:
        if iteration != saved:
            save()
        checkpoints.finish()
        raise
    except OSError as error:
        kept = "nothing" if saved is None else f"the checkpoint of iteration {saved}"
        raise Failure(
            f"{error.filename or folder.path}: {error.strerror or error}. Kept: {kept}. When that is mended, continue"
            f" with: python train.py --output-folder {folder.path} --resume"
        ) from None
    finally:
        if sampler is not None:
            sampler.close()
        recorder.close()
        checkpoints.close()


def export(folder: RunFolder, learner: MetaLearner, state: Any) -> None:
    """Write the weights that testing needs."""
    for name, tensors in learner.tensors(state).items():
        weights.save(folder.weights(name), tensors)
