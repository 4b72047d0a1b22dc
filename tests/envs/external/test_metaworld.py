"""Meta-World's benchmarks: batches of tasks, rollouts as in a plain loop, and what is refused."""

import jax
import numpy as np
import pytest

pytest.importorskip("metaworld")

from metaworld.env_dict import ALL_V3_ENVIRONMENTS

from mime.configuration import parsing
from mime.configuration.keys import ConfigurationError
from mime.envs import registration
from mime.envs.external import metaworld as ours
from mime.envs.external import metaworld_tasks
from mime.envs.external.hosted_environment import as_tasks
from mime.envs.external.metaworld import MetaworldTask
from mime.meta.method import method_of
from mime.sampling.rollouts import Request, rollout
from tests import small_runs
from tests.envs.external.stock import Recorded, drifting_actions, small_tasks, stock_episode, vectors
from tests.scripted import Scripted

# Meta-World's scripted policies say so of themselves.
pytestmark = pytest.mark.filterwarnings("ignore:Constant")
KEY = jax.random.key(0)


@pytest.fixture(scope="module", name="vectors")
def vectors_fixture():
    """Two goals of every class."""
    return vectors()


@pytest.fixture(name="small_tasks")
def small_tasks_fixture():
    return small_tasks()


@pytest.mark.parametrize("kind", ["door-open-v3", "drawer-close-v3", "pick-place-v3"])
def test_scripted_policies_do_through_the_sampler_what_they_do_in_a_plain_loop(kind, vectors):
    environment = registration.make(f"Metaworld-ML1-{kind}", {"max_episode_steps": 120})
    request = Request(MetaworldTask(kind, 0, vectors[kind][0]), Scripted(kind), (0, 1, 2), 2)
    fields = rollout(environment, request)
    observations, rewards, success = stock_episode(kind, vectors[kind][0], Scripted(kind), 120)
    for trajectory in range(2):
        np.testing.assert_array_equal(fields["observations"][trajectory], np.float32(observations[:-1]))
        np.testing.assert_array_equal(fields["next_observations"][trajectory], np.float32(observations[1:]))
        np.testing.assert_allclose(fields["rewards"][trajectory], rewards, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(fields["success"][trajectory], success)


def test_an_unknown_version_is_left_as_it_is(monkeypatch, vectors):
    monkeypatch.setattr(ours, "KNOWN_VERSIONS", ())
    environment = registration.make("Metaworld-ML1-reach-v3", {"max_episode_steps": 20})
    assert "its own, slower steps" in environment.remarks[0]
    env = environment.enter(MetaworldTask("reach-v3", 0, vectors["reach-v3"][0]))
    assert type(env.unwrapped) is ALL_V3_ENVIRONMENTS["reach-v3"]
    policy = Recorded(drifting_actions(20))
    fields = rollout(environment, Request(MetaworldTask("reach-v3", 0, vectors["reach-v3"][0]), policy, (0,), 1))
    rewards = stock_episode("reach-v3", vectors["reach-v3"][0], policy, 20)[1]
    np.testing.assert_array_equal(fields["rewards"][0], np.float32(rewards))


def benchmark_of(monkeypatch, small_tasks):
    monkeypatch.setattr(metaworld_tasks, "load", lambda *arguments: small_tasks)
    return registration.make("Metaworld-ML10", {"max_episode_steps": 10, "normalization_scale": 10.0})


@pytest.mark.parametrize(("num_tasks", "counts"), [(20, {10}), (5, {2, 3}), (1, {1})])
def test_training_batches_are_even_over_classes(monkeypatch, small_tasks, num_tasks, counts):
    environment = benchmark_of(monkeypatch, small_tasks)
    tasks = environment.sample_tasks(KEY, num_tasks)
    kinds = [task.kind for task in tasks]
    assert len(tasks) == num_tasks
    assert {kinds.count(kind) for kind in set(kinds)} <= counts
    again = environment.sample_tasks(KEY, num_tasks)
    assert [environment.describe(task) for task in tasks] == [environment.describe(task) for task in again]
    for task in tasks:
        np.testing.assert_array_equal(task.vector, small_tasks.training[task.kind][task.goal])


def test_test_batches_take_the_goals_in_turn(monkeypatch, small_tasks):
    environment = benchmark_of(monkeypatch, small_tasks)
    for batch, goal in ((0, 0), (1, 1), (49, 49), (50, 0)):
        tasks = environment.test_batch(batch)
        assert [(task.kind, task.goal) for task in tasks] == [("door-close-v3", goal), ("lever-pull-v3", goal)]
        np.testing.assert_array_equal(tasks[1].vector, small_tasks.test["lever-pull-v3"][goal])


def test_the_scale_without_effect_is_mentioned(monkeypatch, small_tasks):
    assert "no effect" in benchmark_of(monkeypatch, small_tasks).remarks[0]


def test_the_dynamics_model_sees_what_varies(monkeypatch, small_tasks):
    environment = benchmark_of(monkeypatch, small_tasks)
    experiment = parsing.parse({"use-vime": True, "env-name": "Metaworld-ML10"}, source="test")
    bonus = method_of(experiment, environment, num_tasks=2).bonus
    state = bonus.init(key=KEY)
    assert state.network.mean[0].weight.shape[1] == 3 + 4
    assert state.network.mean[-1].weight.shape[0] == 3


@pytest.mark.parametrize(
    ("name", "arguments", "mentions"),
    [
        ("Metaworld-ML11", {}, ["did you mean Metaworld-ML10?"]),
        ("Metaworld-ML1-door-shut-v3", {}, ["did you mean ML1-door-"]),
        ("Metaworld-ML10", {"max_episode_steps": 501}, ["max_episode_steps", "501", "1 to 500"]),
        ("Metaworld-ML10", {"benchmark_seed": -1}, ["benchmark_seed", "-1"]),
        ("Metaworld-ML10", {"horizon": 3}, ["horizon"]),
    ],
)
def test_mistakes_are_named(name, arguments, mentions):
    with pytest.raises(ConfigurationError) as error:
        small_runs.build({"env-name": name, "env-kwargs": arguments}, source="here.yaml")
    for mention in mentions:
        assert mention in str(error.value)


def test_tasks_are_arrays_of_objects():
    assert as_tasks([np.zeros(2), np.zeros(2)]).shape == (2,)
