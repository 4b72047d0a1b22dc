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
from mime.meta.learner import Learner, LearnerState
from mime.meta.trpo import Verdict
from mime.policies import make_policy, named_parameters, with_parameters
from mime.runs import pictures, weights
from mime.runs.checkpoints import Checkpoints
from mime.runs.classes import class_metrics
from mime.runs.folder import RunFolder
from mime.runs.messages import messages_to
from mime.runs.metrics import Recorder, Row, cut_back, ordered
from mime.sampling.compiled import CompiledSampler
from mime.sampling.episodes import Sampler
from mime.sampling.hosted import TIMEOUT, HostedSampler, LocalWorkers

# Streams of random numbers derived from the run's seed.
PARAMETERS, TRAINING, TESTING = 0, 1, 2

VERDICTS = {
    Verdict.NO_IMPROVEMENT: "no step improved the surrogate",
    Verdict.KL_TOO_LARGE: "every step left the trust region",
    Verdict.NOT_FINITE: "gradient, surrogate or KL was not finite",
}


class Resources(NamedTuple):
    """Where the episodes of environments outside JAX are lived; those written in JAX need none of it."""

    num_workers: int | None = None
    """Worker processes; by default one for each processor."""
    ray_address: str | None = None
    """Ray cluster that runs them, `local`, `auto` or HOST:PORT; by default they are processes of this machine."""
    timeout: float = TIMEOUT
    """Seconds after which a worker that gives no answer is replaced."""


HERE = Resources()


class Setup(NamedTuple):
    """An experiment made ready to run."""

    environment: Environment
    learner: Learner
    state: LearnerState
    """Before training."""


class Outcome(NamedTuple):
    """How training ended."""

    iteration: int
    """Meta-iterations done."""
    interrupted: bool
    """Whether a signal ended it."""
    row: Row
    """Metrics of the last meta-iteration."""


def set_up(experiment: Experiment, seed: int, resources: Resources = HERE) -> Setup:
    """Environment, learner and initial state of an experiment. The learner's sampler is to be closed.

    Raises:
        UserError: If the environment cannot be built, or the method does not fit it.
    """
    environment = registration.make(experiment.env_name, experiment.env_kwargs)
    try:
        spaces = environment.observation_space, environment.action_space
    except Exception as error:  # Whatever somebody's environment raises while it is built.
        raise UserError(f"{experiment.env_name}: cannot be built: {type(error).__name__}: {error}") from error
    policy_key, bonus_key = jax.random.split(stream(seed, PARAMETERS))
    sizes = {"hidden_sizes": experiment.hidden_sizes, "nonlinearity": experiment.nonlinearity}
    try:
        policy = make_policy(*spaces, **sizes, key=policy_key)
    except ValueError as error:
        raise UserError(f"{experiment.env_name}: {error}") from None
    sample_tasks = partial(environment.sample_tasks, num_tasks=experiment.meta_batch_size)
    compiled = isinstance(environment, TaskEnvironment)
    num_tasks = count_tasks(jax.eval_shape(sample_tasks, policy_key) if compiled else sample_tasks(policy_key))
    bonus = make_bonus(experiment, *spaces, num_tasks, varying=getattr(environment, "varying", None))
    learner = Learner(experiment, make_sampler(environment, experiment, resources), bonus)
    return Setup(environment, learner, learner.init(policy, key=bonus_key))


def make_sampler(environment: Environment, experiment: Experiment, resources: Resources) -> Sampler:
    """The sampler that fits the environment.

    Raises:
        UserError: If a Ray cluster is asked for and cannot be reached.
    """
    if isinstance(environment, TaskEnvironment):
        return CompiledSampler(environment, experiment.fast_batch_size)
    options = {"number": resources.num_workers, "timeout": resources.timeout}
    home = experiment.env_name, experiment.env_kwargs
    if resources.ray_address is None:
        workers = LocalWorkers(*home, **options)
    else:
        from mime.sampling.cluster import RayWorkers

        workers = RayWorkers(*home, address=resources.ray_address, **options)
    return HostedSampler(environment, experiment.fast_batch_size, workers)


