"""Meta-World: the same tasks, observations and rewards as stock Meta-World, from faster steps."""

import importlib
import pickle

import jax
import numpy as np
import pytest

pytest.importorskip("metaworld")

import metaworld
from metaworld.env_dict import ALL_V3_ENVIRONMENTS, ML10_V3
from metaworld.sawyer_xyz_env import SawyerXYZEnv
from metaworld.types import Task

from mime.configuration import parsing
from mime.envs.external import hosting, metaworld_tasks
from mime.envs.external import metaworld as ours
from mime.envs.external.hosted_environment import as_tasks
from mime.envs.external.metaworld import Errand
from mime.envs.external.metaworld_speed import accelerated
from mime.meta.method import method_of
from mime.sampling.rollouts import Request, rollout
from tests.scripted import Scripted

# Meta-World's scripted policies say so of themselves.
pytestmark = pytest.mark.filterwarnings("ignore:Constant")
ML10 = [*ML10_V3["train"], *ML10_V3["test"]]
KEY = jax.random.key(0)
PADDING = {*range(11, 18), *range(29, 36), *range(36, 39)}


class Recorded:
    """A policy that plays given actions, whatever it sees."""

    def __init__(self, actions):
        self.actions = actions

    def begin(self, generator):
        return self, None

    def noise(self, generator, num_steps):
        return self.actions

    def act(self, observation, noise):
        return noise


@pytest.fixture(scope="module")
def vectors():
    """Two goals of every class."""
    drawn = {}
    for kind in ML10:
        env = ALL_V3_ENVIRONMENTS[kind]()
        env._freeze_rand_vec, env._set_task_called = False, True
        np.random.seed(7)
        drawn[kind] = []
        for _ in range(2):
            env.reset()
            drawn[kind].append(env._last_rand_vec.copy())
    return drawn


def task_of(kind, vector):
    content = {"env_cls": ALL_V3_ENVIRONMENTS[kind], "rand_vec": vector, "partially_observable": True}
    return Task(kind, pickle.dumps(content))


def drifting_actions(num_steps, seed=0):
    """Smooth wandering, which meets objects more often than white noise, and beyond the bounds."""
    noise = np.random.default_rng(seed).normal(0, 0.3, (num_steps, 4))
    return np.clip(np.cumsum(noise, axis=0), -1.3, 1.3).astype(np.float32)


def stock_episode(kind, vector, policy, num_steps):
    """What plain Meta-World gives, in an environment used for nothing else."""
    env = ALL_V3_ENVIRONMENTS[kind]()
    env.set_task(task_of(kind, vector))
    observations, rewards, success = [env.reset()[0]], [], []
    for noise in policy.noise(None, num_steps):
        action = np.clip(policy.act(np.float32(observations[-1]), noise), -1, 1)
        observation, reward, _, _, info = env.step(action)
        observations.append(observation)
        rewards.append(reward)
        success.append(bool(info["success"]))
    return np.array(observations), np.array(rewards), np.array(success)


@pytest.mark.parametrize("kind", ML10)
def test_accelerated_steps_equal_stock_ones(kind, vectors):
    fast = accelerated(ALL_V3_ENVIRONMENTS[kind])()
    fast.set_task(task_of(kind, vectors[kind][1]))  # Another task first: nothing of it may be left.
    fast.reset()
    for action in drifting_actions(30, seed=1):
        fast.step(action)
    fast.set_task(task_of(kind, vectors[kind][0]))
    for policy in (Recorded(drifting_actions(100)), Scripted(kind)):  # The second reset restores a snapshot.
        observations, rewards, success = stock_episode(kind, vectors[kind][0], policy, 100)
        observation, _ = fast.reset()
        np.testing.assert_array_equal(observation, observations[0], strict=True)
        for step, noise in enumerate(policy.noise(None, 100)):
            action = np.clip(policy.act(np.float32(observation), noise), -1, 1)
            observation, reward, terminated, truncated, info = fast.step(action)
            np.testing.assert_array_equal(observation, observations[step + 1], strict=True)
            assert abs(reward - rewards[step]) < 1e-12
            assert bool(info["success"]) == success[step]
            assert (terminated, truncated) == (False, False)


