"""One seed's meta-training: its state between two meta-iterations, and the folder that records it."""

import threading
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from typing import Any

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from mime.configuration.keys import Configuration
from mime.envs.weakened import plain
from mime.errors import UserError
from mime.runs import weights
from mime.runs.checkpoints import Checkpoints
from mime.runs.folder import RunFolder
from mime.runs.metrics import Row, class_metrics, log_line, ordered, warnings_of, without_success
from mime.runs.recorder import Recorder, cut_back, hparams_finished, hparams_started
from mime.runs.setup import TRAINING, Setup, stream


class Run:
    """A seed's training, between two meta-iterations. Nothing is written before `begin`.

    Args:
        experiment: The configuration.
        folder: Prepared.
        seed: Of everything random.
        setup: Of the experiment and the seed.
        resume: Go on from the newest checkpoint that can be read.
        warn: Called with anything the user should know at once.

    Raises:
        UserError: If there is something to go on from, but no checkpoint that can be read.
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
        self.state, self._resuming = setup.state, resume
        self._record: dict[str, Any] = {}
        if resume:
            self._restore()
        self.row: Row = self._record.get("row", {})
        self.iteration = int(self.state.iteration)
        self.saved: int | None = None
        """Iteration of the newest checkpoint that this process has begun to write."""
        self._env_steps = self._record.get("env_steps", 0)
        self._open = ExitStack()
        # Whoever saves a run whose iteration does not end is another thread.
        self._whole = threading.Lock()

    def _restore(self) -> None:
        table = self.folder.path / "train_result.csv"
        restored = None
        if self.folder.checkpoints.exists():
            with closing(Checkpoints(self.folder.checkpoints)) as checkpoints:
                restored = checkpoints.restore(self.state)
        if restored is not None:
            self.state, self._record, messages = restored
            for message in messages:
                self.warn(message)
        elif table.exists() and table.stat().st_size:
            raise UserError(
                f"{self.folder.checkpoints}: has no checkpoint to resume from; nothing was changed. Bring it back, or"
                " train anew with --overwrite"
            )
        size = self._record.get("sizes", {}).get(table.name, 0)
        if size and (not table.exists() or table.stat().st_size < size):
            raise UserError(
                f"{table}: has lost rows that it had when checkpoint {int(self.state.iteration)} was written; bring it"
                " back, or train anew with --overwrite"
            )

    def begin(self) -> None:
        """Take the folder over: from now on it records this run."""
        if self._resuming:
            cut_back(self.folder.path, self._record.get("sizes", {}))
        else:
            self.folder.set_aside()
        self.folder.write_config(self.experiment, self.seed)
        self._checkpoints = self._open.enter_context(closing(Checkpoints(self.folder.checkpoints)))
        recorder = Recorder(
            self.folder.path,
            "train",
            events=self.folder.path,
            pictures=self.folder.train_trajectories,
            x_axis="TotalEnvSteps",
            start=self.iteration,
        )
        self.recorder = self._open.enter_context(closing(recorder))
        if self.iteration == 0:
            self.recorder.about(hparams_started(self.experiment, self.seed))
            # From now on there always is one to resume from.
            self.save()
            self._checkpoints.finish()
            for remark in getattr(self.setup.environment, "remarks", ()):
                self.recorder.log(remark)
                self.warn(remark)

    @property
    def finished(self) -> bool:
        """Whether all its meta-iterations are done."""
        return self.iteration >= self.experiment.iterations

    @property
    def kept(self) -> int:
        """Iteration of the newest checkpoint on disk; 0 if nothing is to be kept."""
        with suppress(OSError):  # One that is being written may find no room either.
            self._checkpoints.finish()
        return self.folder.newest_checkpoint()

    def draw(self) -> tuple[Any, PRNGKeyArray]:
        """The next meta-iteration's tasks and key."""
        tasks_key, key = jax.random.split(jax.random.fold_in(stream(self.seed, TRAINING), self.iteration))
        return self.setup.sample_tasks(tasks_key), key

    def advance(self, state: Any, metrics: dict[str, Any], tasks: Any, trial: Any, seconds: float) -> None:
        """Take over a meta-iteration's results: record them, and save what is due."""
        with self._whole:
            self._advance(state, metrics, tasks, trial, seconds)

    def _advance(self, state: Any, metrics: dict[str, Any], tasks: Any, trial: Any, seconds: float) -> None:
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
            # Matplotlib takes a second, for which the first iteration need not wait.
            from mime.runs.rendering import draw_trial

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
            if self.iteration and self.folder.replaced():
                self._checkpoints.finish()
                self.folder.remove_replaced()

    def finish(self) -> None:
        """Save, and wait until everything is on disk."""
        with self._whole:
            self._finish()

    def finish_for_good(self) -> None:
        """Finish in a thread of its own, and let no other record anything more: the process is about to end."""
        self._whole.acquire()
        self._finish()

    def _finish(self) -> None:
        self.save()
        self._checkpoints.finish()
        if self.finished:
            self.recorder.about(hparams_finished())

    def close(self) -> None:
        """Close what has been opened, which an interruption may have left half done."""
        self._open.close()
        for place in self.folder.replaced():
            self.warn(f"{self.folder.path}: there is no checkpoint of the new run; the old one is in {place}")

    def _due(self, every: int) -> bool:
        return self.finished or self.iteration % every == 0
