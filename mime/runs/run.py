"""One seed's meta-training: its state between two meta-iterations, and the folder that records it."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from mime.configuration.keys import Configuration
from mime.envs.weakened import plain
from mime.runs import weights
from mime.runs.checkpoints import Checkpoints
from mime.runs.folder import RunFolder
from mime.runs.metrics import Row, class_metrics, log_line, ordered, warnings_of, without_success
from mime.runs.recorder import Recorder, cut_back, hparams_finished, hparams_started
from mime.runs.rendering import draw_trial
from mime.runs.setup import TRAINING, Setup, stream


class Run:
    """A seed's training, between two meta-iterations.

    Args:
        experiment: The configuration.
        folder: Made ready by `create`, or on resuming locked.
        seed: Of everything random.
        setup: Of the experiment and the seed.
        resume: Go on from the newest intact checkpoint.
        warn: Called with anything the user should know at once.
    """

    def __init__(
        self,
        experiment: Configuration,
        folder: RunFolder,
        seed: int,
        setup: Setup,
        *,
        resume: bool,
        warn: Callable[[str], None],
    ):
        self.experiment, self.folder, self.seed, self.setup, self.warn = experiment, folder, seed, setup, warn
        self.state = setup.state
        self._checkpoints = Checkpoints(folder.checkpoints)
        record: dict[str, Any] = {}
        if resume:
            restored, record, damaged = self._checkpoints.restore(self.state)
            self.state = self.state if restored is None else restored
            for message in damaged:
                warn(message)
            cut_back(folder.path, record.get("sizes", {}))
        self.row: Row = record.get("row", {})
        self.iteration = int(self.state.iteration)
        self.saved: int | None = None
        """Iteration of the newest checkpoint that this process has begun to write."""
        self._env_steps = record.get("env_steps", 0)
        self.recorder = Recorder(
            folder.path,
            "train",
            events=folder.path,
            pictures=folder.train_trajectories,
            x_axis="TotalEnvSteps",
            start=self.iteration,
        )
        if self.iteration == 0:
            self.recorder.about(hparams_started(experiment, seed))
            for remark in getattr(setup.environment, "remarks", ()):
                self.recorder.log(remark)
                warn(remark)

    @property
    def finished(self) -> bool:
        """Whether all its meta-iterations are done."""
        return self.iteration >= self.experiment.iterations

    def draw(self) -> tuple[Any, PRNGKeyArray]:
        """The next meta-iteration's tasks and key."""
        tasks_key, key = jax.random.split(jax.random.fold_in(stream(self.seed, TRAINING), self.iteration))
        return self.setup.sample_tasks(tasks_key), key

    def advance(self, state: Any, metrics: dict[str, Any], tasks: Any, trial: Any, seconds: float) -> None:
        """Take over a meta-iteration's results: record them, and save what is due."""
        stages = self.setup.learner.stages(trial)
        metrics = {name: np.asarray(value).item() for name, value in jax.device_get(metrics).items()}
        environment = self.setup.environment
        metrics |= class_metrics(environment, getattr(environment, "classes", ()), tasks, stages)
        metrics = dict(without_success(metrics, environment))
        self.state, self.iteration = state, self.iteration + 1
        self._env_steps += metrics.pop("Steps")
        self.row = {"TotalEnvSteps": self._env_steps, "Iteration": self.iteration} | ordered(metrics)
        self.recorder.row(self.row)
        self.recorder.log(log_line(self.row, self.experiment, seconds))
        for message in warnings_of(self.row):
            self.recorder.log(f"  {message}")
            if "finite" in message:
                self.warn(f"iteration {self.iteration}: {message}")
        if self._due(self.experiment.pictures_every) or self.iteration == 1:
            caption, path = f"Training tasks, iteration {self.iteration}", self.folder.figures / "train.png"
            draw_trial(self.recorder, path, self.setup.environment, plain(tasks), stages, caption, self._env_steps)
        if self._due(self.experiment.checkpoint_every):
            self.save()

    def save(self) -> None:
        """Write a checkpoint and the weights, unless this iteration's are written."""
        if self.saved != self.iteration:
            record = {"env_steps": self._env_steps, "row": self.row, "sizes": self.recorder.sizes()}
            self._checkpoints.save(self.iteration, self.state, record)
            for name, tensors in self.setup.learner.tensors(self.state).items():
                weights.save(self.folder.weights(name), tensors)
            self.saved = self.iteration

    def finish(self) -> None:
        """Save, and wait until everything is on disk."""
        self.save()
        self._checkpoints.finish()
        if self.finished:
            self.recorder.about(hparams_finished())

    def close(self) -> None:
        """Close the files."""
        self.recorder.close()
        self._checkpoints.close()

    def _due(self, every: int) -> bool:
        return self.finished or self.iteration % every == 0
