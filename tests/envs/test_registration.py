"""Names and arguments of environments, and what the library takes for granted about all of them."""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.configuration import parsing
from mime.configuration.keys import ConfigurationError
from mime.envs import registration
from mime.envs.dog_house import DogHouse
from mime.envs.navigation import DenseNavigation, RingNavigation
from mime.envs.pendulum import Pendulum
from mime.envs.task_environment import count_tasks
from tests import small_runs

KEY = jax.random.key(0)
CONFIGURATIONS = sorted((Path(__file__).parents[2] / "configs").glob("**/*.yaml"))
# Configurations of environments that need more than the default installation.
HOSTED = {"locomotion", "metaworld-ml10.yaml"}
# Environments written in JAX: class, horizon, training tasks in a batch of 20, and test tasks.
COMPILED = {
    "2DNavigation-v0": (DenseNavigation, 100, 20, 8),
    "2DNavigationSparse-v0": (RingNavigation, 100, 20, 16),
    "2DNavigationSparseLong-v0": (RingNavigation, 300, 20, 16),
    "DogNavigation2D-v0": (DogHouse, 1000, 3, 2),
    "MetaPendulum-v0": (Pendulum, 50, 20, 4),
}


@pytest.mark.parametrize("name", COMPILED)
def test_names(name):
    kind, horizon, num_training, num_test = COMPILED[name]
    environment = registration.make(name, {})
    assert type(environment) is kind
    assert environment.horizon == horizon
    assert count_tasks(environment.sample_tasks(KEY, 20)) == num_training
    assert count_tasks(environment.test_tasks()) == num_test


@pytest.mark.parametrize(
    "path", [path for path in CONFIGURATIONS if not set(path.parts) & HOSTED], ids=lambda p: p.stem
)
def test_published_configurations_load(path):
    experiment = parsing.load(path)
    environment = registration.make(experiment.env_name, experiment.env_kwargs)
    for key, value in experiment.env_kwargs.items():
        if not isinstance(environment, DogHouse) or key == "sparse":
            assert getattr(environment, key) == value


def test_there_are_configurations():
    assert len(CONFIGURATIONS) >= 7


@pytest.mark.parametrize(
    ("env_name", "arguments", "mentions"),
    [
        ("2DNavigationSparse-v0", {"low": 9.0, "high": 5.0}, ["low", "9.0", "high", "5.0"]),
        ("2DNavigationSparse-v0", {"low": -1.0}, ["low", "-1.0"]),
        ("2DNavigationSparse-v0", {"high": "far"}, ["high", "'far'"]),
        ("2DNavigationSparse-v0", {"sparse": 1}, ["sparse", "1"]),
        ("2DNavigationSparse-v0", {"radius": 1.0}, ["radius", "low, high, sparse, horizon"]),
        ("2DNavigation-v0", {"low": 1.0}, ["low", "none"]),
        ("2DNavigation-v0", {"options": {"horizon": 1}}, ["options", "none"]),
        ("DogNavigation2D-v0", {"low": "near"}, ["low", "'near'"]),
        ("DogNavigation2D-v0", {"horizon": 10}, ["horizon", "low, high, sparse"]),
        ("MetaPendulum-v0", {"sparse": "yes"}, ["sparse", "'yes'"]),
        ("MetaPendulum-v0", {"mass": 1.0}, ["mass", "sparse"]),
    ],
)
def test_impossible_arguments_are_refused_by_name(env_name, arguments, mentions):
    with pytest.raises(ConfigurationError) as error:
        small_runs.build({"env-name": env_name, "env-kwargs": arguments}, source="here.yaml")
    assert str(error.value).startswith("here.yaml: env-kwargs: ")
    for mention in mentions:
        assert mention in str(error.value)


def test_whole_numbers_are_numbers():
    environment = registration.make("2DNavigationSparse-v0", {"low": 5, "high": 6})
    assert (environment.low, environment.high) == (5.0, 6.0)
    assert isinstance(environment.low, float)


@pytest.mark.parametrize("name", COMPILED)
def test_extreme_actions_keep_everything_finite_and_within_the_spaces(name):
    environment = registration.make(name, {})
    tasks = environment.sample_tasks(KEY, 6)
    num_tasks, (size,) = count_tasks(tasks), environment.action_space.shape

    def rollout(task, key):
        def step(state, action):
            after = environment.transition(state, action, key, task)
            reward = environment.reward(state, action, after, key, task)
            success = environment.success(after, task), environment.transition_info(state, action, after, task)
            return after, (environment.observation(after, key, task), reward, success)

        signs = jax.random.choice(key, jnp.array([-1e6, 0.0, 1e6]), (60, size))
        return jax.lax.scan(step, environment.initial(key, task), signs)[1]

    observations, rewards, (success, information) = eqx.filter_jit(jax.vmap(rollout))(
        tasks, jax.random.split(KEY, num_tasks)
    )
    assert observations.shape == (num_tasks, 60, *environment.observation_space.shape)
    assert rewards.shape == success.shape == (num_tasks, 60)
    assert observations.dtype == rewards.dtype == jnp.float32
    assert success.dtype == bool
    np.testing.assert_array_equal(information["success"], success)
    assert np.isfinite(rewards).all()
    assert np.isfinite(observations).all()
    assert all(
        environment.observation_space.contains(row) for row in np.asarray(observations).reshape(60 * num_tasks, -1)
    )


@pytest.mark.parametrize("name", COMPILED)
def test_test_tasks_have_the_form_of_training_tasks(name):
    environment = registration.make(name, {})
    forms = [
        jax.tree.map(lambda leaf: (leaf.shape[1:], leaf.dtype), tasks)
        for tasks in (environment.sample_tasks(KEY, 5), environment.test_tasks())
    ]
    default = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), environment.default_params)
    assert forms[0] == forms[1] == default
