"""RL2's iteration: whose memory is whose, what is rewarded, the same numbers however it is run, and that it learns."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.configuration.rl2 import Rl2Experiment
from mime.envs.bandit import BernoulliBandit
from mime.errors import UserError
from mime.numerics import parallel
from mime.numerics.parallel import task_mesh
from mime.policies.recurrent import make_recurrent
from mime.rl2.method import make_learner
from mime.runs import rendering
from mime.runs.folder import RunFolder
from mime.runs.setup import set_up
from mime.runs.testing import curve, evaluate
from mime.runs.trained import load_run
from mime.runs.training import train
from mime.sampling.compiled import CompiledSampler

pytestmark = pytest.mark.usefixtures("shared_learners")

KEY = jax.random.key(0)
TINY = {
    "env_name": "2DNavigationSparse-v0",
    "env_kwargs": {"low": 0.1, "high": 0.3, "horizon": 5},
    "hidden_size": 6,
    "episodes_per_trial": 3,
    "trials_per_task": 4,
    "meta_batch_size": 4,
    "num_minibatches": 2,
    "update_epochs": 2,
    "dyn_features": 8,
    "dyn_inputs": "arrival",
}


def experiment(**keys):
    return Rl2Experiment(**{**TINY, **keys})


@pytest.fixture(scope="module")
def explored():
    """Setup, tasks and a trial with the bonus."""
    setup = set_up(experiment(use_vime=True, eta=0.5), 0)
    tasks = setup.sample_tasks(KEY)
    return setup, tasks, setup.learner.adapt_and_evaluate(setup.state, tasks, KEY, num_steps=2)


def test_trials_have_an_axis_for_each_of_their_parts(explored):
    setup, _, trial = explored
    assert trial.episodes.rewards.shape == (4, 4, 3, 5)
    stages = setup.learner.stages(trial)
    assert [stage.rewards.shape for stage in stages] == [(4, 4, 5)] * 3
    np.testing.assert_array_equal(stages[1].actions, trial.episodes.actions[:, :, 1])


def test_nothing_is_remembered_of_other_tasks(explored):
    setup, tasks, trial = explored
    others = tasks.at[1].set(jnp.array([9.0, 9.0]))
    elsewhere = setup.learner.adapt_and_evaluate(setup.state, others, KEY, num_steps=2)
    for place, same in enumerate((True, False, True, True)):
        equal = np.array_equal(trial.episodes.actions[place, :, 1:], elsewhere.episodes.actions[place, :, 1:])
        assert equal == same, place


def test_the_bonus_is_for_all_episodes_but_the_last(explored):
    setup, _, trial = explored
    intrinsic = np.asarray(trial.intrinsic)
    assert np.all(intrinsic[:, :, :-1].sum(axis=-1) > 0)
    assert np.all(intrinsic[:, :, -1] == 0)
    learned = setup.learner.reward(trial.episodes.rewards, trial.intrinsic)
    np.testing.assert_allclose(learned, 0.55 * trial.episodes.rewards + 0.55 * intrinsic, rtol=1e-5, atol=1e-6)
    summary = setup.learner.summary(trial, setup.state)
    assert summary["Train-1/IntrinsicReturns"] > 0
    assert "Valid/IntrinsicReturns" not in summary
    total = sum(float(summary[f"{name}/Returns"]) for name in ("Train-0", "Train-1", "Valid"))
    assert float(summary["TrialReturns"]) == pytest.approx(total, rel=1e-5)


def test_a_trials_gain_does_not_depend_on_other_trials(explored):
    """But for the units: twice the same trials have the same standard deviations, and the same gains."""
    setup, _, trial = explored
    bonus, state = setup.learner.bonus, setup.state.bonus
    exploring = jax.tree.map(lambda leaf: leaf[0, :, :-1], trial.episodes)
    twice = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf]), exploring)
    once, doubled = (bonus.trial_rewards(state, each, key=KEY) for each in (exploring, twice))
    np.testing.assert_allclose(doubled[:4], once, rtol=1e-4, atol=1e-6)
    repeated = jax.tree.map(lambda leaf: jnp.concatenate([leaf, leaf], axis=1), exploring)
    assert np.all(np.asarray(bonus.trial_rewards(state, repeated, key=KEY)).sum(axis=(1, 2)) < once.sum(axis=(1, 2)))


@pytest.mark.parametrize("outer_step", [pytest.param("ppo", marks=pytest.mark.torture), "trpo"])
def test_the_same_numbers_on_one_and_on_two_devices(outer_step, monkeypatch):
    assert len(jax.devices()) == 2
    results = []
    for devices in (1, 2):
        mesh = task_mesh(1) if devices == 1 else task_mesh(2)
        monkeypatch.setattr(parallel, "task_mesh", lambda num_tasks, mesh=mesh: mesh)
        setup = set_up(experiment(outer_step=outer_step), 0)
        state = setup.state
        iterate = jax.jit(setup.learner.iterate)
        for seed in range(2):
            state, metrics, _ = iterate(state, setup.sample_tasks(KEY), jax.random.key(seed))
        results.append(jax.device_get((state, metrics)))
    assert results[0][1]["RefusedUpdates"] == 0
    before = jax.tree.leaves(setup.state.policy)
    assert any(np.any(old != new) for old, new in zip(before, jax.tree.leaves(results[0][0].policy)))
    for one, two in zip(*map(jax.tree.leaves, results)):
        np.testing.assert_array_equal(one, two)


def test_numbers_that_are_not_finite_stay_out_of_the_networks():
    setup = set_up(experiment(), 0)
    trial = setup.learner.adapt_and_evaluate(setup.state, setup.sample_tasks(KEY), KEY, num_steps=2)
    rewards = trial.episodes.rewards.at[0, 0, 0, 0].set(jnp.nan)
    spoilt = trial._replace(episodes=replace(trial.episodes, rewards=rewards))
    state, metrics = setup.learner.improve(setup.state, spoilt, KEY)
    assert metrics["RefusedUpdates"] > 0
    jax.tree.map(np.testing.assert_array_equal, state.policy, setup.state.policy)
    # The critic leaves out the minibatches with that trial alone.
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves((state.critic, state.moments)))


class Killed(Exception):
    """Stands for the end of the process."""


def test_a_killed_run_resumes_as_if_it_had_not_been_and_is_tested(tmp_path, monkeypatch):
    configured = experiment(use_vime=True, num_batches=4, checkpoint_every=2, pictures_every=100)
    whole, broken = (RunFolder(tmp_path / name) for name in ("whole", "broken"))
    train(configured, whole, seed=3)

    def die(row):
        if row["Iteration"] == 3:
            raise Killed

    with pytest.raises(Killed):
        train(configured, broken, seed=3, report=die)
    train(configured, broken, seed=3, resume=True)
    for name in ("train_result.csv", "policy.safetensors", "dynamics.safetensors"):
        assert (broken.path / name).read_bytes() == (whole.path / name).read_bytes(), name
    rows = evaluate(whole, num_batches=1, num_steps=3, seed=1)
    # Eight held-out goals, four trials of four episodes of five steps.
    assert rows[0]["TotalEnvSteps"] == 8 * 4 * 4 * 5
    assert len(curve(rows, "Success")) == 4
    monkeypatch.setattr(rendering, "GIF_FRAMES", 2)
    assert rendering.render(whole, task=None, num_steps=1, seed=1).stat().st_size > 1000
    with pytest.raises(UserError, match="RL2\\+expl does not adapt the policy's parameters"):
        load_run(whole)


class TwoArms(BernoulliBandit):
    """One arm always pays, the other one never does. Who does not remember earns 3 of 6; the best policy, 5.5."""

    def sample_tasks(self, key, num_tasks):
        first = jax.random.bernoulli(key, 0.5, (num_tasks,)).astype(float)
        return jnp.stack([first, 1 - first], axis=1)


@pytest.mark.learning
@pytest.mark.parametrize("outer_step", ["ppo", "trpo"])
def test_the_best_policy_of_a_two_armed_bandit_is_learned(outer_step):
    environment = TwoArms(arms=2, pulls=3)
    configured = Rl2Experiment(
        episodes_per_trial=2,
        trials_per_task=20,
        num_minibatches=2,
        outer_step=outer_step,
        learning_rate=5e-3,
        max_kl=0.05,
    )
    options = {"hidden_size": 16, "observation_scale": 1.0, "reward_scale": 1.0, "initial_std": 1.0, "min_std": 1e-6}
    networks = make_recurrent(environment.observation_space, environment.action_space, **options, key=KEY)
    learner = make_learner(configured, CompiledSampler(environment, 20))
    state, iterate = learner.init(*networks, key=KEY), jax.jit(learner.iterate)
    for seed in range(40):
        key = jax.random.key(seed)
        state, _, trial = iterate(state, environment.sample_tasks(key, 10), key)
    # Half of the first pulls pay, whatever the policy. After them nothing is left to be found out, and all can pay.
    pulls = trial.episodes.rewards.reshape(-1, 6)
    assert jnp.mean(pulls[:, 1:]) > 0.95
