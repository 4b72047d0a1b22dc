"""From a configuration to an environment, a learner and its state."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
from jaxtyping import PRNGKeyArray

from mime.configuration.gradients import Experiment
from mime.configuration.keys import Configuration, ConfigurationError, brief
from mime.configuration.pearl import PearlExperiment
from mime.envs import registration
from mime.envs.environment import Environment
from mime.envs.task_environment import TaskEnvironment, count_tasks
from mime.envs.weakened import weakened
from mime.errors import UserError
from mime.exploration import make_bonus
from mime.meta.learner import Learner
from mime.numerics import parallel
from mime.pearl.learner import make_learner as make_pearl
from mime.policies.networks import make_policy
from mime.runs import weights
from mime.runs.folder import RunFolder
from mime.runs.learner import MetaLearner
from mime.sampling.episodes import Sampler
from mime.sampling.resources import HERE, Resources, make_sampler

# Streams of random numbers derived from the run's seed.
PARAMETERS, TRAINING, TESTING, TASKS = 0, 1, 2, 3


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


def build_environment(experiment: Configuration, *, source: str = "") -> Environment:
    """The environment of an experiment, and the check that there is one which fits the configuration.

    Args:
        experiment: The configuration.
        source: Where it comes from, for error messages, if it has a place.

    Raises:
        ConfigurationError: If it names no environment, or its keys do not fit the one that it names. The message names
            the source, the key, the value and what is allowed.
    """
    try:
        return _built(experiment)
    except ValueError as error:
        place = f"{source}: " if source else ""
        raise ConfigurationError("\n".join(f"{place}{line}" for line in str(error).splitlines())) from None


def _built(experiment: Configuration) -> Environment:
    try:
        registration.check(experiment.env_name)
    except ValueError as error:
        raise ValueError(f"env-name: {brief(experiment.env_name)} {error}") from None
    try:
        environment = registration.make(experiment.env_name, experiment.env_kwargs)
    except (ValueError, TypeError) as error:
        raise ValueError(f"env-kwargs: {error}") from None
    if isinstance(experiment, Experiment):
        weakened(environment, experiment.weakest_actions)
    has_dense_training = isinstance(experiment, PearlExperiment) and experiment.sparse_rewards
    if has_dense_training and not getattr(environment, "sparse", False):
        raise ValueError("sparse-rewards: true has dense rewards in training only, so env-kwargs needs sparse: true")
    return environment


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
    environment = build_environment(experiment, source=source) if like is None else like.environment
    try:
        environment.observation_space  # noqa: B018 (somebody's environment is built now)
    except Exception as error:  # Whatever it raises.
        raise UserError(f"{experiment.env_name}: cannot be built: {type(error).__name__}: {error}") from error
    try:
        if isinstance(experiment, Experiment):
            return _set_up_gradients(experiment, environment, seed, resources, like)
        assert isinstance(experiment, PearlExperiment)
        return _set_up_pearl(experiment, environment, seed, like)
    except ValueError as error:
        raise UserError(f"{experiment.env_name}: {error}") from None


def _set_up_pearl(experiment: PearlExperiment, environment: Environment, seed: int, like: Setup | None) -> Setup:
    if not isinstance(environment, TaskEnvironment):
        raise ValueError("PEARL needs an environment written in JAX")
    learner = make_pearl(experiment)
    tasks = environment.sample_tasks(stream(seed, TASKS), experiment.n_train_tasks)
    state = learner.init(count_tasks(tasks), key=stream(seed, PARAMETERS))
    return Setup(environment, like.learner if like else learner, state, sample_tasks=lambda key: tasks)


def _set_up_gradients(
    experiment: Experiment, environment: Environment, seed: int, resources: Resources, like: Setup | None
) -> Setup:
    spaces = environment.observation_space, environment.action_space
    policy_key, bonus_key = jax.random.split(stream(seed, PARAMETERS))
    names = "hidden_sizes", "nonlinearity", "latent_size", "scale_actions", "initial_std"
    policy = make_policy(*spaces, **{name: getattr(experiment, name) for name in names}, key=policy_key)
    training = weakened(environment, experiment.weakest_actions)
    shared = like.sampler if like else None
    sampler = shared or make_sampler(training, experiment, experiment.fast_batch_size, resources)
    sample_tasks = partial(training.sample_tasks, num_tasks=experiment.meta_batch_size)
    if sampler.compiled:
        sample_tasks = jax.jit(sample_tasks)
    num_tasks = count_tasks(jax.eval_shape(sample_tasks, policy_key) if sampler.compiled else sample_tasks(policy_key))
    dimensions = {name: getattr(environment, name, None) for name in ("varying", "places")}
    bonus = make_bonus(experiment, *spaces, num_tasks, **dimensions)
    learner = Learner(experiment, sampler, bonus)
    state = parallel.share(learner.init(policy, key=bonus_key), num_tasks)
    return like._replace(state=state) if like else Setup(environment, learner, state, sample_tasks, sampler)


def stream(seed: int, purpose: int) -> PRNGKeyArray:
    """A run's random key for one purpose."""
    return jax.random.fold_in(jax.random.key(seed), purpose)


def load_weights(folder: RunFolder, setup: Setup) -> Any:
    """The state of a trained run, from its exported weights.

    Raises:
        UserError: If the files are missing, damaged, or of another configuration.
    """
    expected = setup.learner.tensors(setup.state)
    files = {name: weights.load(folder.weights(name), like) for name, like in expected.items()}
    return setup.learner.with_tensors(setup.state, jax.tree.map(jax.numpy.asarray, files))
