"""From a configuration to an environment, a learner and its state, and what a run asks of a learner."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
from jaxtyping import Array, PRNGKeyArray

from mime.configuration.gradients import Experiment
from mime.configuration.keys import Configuration, ConfigurationError, brief
from mime.configuration.named_classes import is_class_name
from mime.configuration.pearl import PearlExperiment
from mime.configuration.rl2 import Rl2Experiment
from mime.envs import registration
from mime.envs.environment import Environment
from mime.envs.external.checks import EnvironmentMistake, cause
from mime.envs.observed_reward import with_observed_reward
from mime.envs.task_environment import TaskEnvironment, count_tasks
from mime.envs.weakened import weakened
from mime.errors import UserError
from mime.exploration.bonuses import bonus_class
from mime.meta.learner import Learner
from mime.meta.method import method_of
from mime.numerics import parallel
from mime.pearl.learner import make_learner as make_pearl
from mime.policies.making import make_policy
from mime.policies.recurrent import make_recurrent
from mime.rl2.method import make_learner as make_rl2
from mime.runs import weights
from mime.runs.folder import RunFolder
from mime.sampling.compiled_checks import require_fitting_functions
from mime.sampling.episodes import Episodes, Sampler
from mime.sampling.hosted import HostedSampler
from mime.sampling.resources import HERE, Resources, make_sampler

# Streams of random numbers derived from the run's seed.
PARAMETERS, TRAINING, TESTING, TASKS = 0, 1, 2, 3


@runtime_checkable
class MetaLearner(Protocol):
    """Learns to adapt to tasks. Its state is a pytree of arrays with an `iteration`; all functions are pure."""

    @property
    def compiled(self) -> bool:
        """Whether `iterate` can be compiled as a whole."""
        ...

    def iterate(self, state: Any, tasks: Any, key: PRNGKeyArray) -> tuple[Any, dict[str, Array], Any]:
        """One meta-iteration: the state after it, metrics to record, and the trial that took place."""
        ...

    def adapt_and_evaluate(self, state: Any, tasks: Any, key: PRNGKeyArray, *, num_steps: int) -> Any:
        """A trial: adapt to each task in so many steps, with episodes before each of them and after the last."""
        ...

    def stages(self, trial: Any) -> Sequence[Episodes]:
        """A trial's episodes `[tasks trajectories steps ...]` before each step of adaptation, and after the last."""
        ...

    def summary(self, trial: Any, state: Any) -> dict[str, Array]:
        """Metrics of a trial; among them `Steps`, the number of steps that it took."""
        ...

    def tensors(self, state: Any) -> dict[str, dict[str, Array]]:
        """What testing needs: named arrays for each weights file, by the file's name without its ending."""
        ...

    def with_tensors(self, state: Any, files: dict[str, dict[str, Array]]) -> Any:
        """The state of a trained run: with those arrays, past any warm-up."""
        ...


class Setup(NamedTuple):
    """An experiment made ready to run."""

    environment: Environment
    learner: MetaLearner
    state: Any
    """Before training."""
    sample_tasks: Callable[[PRNGKeyArray], Any]
    """The training tasks of a meta-iteration, with a leading `tasks` axis; `Weakened` ones with weakest-actions."""
    sampler: Sampler | None = None
    """What is to be closed in the end."""


def build_environment(experiment: Configuration, *, source: str = "", resources: Resources = HERE) -> Environment:
    """The environment of an experiment, and the check that there is one which fits the configuration.

    Args:
        experiment: The configuration.
        source: Where it comes from, for error messages, if it has a place.
        resources: Where episodes are to be collected.

    Raises:
        ConfigurationError: If it names no environment, or its keys do not fit the one that it names. The message names
            the source, the key, the value and what is allowed.
    """
    try:
        environment = _built(experiment)
    except ValueError as error:
        place = f"{source}: " if source else ""
        raise ConfigurationError("\n".join(f"{place}{line}" for line in str(error).splitlines())) from None
    if resources.ray_address is not None and isinstance(environment, TaskEnvironment):
        raise UserError(
            f"ray-address: {experiment.env_name} is written in JAX and compiled; it needs no workers on a cluster."
            " Leave ray-address out, or spread several runs over the cluster with `mime study --ray-address`"
        )
    return environment


def _built(experiment: Configuration) -> Environment:
    try:
        registration.check(experiment.env_name)
    except ValueError as error:
        raise ValueError(f"env-name: {brief(experiment.env_name)} {error}") from None
    try:
        environment = registration.make(experiment.env_name, experiment.env_kwargs)
    except (ValueError, TypeError) as error:
        raise ValueError(f"env-kwargs: {error}") from None
    if isinstance(environment, TaskEnvironment) and is_class_name(experiment.env_name):
        _require_fitting(experiment.env_name, environment)
    if isinstance(experiment, Experiment):
        weakened(environment, experiment.weakest_actions)
        if experiment.observe_reward:
            with_observed_reward(environment)
        if experiment.use_vime:
            bonus_class(experiment)
    has_dense_training = isinstance(experiment, PearlExperiment) and experiment.sparse_rewards
    if has_dense_training and not getattr(environment, "sparse", False):
        raise ValueError("sparse-rewards: true has dense rewards in training only, so env-kwargs needs sparse: true")
    return environment


def _require_fitting(name: str, environment: TaskEnvironment) -> None:
    """Check somebody's environment, as far as can be done without computing anything."""
    try:
        require_fitting_functions(environment)
    except ValueError as error:
        raise ValueError(f"env-name: {name!r}: {error}") from None