def stream(seed: int, purpose: int) -> PRNGKeyArray:
    """A run's random key for one purpose."""
    return jax.random.fold_in(jax.random.key(seed), purpose)


def train(
    experiment: Experiment,
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
    environment, learner, state = set_up(experiment, seed, resources)
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

    iterate = jax.jit(learner.iterate) if learner.sampler.compiled else learner.iterate
    sample_tasks = partial(environment.sample_tasks, num_tasks=experiment.meta_batch_size)
    sample_tasks = jax.jit(sample_tasks) if learner.sampler.compiled else sample_tasks
    classes = getattr(environment, "classes", ())
    saved = None
    if iteration == 0:
        for remark in getattr(environment, "remarks", ()):
            recorder.log(remark)
            warn(remark)
    try:
        with stop_requested() as stop, messages_to(recorder.log, warn):
            while iteration < experiment.iterations and not stop.is_set():
                started = time.perf_counter()
                tasks_key, key = jax.random.split(jax.random.fold_in(stream(seed, TRAINING), iteration))
                tasks = sample_tasks(tasks_key)
                state, metrics, trial = iterate(state, tasks, key)
                metrics = {name: np.asarray(value).item() for name, value in jax.device_get(metrics).items()}
                metrics |= class_metrics(environment, classes, tasks, trial)
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
                    pictures.record(
                        recorder, folder.figures / "train.png", environment, tasks, trial, caption, env_steps
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
        learner.sampler.close()
        recorder.close()
        checkpoints.close()


def export(folder: RunFolder, learner: Learner, state: LearnerState) -> None:
    """Write the weights that testing needs."""
    weights.save(folder.policy, named_parameters(state.policy))
    if learner.bonus is not None:
        weights.save(folder.dynamics, learner.bonus.tensors(state.bonus) | {"eta": state.eta})


def load_weights(folder: RunFolder, setup: Setup) -> LearnerState:
    """The state of a trained run, from its exported weights.

    Raises:
        UserError: If the files are missing, damaged, or of another configuration.
    """
    state = setup.state
    parameters = weights.load(folder.policy, named_parameters(state.policy))
    policy = with_parameters(state.policy, jax.tree.map(jax.numpy.asarray, parameters))
    bonus, eta = state.bonus, state.eta
    if setup.learner.bonus is not None:
        like = setup.learner.bonus.tensors(state.bonus) | {"eta": state.eta}
        tensors = jax.tree.map(jax.numpy.asarray, weights.load(folder.dynamics, like))
        bonus, eta = setup.learner.bonus.with_tensors(state.bonus, tensors), tensors["eta"]
    # Past the warm-up, whatever the iteration: a test uses the bonus.
    trained = LearnerState(policy, bonus, eta, state.iteration + setup.learner.experiment.iterations)
    return jax.tree.map(jax.numpy.asarray, trained)


def sentence(row: Row, experiment: Experiment, seconds: float) -> str:
    """A meta-iteration in a line of the log."""
    return (
        f"iteration {row['Iteration']}/{experiment.iterations}  steps {row['TotalEnvSteps']}"
        f"  return {row['Train-0/Returns']:.3f} -> {row['Valid/Returns']:.3f}"
        f"  success {row['Train-0/Success']:.2f} -> {row['Valid/Success']:.2f}"
        f"  kl {row['KL']:.4f}" + (f"  eta {row['Eta']:.3f}" if "Eta" in row else "") + f"  {seconds:.2f} s"
    )


def troubles(row: Row) -> list[str]:
    """What went wrong in a meta-iteration, in words."""
    messages = []
    if row["NonFinite"]:
        messages.append(f"{row['NonFinite']} steps had rewards or observations that are not finite")
    if row["Verdict"] in VERDICTS:
        messages.append(f"the policy was not changed: {VERDICTS[row['Verdict']]}")
    if row.get("Dynamics/Refused"):
        messages.append("the dynamics model was not changed: its update was not finite")
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
