"""RL2 on an environment outside JAX: the worker's policy remembers its trial, and the learner reads what it did."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.configuration.rl2 import Rl2Experiment
from mime.envs import registration
from mime.policies.recurrent import make_recurrent
from mime.rl2.method import make_learner
from mime.sampling.host import Collected
from mime.sampling.hosted import HostedSampler
from mime.sampling.rollouts import rollout

KEY = jax.random.key(0)


class InThisProcess:
    """Workers without processes: requests travel as they would."""

    def __init__(self, environment):
        self.environment = environment

    def collect(self, requests, describe):
        return [Collected(rollout(self.environment, pickle.loads(pickle.dumps(each))), ()) for each in requests]

    def close(self):
        pass


def made(initial_std, discrete):
    """A learner of trials of three episodes, and its state."""
    environment = registration.make("tests.sampling.toy:Toy", {"max_episode_steps": 5, "discrete": discrete})
    experiment = Rl2Experiment(episodes_per_trial=3, trials_per_task=2, num_minibatches=1, update_epochs=1)
    options = {"hidden_size": 6, "observation_scale": 1.0, "reward_scale": 1.0, "min_std": 1e-6}
    spaces = environment.observation_space, environment.action_space
    networks = make_recurrent(*spaces, **options, initial_std=initial_std, key=KEY)
    learner = make_learner(experiment, HostedSampler(environment, 2, InThisProcess(environment)))
    return learner, learner.init(*networks, key=KEY)


def test_what_a_worker_did_is_what_the_learner_reads():
    learner, state = made(initial_std=1e-6, discrete=False)
    tasks = learner.sampler.environment.sample_tasks(KEY, 2)
    trial = learner.adapt_and_evaluate(state, tasks, KEY, num_steps=2)
    assert trial.episodes.actions.shape == (2, 2, 3, 5, 1)
    batch, _ = learner.decided(state, trial)
    valid = np.asarray(batch.valid)
    # With next to no noise, actions are the means of the distributions that the learner takes them from.
    np.testing.assert_allclose(batch.actions[valid], batch.old.mean[valid], atol=2e-5)
    firsts = np.asarray(trial.episodes.actions[:, :, :, 0, 0])
    assert np.abs(np.diff(firsts, axis=-1)).min() > 1e-4


@pytest.mark.parametrize("discrete", [False, True])
def test_an_iteration(discrete):
    learner, state = made(initial_std=1.0, discrete=discrete)
    assert not learner.compiled
    tasks = learner.sampler.environment.sample_tasks(KEY, 2)
    new, metrics, trial = learner.iterate(state, tasks, KEY)
    assert metrics["RefusedUpdates"] == 0
    assert metrics["Steps"] == jnp.sum(trial.episodes.valid)
    assert any(np.any(a != b) for a, b in zip(jax.tree.leaves(state.policy), jax.tree.leaves(new.policy)))
