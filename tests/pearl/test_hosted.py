"""PEARL on an environment outside JAX: workers act with the learner's policy, and the buffers hold what they did."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.configuration.pearl import PearlExperiment
from mime.envs import registration
from mime.errors import UserError
from mime.pearl.learner import make_learner
from mime.runs.folder import RunFolder
from mime.runs.rendering import render
from mime.runs.testing import curve, evaluate
from mime.runs.training import train
from mime.sampling.hosted import HostedSampler
from mime.sampling.resources import Resources
from tests.pearl.test_learner import TINY
from tests.rl2.test_hosted import InThisProcess

KEY = jax.random.key(0)
TOY = {"env_name": "tests.sampling.toy:Toy", "env_kwargs": {"max_episode_steps": 10}}
SMALL = TOY | TINY | {"num_initial_steps": 20, "num_steps_posterior": 0, "num_evals": 1, "num_steps_per_eval": 30}


def experiment(**keys):
    return PearlExperiment(**SMALL | keys)


@pytest.fixture(scope="module")
def learner():
    environment = registration.make(TOY["env_name"], TOY["env_kwargs"])
    return make_learner(experiment(), HostedSampler(environment, 1, InThisProcess(environment)))


def test_a_worker_acts_with_the_policy_of_its_z(learner):
    state, tasks = learner.init(4, key=KEY), learner.environment.sample_tasks(KEY, 3)
    # Before training all outputs are near 0, whatever z is.
    policy = jax.tree.map(lambda leaf: 3 * leaf, state.sac.networks.policy)
    networks = eqx.tree_at(lambda networks: networks.policy, state.sac.networks, policy)
    latents = jax.random.normal(KEY, (3, learner.experiment.latent_size))
    greedy = learner.collect_from(networks, latents, tasks, KEY, greedy=True)
    assert greedy.actions.shape == (3, 10, 1)

    def mode(observation, latent):
        return networks.act(observation, latent).mode().sample(key=KEY)

    modes = jax.vmap(jax.vmap(mode, in_axes=(0, None)))(greedy.observations, latents)
    np.testing.assert_allclose(greedy.actions[greedy.valid], modes[greedy.valid], atol=1e-5)
    assert np.ptp(np.asarray(greedy.actions)[:, 0]) > 1e-3
    random = learner.collect_from(networks, latents, tasks, KEY)
    assert np.abs(np.asarray(random.actions - greedy.actions)).max() > 0.1
    assert np.abs(np.asarray(random.actions)).max() <= 1


def test_the_buffers_hold_what_was_collected(learner):
    tasks = learner.environment.sample_tasks(KEY, 4)
    state, metrics, trial = learner.iterate(learner.init(4, key=KEY), tasks, KEY)
    assert len(trial) == 3
    assert trial[0].rewards.shape == (4, 1, 10)
    assert int(metrics["Steps"]) == int(jnp.sum(state.replay.size))
    first = jax.tree.map(lambda leaf: leaf[0, : int(state.replay.size[0])], state.replay.transitions)
    # The reward of a step is minus the distance of the place it leads to, whose noise is in the other number.
    distance = jnp.abs(first.next_observations[:, 0] - tasks[0]["goal"])
    np.testing.assert_allclose(first.rewards, -distance, atol=1e-5)
    moved = first.next_observations[:, 0] - first.observations[:, 0]
    np.testing.assert_allclose(moved, 0.1 * first.actions[:, 0], atol=1e-5)


def test_a_run_resumes_and_is_tested_whatever_the_number_of_workers(tmp_path):
    whole, broken = (RunFolder(tmp_path / name) for name in ("whole", "broken"))
    train(experiment(num_iterations=2), whole, seed=1, resources=Resources(1))
    train(experiment(num_iterations=1), broken, seed=1, resources=Resources(2))
    train(experiment(num_iterations=2), broken, seed=1, resume=True, resources=Resources(2))
    for name in ("train_result.csv", "policy.safetensors"):
        assert (whole.path / name).read_bytes() == (broken.path / name).read_bytes()
    rows = evaluate(whole, num_batches=1, num_steps=2, seed=1, resources=Resources(1))
    assert len(curve(rows, "Returns")) == 3
    with pytest.raises(UserError, match="films of PEARL are made of environments written in JAX alone"):
        render(whole, task=None, num_steps=1, seed=0)


def test_episodes_of_another_length_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"max-path-length: 7 must be the environment's number of steps, 10"):
        train(experiment(max_path_length=7), RunFolder(tmp_path / "run"), seed=0)
    discrete = experiment(env_kwargs={"max_episode_steps": 10, "discrete": True})
    with pytest.raises(UserError, match="PEARL needs actions from a bounded box of one axis, not Discrete"):
        train(discrete, RunFolder(tmp_path / "run"), seed=0)
