"""Meta-training from a configuration to a run folder."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from mime.config import Experiment
from mime.envs import registration
from mime.envs.registration import Environment
from mime.envs.task_environment import TaskEnvironment, count_tasks
from mime.errors import Failure, UserError
from mime.exploration import make_bonus
from mime.keys import Configuration
from mime.meta.learner import Learner
from mime.meta.trpo import Verdict
from mime.pearl.config import PearlExperiment
from mime.pearl.learner import make_learner as make_pearl
from mime.policies import make_policy
from mime.runs import pictures, weights
from mime.runs.checkpoints import Checkpoints
from mime.runs.classes import class_metrics
from mime.runs.folder import RunFolder
from mime.runs.learner import MetaLearner
from mime.runs.messages import messages_to
from mime.runs.metrics import Recorder, Row, cut_back, ordered
from mime.sampling.episodes import Sampler
from mime.sampling.resources import HERE, Resources, make_sampler

# Streams of random numbers derived from the run's seed.
PARAMETERS, TRAINING, TESTING, TASKS = 0, 1, 2, 3

VERDICTS = {
    Verdict.NO_IMPROVEMENT: "no step improved the surrogate",
    Verdict.KL_TOO_LARGE: "every step left the trust region",
    Verdict.NOT_FINITE: "gradient, surrogate or KL was not finite",
}


class Setup(NamedTuple):
    """An experiment made ready to run."""

    environment: Environment
    learner: MetaLearner
    state: Any
    """Before training."""
    sample_tasks: Callable[[PRNGKeyArray], Any]
    """The training tasks of a meta-iteration, with a leading `tasks` axis."""
    sampler: Sampler | None = None
    """What is to be closed in the end."""


class Outcome(NamedTuple):
    """How training ended."""

    iteration: int
    """Meta-iterations done."""
    interrupted: bool
    """Whether a signal ended it."""
    row: Row
    """Metrics of the last meta-iteration."""


def set_up(experiment: Configuration, seed: int, resources: Resources = HERE) -> Setup:
    """Environment, learner and initial state of an experiment.

    Raises:
        UserError: If the environment cannot be built, or the method does not fit it.
    """
    environment = registration.make(experiment.env_name, experiment.env_kwargs)
    try:
        environment.observation_space  # noqa: B018 (somebody's environment is built now)
    except Exception as error:  # Whatever it raises.
        raise UserError(f"{experiment.env_name}: cannot be built: {type(error).__name__}: {error}") from error
    try:
        if isinstance(experiment, PearlExperiment):
            return _set_up_pearl(experiment, environment, seed)
        return _set_up_gradients(experiment, environment, seed, resources)
    except ValueError as error:
        raise UserError(f"{experiment.env_name}: {error}") from None


def _set_up_pearl(experiment: PearlExperiment, environment: Environment, seed: int) -> Setup:
    if not isinstance(environment, TaskEnvironment):
        raise ValueError("PEARL needs an environment written in JAX")
    learner = make_pearl(experiment)
    tasks = environment.sample_tasks(stream(seed, TASKS), experiment.n_train_tasks)
    state = learner.init(count_tasks(tasks), key=stream(seed, PARAMETERS))
    return Setup(environment, learner, state, sample_tasks=lambda key: tasks)


def _set_up_gradients(experiment: Experiment, environment: Environment, seed: int, resources: Resources) -> Setup:
    spaces = environment.observation_space, environment.action_space
    policy_key, bonus_key = jax.random.split(stream(seed, PARAMETERS))
    sizes = {"hidden_sizes": experiment.hidden_sizes, "nonlinearity": experiment.nonlinearity}
    policy = make_policy(*spaces, **sizes, key=policy_key)
    sampler = make_sampler(environment, experiment, experiment.fast_batch_size, resources)
    sample_tasks = partial(environment.sample_tasks, num_tasks=experiment.meta_batch_size)
    if sampler.compiled:
        sample_tasks = jax.jit(sample_tasks)
    num_tasks = count_tasks(jax.eval_shape(sample_tasks, policy_key) if sampler.compiled else sample_tasks(policy_key))
    bonus = make_bonus(experiment, *spaces, num_tasks, varying=getattr(environment, "varying", None))
    learner = Learner(experiment, sampler, bonus)
    return Setup(environment, learner, learner.init(policy, key=bonus_key), sample_tasks, sampler)


def stream(seed: int, purpose: int) -> PRNGKeyArray:
    """A run's random key for one purpose."""
    return jax.random.fold_in(jax.random.key(seed), purpose)


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


def load_weights(folder: RunFolder, setup: Setup) -> Any:
    """The state of a trained run, from its exported weights.

    Raises:
        UserError: If the files are missing, damaged, or of another configuration.
    """
    expected = setup.learner.tensors(setup.state)
    files = {name: weights.load(folder.weights(name), like) for name, like in expected.items()}
    return setup.learner.with_tensors(setup.state, jax.tree.map(jax.numpy.asarray, files))


def sentence(row: Row, experiment: Configuration, seconds: float) -> str:
    """A meta-iteration in a line of the log."""
    return (
        f"iteration {row['Iteration']}/{experiment.iterations}  steps {row['TotalEnvSteps']}"
        f"  return {row['Train-0/Returns']:.3f} -> {row['Valid/Returns']:.3f}"
        f"  success {row['Train-0/Success']:.2f} -> {row['Valid/Success']:.2f}"
        + "".join(f"  {name.lower()} {row[name]:.4f}" for name in ("KL", "Eta") if name in row)
        + f"  {seconds:.2f} s"
    )


def troubles(row: Row) -> list[str]:
    """What went wrong in a meta-iteration, in words."""
    messages = []
    if row["NonFinite"]:
        messages.append(f"{row['NonFinite']} steps had rewards or observations that are not finite")
    if row.get("Verdict") in VERDICTS:
        messages.append(f"the policy was not changed: {VERDICTS[row['Verdict']]}")
    if row.get("Dynamics/Refused"):
        messages.append("the dynamics model was not changed: its update was not finite")
    if row.get("RefusedUpdates"):
        messages.append(f"{row['RefusedUpdates']} updates were left out: they were not finite")
    return messages


@contextmanager
def stop_requested() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, in place of ending the process; a second SIGINT interrupts at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: Any) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
