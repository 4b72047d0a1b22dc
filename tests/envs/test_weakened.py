"""Weakened actions: half of the training tasks are harder, nothing else is different."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import mime
from mime.config import Experiment
from mime.envs.dog_house import DogHouse
from mime.envs.pendulum import Pendulum, Rod, Swing
from mime.envs.weakened import Weakened, WeakenedActions, plain
from mime.errors import UserError
from mime.runs.setup import set_up

TOY = "tests.sampling.toy:Toy"
KEY = jax.random.key(0)
OWN = Pendulum()
ENV = WeakenedActions(OWN, 0.6)
STATE = Swing(jnp.array(2.0), jnp.array(-1.0))
ROD = OWN.get_default_params()


@pytest.mark.parametrize("count", [6, 7, 12])
def test_the_first_half_keeps_its_strength_and_the_second_gets_less(count):
    tasks = ENV.sample_tasks(KEY, count)
    whole = -(-count // 2)
    np.testing.assert_array_equal(tasks.strength[:whole], 1)
    assert (tasks.strength[whole:] < 1).all()
    np.testing.assert_array_equal(tasks.task.mass, OWN.sample_tasks(KEY, count).mass)


def test_factors_are_uniform_and_drawn_anew():
    strengths = np.concatenate([ENV.sample_tasks(key, 6).strength[3:] for key in jax.random.split(KEY, 400)])
    assert strengths.min() > 0.6
    assert strengths.max() < 1
    counts = np.histogram(strengths, bins=4, range=(0.6, 1))[0]
    assert (abs(counts - 300) < 5 * np.sqrt(300)).all()


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


def test_environments_outside_jax_are_refused():
    with pytest.raises(UserError, match=r"weakest-actions: 0\.5 needs an environment written in JAX"):
        set_up(Experiment(env_name=TOY, env_kwargs={"max_episode_steps": 6}, weakest_actions=0.5), 0)


def test_unbounded_actions_are_refused():
    with pytest.raises(ValueError, match=r"weakest-actions: 0\.5 needs a bounded box"):
        WeakenedActions(Echo(-np.inf, np.inf), 0.5)


def test_a_run_with_weakened_tasks_trains_tests_and_draws(tmp_path):
    keys = {"env_name": "MetaPendulum-v0", "weakest_actions": 0.5, "num_batches": 1}
    mime.train(Experiment(**keys, meta_batch_size=4, fast_batch_size=2), tmp_path)
    assert (tmp_path / "figures" / "train.png").exists()
    assert len(mime.evaluate(tmp_path, num_batches=1, num_steps=1)) == 1