@pytest.mark.parametrize("kind", ["door-open-v3", "drawer-close-v3", "pick-place-v3"])
def test_scripted_policies_do_through_the_sampler_what_they_do_in_a_plain_loop(kind, vectors):
    environment = hosting.make(f"Metaworld-ML1-{kind}", {"max_episode_steps": 120})
    request = Request(Errand(kind, 0, vectors[kind][0]), Scripted(kind), (0, 1, 2), 2)
    fields = rollout(environment, request)
    observations, rewards, success = stock_episode(kind, vectors[kind][0], Scripted(kind), 120)
    for trajectory in range(2):
        np.testing.assert_array_equal(fields["observations"][trajectory], np.float32(observations[:-1]))
        np.testing.assert_array_equal(fields["next_observations"][trajectory], np.float32(observations[1:]))
        np.testing.assert_allclose(fields["rewards"][trajectory], rewards, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(fields["success"][trajectory], success)


def test_nothing_that_is_replaced_is_specialised_by_a_class():
    specialised = set(vars(accelerated(ALL_V3_ENVIRONMENTS["reach-v3"]).__mro__[1])) - {"__init__", "__module__"}
    specialised -= {"__doc__", "__dict__", "__weakref__"}
    for kind in ALL_V3_ENVIRONMENTS.values():
        assert not specialised & set(vars(kind)), kind


def test_an_unknown_version_is_left_as_it_is(monkeypatch, vectors):
    monkeypatch.setattr(ours, "KNOWN_VERSIONS", ())
    environment = hosting.make("Metaworld-ML1-reach-v3", {"max_episode_steps": 20})
    assert "its own, slower steps" in environment.remarks[0]
    env = environment.enter(Errand("reach-v3", 0, vectors["reach-v3"][0]))
    assert type(env.unwrapped) is ALL_V3_ENVIRONMENTS["reach-v3"]
    policy = Recorded(drifting_actions(20))
    fields = rollout(environment, Request(Errand("reach-v3", 0, vectors["reach-v3"][0]), policy, (0,), 1))
    rewards = stock_episode("reach-v3", vectors["reach-v3"][0], policy, 20)[1]
    np.testing.assert_array_equal(fields["rewards"][0], np.float32(rewards))


@pytest.fixture
def small_tasks():
    """A task list as a benchmark with two training and two test classes would have it."""
    goals = np.arange(50 * 3, dtype=float).reshape(50, 3)
    return metaworld_tasks.TaskList(
        training={"reach-v3": goals, "push-v3": goals + 1},
        test={"door-close-v3": goals + 2, "lever-pull-v3": goals + 3},
        varying=(0, 1, 5),
    )


def test_tasks_survive_the_cache(tmp_path, monkeypatch, small_tasks):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []
    monkeypatch.setattr(metaworld_tasks, "build", lambda *arguments: calls.append(arguments) or small_tasks)
    for _ in range(2):
        loaded = metaworld_tasks.load("ML10", 4)
        assert list(loaded.training) == ["reach-v3", "push-v3"]
        assert loaded.varying == (0, 1, 5)
        np.testing.assert_array_equal(loaded.test["lever-pull-v3"], small_tasks.test["lever-pull-v3"])
    assert calls == [("ML10", 4)]
    metaworld_tasks.load("ML10", 5)
    assert len(calls) == 2
    files = list(metaworld_tasks.cache_folder().iterdir())
    assert sorted(path.name for path in files) == [
        f"ML10-seed{seed}-metaworld{importlib.metadata.version('metaworld')}.npz" for seed in (4, 5)
    ]


@pytest.mark.parametrize("content", [b"", b"not a zip", pickle.dumps(print)])
def test_a_damaged_cache_is_built_anew(tmp_path, monkeypatch, small_tasks, content):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(metaworld_tasks, "build", lambda *arguments: small_tasks)
    metaworld_tasks.load("ML10", 4)
    (path,) = metaworld_tasks.cache_folder().iterdir()
    path.write_bytes(content)
    assert metaworld_tasks.load("ML10", 4).varying == (0, 1, 5)
    assert metaworld_tasks.read(path).varying == (0, 1, 5)


def benchmark_of(monkeypatch, small_tasks):
    monkeypatch.setattr(metaworld_tasks, "load", lambda *arguments: small_tasks)
    return hosting.make("Metaworld-ML10", {"max_episode_steps": 10, "normalization_scale": 10.0})


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


def test_padding_is_found():
    kinds = [ALL_V3_ENVIRONMENTS[kind] for kind in ("reach-v3", "drawer-close-v3")]
    assert set(range(39)) - set(metaworld_tasks._varying(kinds)) == PADDING


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
    with pytest.raises(config.ConfigurationError) as error:
        parsing.parse({"env-name": name, "env-kwargs": arguments}, source="here.yaml")
    for mention in mentions:
        assert mention in str(error.value)


@pytest.mark.torture
def test_a_whole_benchmark(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    environment = hosting.make("Metaworld-ML10", {})
    assert list(environment.classes) == list(ML10_V3["train"])
    assert list(environment.test_classes) == list(ML10_V3["test"])
    assert set(range(39)) - set(environment.varying) == PADDING
    drawn = metaworld.ML10(seed=0)
    vectors = {split: {} for split in ("training", "test")}
    for split, tasks in (("training", drawn.train_tasks), ("test", drawn.test_tasks)):
        for task in tasks:
            vectors[split].setdefault(task.env_name, []).append(pickle.loads(task.data)["rand_vec"])
    for split, expected in vectors.items():
        for kind, rows in expected.items():
            np.testing.assert_array_equal(getattr(environment.tasks, split)[kind], rows)


def test_tasks_are_arrays_of_objects():
    assert as_tasks([np.zeros(2), np.zeros(2)]).shape == (2,)


def test_setting_a_task_leaves_nothing_of_an_earlier_one(vectors):
    fresh, used = (accelerated(ALL_V3_ENVIRONMENTS["door-open-v3"])() for _ in range(2))
    used.set_task(task_of("door-open-v3", vectors["door-open-v3"][1]))
    used.reset()
    used.step(np.ones(4, np.float32))
    used.set_task(task_of("door-open-v3", vectors["door-open-v3"][0]))
    for name in ("body_pos", "site_pos"):
        np.testing.assert_array_equal(getattr(used.model, name), getattr(fresh.model, name))
    for name in ("qpos", "qvel", "mocap_pos", "qacc_warmstart", "xpos"):
        np.testing.assert_array_equal(getattr(used.data, name), getattr(fresh.data, name))
    assert used.curr_path_length == fresh.curr_path_length == 0


def test_only_the_first_reset_to_a_task_simulates(monkeypatch, vectors):
    env = accelerated(ALL_V3_ENVIRONMENTS["reach-v3"])()
    resets, stock_reset = [], SawyerXYZEnv.reset
    monkeypatch.setattr(SawyerXYZEnv, "reset", lambda self, **how: resets.append(how) or stock_reset(self, **how))
    for vector in vectors["reach-v3"]:
        env.set_task(task_of("reach-v3", vector))
        observations = [env.reset()[0] for _ in range(4)]
        np.testing.assert_array_equal(observations, [observations[0]] * 4)
    assert len(resets) == 2
