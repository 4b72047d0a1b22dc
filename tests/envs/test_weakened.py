"""Weakened actions: half of the training tasks are harder, nothing else is different."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mime
from mime.configuration.gradients import Experiment
from mime.envs.dog_house import DogHouse
from mime.envs.navigation import RingNavigation
from mime.envs.pendulum import Pendulum, Rod, Swing
from mime.envs.weakened import Weakened, WeakenedActions, plain
from mime.errors import UserError
from mime.runs.setup import set_up

pytestmark = pytest.mark.usefixtures("shared_learners")

TOY = "tests.sampling.toy:Toy"
KEY = jax.random.key(0)
OWN = Pendulum()
ENV = WeakenedActions(OWN, 0.6)
STATE = Swing(jnp.array(2.0), jnp.array(-1.0))
ROD = OWN.get_default_params()


@pytest.mark.parametrize("count", [6, 7, 12])
def test_half_of_the_tasks_are_weakened_each_as_often(count):
    batches = jax.vmap(lambda key: ENV.sample_tasks(key, count))(jax.random.split(KEY, 700))
    weak = np.asarray(batches.strength < 1)
    assert (weak.sum(axis=1) == count // 2).all()
    share = count // 2 / count
    assert (abs(weak.sum(axis=0) - 700 * share) < 5 * np.sqrt(700 * share * (1 - share))).all()


def test_the_tasks_are_those_of_the_environment():
    jax.tree.map(np.testing.assert_array_equal, ENV.sample_tasks(KEY, 12).task, OWN.sample_tasks(KEY, 12))


def test_every_rod_is_weakened_once_in_a_batch_that_has_each_twice():
    for key in jax.random.split(KEY, 20):
        tasks = ENV.sample_tasks(key, 12)
        weak = np.asarray(tasks.strength < 1)
        rods = {(float(m), float(k)) for m, k in zip(tasks.task.mass[weak], tasks.task.length[weak])}
        assert len(rods) == 6


def test_no_dog_is_always_the_weakened_one():
    """They come in the same order in every batch."""
    env = WeakenedActions(DogHouse(), 0.5)
    weak = jax.vmap(lambda key: env.sample_tasks(key, 3).strength < 1)(jax.random.split(KEY, 300)).sum(axis=0)
    assert (abs(weak - 100) < 5 * np.sqrt(300 * 2 / 9)).all()


def test_factors_are_uniform_and_do_not_depend_on_the_task():
    ring = RingNavigation(low=3.0, high=6.0)
    batches = jax.vmap(lambda key: WeakenedActions(ring, 0.6).sample_tasks(key, 2))(jax.random.split(KEY, 3000))
    weak = np.asarray(batches.strength < 1)
    strengths, goals = np.asarray(batches.strength)[weak], np.asarray(batches.task)[weak]
    assert strengths.min() > 0.6
    counts = np.histogram(strengths, bins=4, range=(0.6, 1))[0]
    assert (abs(counts - 750) < 5 * np.sqrt(750)).all()
    angles = np.arctan2(goals[:, 1], goals[:, 0])
    for quantity in (angles, np.sin(angles), np.hypot(*goals.T)):
        assert abs(np.corrcoef(strengths, quantity)[0, 1]) < 5 / np.sqrt(3000)


@pytest.mark.parametrize("action", [-5.0, -1.5, 0.0, 0.7, 3.0])
def test_an_action_has_the_effect_of_a_smaller_one(action):
    """Beyond the box, too: what is weak cannot be made up for by asking for more."""
    weak = Weakened(ROD, jnp.array(0.7))
    ours = ENV.transition(STATE, jnp.array([action]), KEY, weak)
    expected = OWN.transition(STATE, jnp.array([0.7 * np.clip(action, -2, 2)]), KEY, ROD)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)
    reward = ENV.reward(STATE, jnp.array([action]), ours, KEY, weak)
    assert reward == OWN.reward(STATE, jnp.array([action]), ours, KEY, ROD)


class Echo(Pendulum):
    """Its next state is the action, from a box that lies to one side."""

    def __init__(self, low, high):
        self.action_space = gymnasium.spaces.Box(np.float32(low), np.float32(high), (1,))
        super().__init__()

    def transition(self, state, action, rng, params):
        return action


def test_actions_are_drawn_to_the_middle_of_their_box():
    env = WeakenedActions(Echo(0, 4), 0.5)
    left = [env.transition(STATE, jnp.array([a]), KEY, Weakened(ROD, jnp.array(0.5)))[0] for a in (-1.0, 1.0, 2.0, 4.0)]
    np.testing.assert_allclose(left, [1, 1.5, 2, 3])


def test_a_task_of_the_environment_means_what_it_does_there():
    for task in (ROD, Weakened(ROD, jnp.array(1.0))):
        np.testing.assert_array_equal(
            ENV.transition(STATE, jnp.array([1.3]), KEY, task), OWN.transition(STATE, jnp.array([1.3]), KEY, ROD)
        )
        np.testing.assert_array_equal(ENV.initial(KEY, task), OWN.initial(KEY, ROD))
        np.testing.assert_array_equal(ENV.observation(STATE, KEY, task), OWN.observation(STATE, KEY, ROD))
        assert ENV.success(STATE, task) == OWN.success(STATE, ROD)
        assert not ENV.terminal(STATE, KEY, task)
        assert plain(task) is ROD
    jax.tree.map(np.testing.assert_array_equal, ENV.test_tasks(), OWN.test_tasks())
    jax.tree.map(np.testing.assert_array_equal, ENV.get_default_params(mass=0.7), OWN.get_default_params(mass=0.7))


def test_what_exploration_is_measured_by_stays():
    house = DogHouse()
    weakened = WeakenedActions(house, 0.5)
    assert (weakened.grid, weakened.places) == (house.grid, house.places)
    assert weakened.horizon == house.horizon


def test_without_the_key_tasks_stay_what_they_are():
    for weakest, kind in ((1.0, Rod), (0.5, Weakened)):
        experiment = Experiment(env_name="MetaPendulum-v0", weakest_actions=weakest)
        assert isinstance(set_up(experiment, 0).sample_tasks(KEY), kind)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (
            {"env_name": TOY, "env_kwargs": {"max_episode_steps": 6}},
            r"weakest-actions: 0\.5 needs an environment written",
        ),
        ({"env_name": "Bandit-K5-v0"}, r"weakest-actions: 0\.5 needs a bounded box"),
        ({"env_name": "MetaPendulum-v0", "meta_batch_size": 1}, "set meta-batch-size to 2"),
    ],
)
def test_what_cannot_be_weakened_is_refused_before_anything_is_written(keys, words, tmp_path):
    with pytest.raises(UserError, match=words):
        mime.train(Experiment(**keys, weakest_actions=0.5), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_unbounded_actions_are_refused():
    with pytest.raises(ValueError, match=r"weakest-actions: 0\.5 needs a bounded box"):
        WeakenedActions(Echo(-np.inf, np.inf), 0.5)


def test_a_run_with_weakened_tasks_trains_tests_and_draws(tmp_path):
    keys = {"env_name": "MetaPendulum-v0", "weakest_actions": 0.5, "num_batches": 1}
    mime.train(Experiment(**keys, meta_batch_size=4, fast_batch_size=2), tmp_path)
    assert (tmp_path / "figures" / "train.png").exists()
    assert len(mime.evaluate(tmp_path, num_batches=1, num_steps=1)) == 1