def set_up(
    experiment: Configuration,
    seed: int,
    resources: Resources = HERE,
    *,
    like: Setup | None = None,
    source: str = "",
) -> Setup:
    """Environment, learner and initial state of an experiment.

    Args:
        experiment: The configuration.
        seed: Of the initial state.
        resources: Where the episodes of environments outside JAX are collected.
        like: Another seed's, whose environment, learner and sampler serve this one too.
        source: As of `build_environment`.

    Raises:
        UserError: If the environment cannot be built, or the method does not fit it.
    """
    if like is None:
        environment = build_environment(experiment, source=source, resources=resources)
    else:
        environment = like.environment
    try:
        environment.observation_space  # noqa: B018 (somebody's environment is built now)
    except (ValueError, EnvironmentMistake) as error:
        raise UserError(f"{experiment.env_name}: {error}") from None
    except Exception as error:  # Whatever it raises.
        raise UserError(f"{experiment.env_name}: cannot be built: {cause(error)}") from error
    try:
        if isinstance(experiment, Experiment):
            return _set_up_gradients(experiment, environment, seed, resources, like)
        if isinstance(experiment, Rl2Experiment):
            return _set_up_rl2(experiment, environment, seed, resources, like)
        assert isinstance(experiment, PearlExperiment)
        return _set_up_pearl(experiment, environment, seed, resources, like)
    except ValueError as error:
        raise UserError(f"{experiment.env_name}: {error}") from None


def _set_up_pearl(
    experiment: PearlExperiment, environment: Environment, seed: int, resources: Resources, like: Setup | None
) -> Setup:
    tasks = environment.sample_tasks(stream(seed, TASKS), experiment.n_train_tasks)
    sampler = like.sampler if like else make_sampler(environment, experiment, 1, resources)
    hosted = sampler if isinstance(sampler, HostedSampler) else None  # What is compiled needs none.
    learner = make_pearl(experiment, hosted)
    state = learner.init(count_tasks(tasks), key=stream(seed, PARAMETERS))
    return Setup(environment, like.learner if like else learner, state, lambda key: tasks, hosted)


def _set_up_rl2(
    experiment: Rl2Experiment, environment: Environment, seed: int, resources: Resources, like: Setup | None
) -> Setup:
    networks_key, bonus_key = jax.random.split(stream(seed, PARAMETERS))
    names = "hidden_size", "observation_scale", "reward_scale", "initial_std", "min_std"
    options = {name: getattr(experiment, name) for name in names}
    spaces = environment.observation_space, environment.action_space
    policy, critic = make_recurrent(*spaces, **options, key=networks_key)
    shared = like.sampler if like else None
    sampler = shared or make_sampler(environment, experiment, experiment.trials_per_task, resources)
    sample_tasks, num_tasks = _task_sampler(environment, experiment.meta_batch_size, sampler.compiled)
    learner = make_rl2(experiment, sampler)
    state = parallel.share(learner.init(policy, critic, key=bonus_key), num_tasks)
    return like._replace(state=state) if like else Setup(environment, learner, state, sample_tasks, sampler)


def _task_sampler(environment: Environment, at_most: int, compiled: bool) -> tuple[Callable[[PRNGKeyArray], Any], int]:
    """What draws the training tasks of a meta-iteration, and how many they are."""
    sample_tasks, key = partial(environment.sample_tasks, num_tasks=at_most), stream(0, TASKS)
    if compiled:
        sample_tasks = jax.jit(sample_tasks)
    return sample_tasks, count_tasks(jax.eval_shape(sample_tasks, key) if compiled else sample_tasks(key))


def _set_up_gradients(
    experiment: Experiment, environment: Environment, seed: int, resources: Resources, like: Setup | None
) -> Setup:
    training = weakened(environment, experiment.weakest_actions)
    training = with_observed_reward(training) if experiment.observe_reward else training
    spaces = training.observation_space, training.action_space
    policy_key, bonus_key = jax.random.split(stream(seed, PARAMETERS))
    names = "hidden_sizes", "nonlinearity", "latent_size", "scale_actions", "initial_std", "min_std"
    options = {name: getattr(experiment, name) for name in names}
    options |= {"latents_together": experiment.latent_draws == "together"}
    if experiment.observation_scale != 1:
        # An observed reward keeps its scale.
        own, all_ = (each.observation_space.shape[0] for each in (environment, training))
        options |= {"observation_scale": [experiment.observation_scale] * own + [1.0] * (all_ - own)}
    policy = make_policy(*spaces, **options, key=policy_key)
    shared = like.sampler if like else None
    sampler = shared or make_sampler(training, experiment, experiment.fast_batch_size, resources)
    sample_tasks, num_tasks = _task_sampler(training, experiment.meta_batch_size, sampler.compiled)
    learner = Learner(method_of(experiment, training, num_tasks), sampler)
    state = parallel.share(learner.init(policy, key=bonus_key), num_tasks)
    return like._replace(state=state) if like else Setup(environment, learner, state, sample_tasks, sampler)


def stream(seed: int, purpose: int) -> PRNGKeyArray:
    """A run's random key for one purpose.

    Args:
        seed: Below 2^63.
        purpose: Which stream.
    """
    # JAX takes 32 bits of a seed, and says nothing of the others.
    low, high = seed % 2**32, seed // 2**32
    key = jax.random.key(low)
    return jax.random.fold_in(jax.random.fold_in(key, high) if high else key, purpose)


def load_weights(folder: RunFolder, setup: Setup) -> Any:
    """The state of a trained run, from its exported weights.

    Raises:
        UserError: If the files are missing, damaged, or of another configuration.
    """
    expected = setup.learner.tensors(setup.state)
    files = {name: weights.load(folder.weights(name), like) for name, like in expected.items()}
    return setup.learner.with_tensors(setup.state, jax.tree.map(jax.numpy.asarray, files))
