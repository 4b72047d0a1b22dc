"""PEARL's iteration: what goes into which buffer, where z comes from, and that it learns."""

import csv

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.configuration.pearl import PearlExperiment
from mime.envs.navigation import RingNavigation
from mime.pearl.learner import make_learner
from mime.runs.folder import RunFolder
from mime.runs.setup import set_up
from mime.runs.testing import curve, evaluate
from mime.runs.training import train

pytestmark = pytest.mark.usefixtures("shared_learners")

KEY = jax.random.key(0)
TINY = {
    "net_size": 16,
    "encoder_size": 16,
    "n_train_tasks": 4,
    "num_initial_steps": 50,
    "num_tasks_sample": 2,
    "num_steps_prior": 20,
    "num_steps_posterior": 10,
    "num_extra_rl_steps_posterior": 30,
    "max_path_length": 10,
    "num_train_steps_per_itr": 3,
    "meta_batch": 2,
    "batch_size": 8,
    "embedding_batch_size": 8,
    "replay_buffer_size": 200,
    "num_evals": 3,
    "num_steps_per_eval": 40,
    "num_exp_traj_eval": 2,
}
# Goals so near that a random point finds some: sparse rewards of both values.
RING = {"env_name": "2DNavigationSparse-v0", "env_kwargs": {"low": 1.0, "high": 1.2, "sparse": True}}


def experiment(**keys):
    return PearlExperiment(**{**RING, **TINY, **keys})


def collected(configured):
    """A learner, its tasks and its state after the first data of all tasks and the next ones of two of them."""
    learner = make_learner(configured)
    tasks = learner.environment.environment.sample_tasks(KEY, configured.n_train_tasks)
    state, _ = jax.jit(learner.collect_initially)(learner.init(4, key=KEY), tasks, KEY)
    later, metrics = jax.jit(learner.collect)(state, tasks, jax.random.key(1))
    return learner, tasks, state, later, metrics


def ring(replay, task):
    return jax.tree.map(lambda leaf: np.asarray(leaf[task, : int(replay.size[task])]), replay.transitions)


@pytest.fixture(scope="module")
def plain():
    return collected(experiment())


def test_buffers_fill_phase_by_phase(plain):
    _, _, first, later, metrics = plain
    assert first.replay.size.tolist() == first.context.size.tolist() == [50] * 4
    visited = later.replay.size > 50
    assert visited.sum() == 2
    assert later.replay.size.tolist() == np.where(visited, 50 + 20 + 10 + 30, 50).tolist()
    # The encoder buffer holds what came from prior and posterior since its task was visited last.
    assert later.context.size.tolist() == np.where(visited, 20 + 10, 50).tolist()
    assert metrics["Steps"] == 2 * 60


def test_the_encoder_buffer_forgets_what_is_not_recent(plain):
    _, _, first, later, _ = plain
    for task in range(4):
        actions = ring(later.context, task).actions
        if later.replay.size[task] == 50:
            np.testing.assert_array_equal(actions, ring(first.context, task).actions)
        else:
            np.testing.assert_array_equal(actions, ring(later.replay, task).actions[50:80])


def test_transitions_are_those_of_their_own_task(plain):
    _, tasks, _, later, _ = plain
    found = 0
    for task, goal in enumerate(np.asarray(tasks)):
        steps = ring(later.replay, task)
        near = np.linalg.norm(steps.next_observations - goal, axis=1) <= RingNavigation.success_radius
        np.testing.assert_array_equal(steps.rewards, near)
        np.testing.assert_allclose(steps.next_observations - steps.observations, 0.1 * steps.actions, atol=1e-6)
        assert np.abs(steps.actions).max() <= 1
        assert np.all(steps.observations[::10] == 0)
        found += near.sum()
    assert 0 < found < later.replay.size.sum()


def test_dense_critics_see_the_distance_and_contexts_the_sparse_reward(plain):
    _, tasks, _, later, _ = collected(experiment(sparse_rewards=True))
    for task, goal in enumerate(np.asarray(tasks)):
        critic, context = ring(later.replay, task), ring(later.context, task)
        np.testing.assert_allclose(critic.rewards, -np.linalg.norm(critic.next_observations - goal, axis=1), rtol=1e-5)
        assert set(context.rewards.tolist()) <= {0.0, 1.0}
        # Otherwise, they saw the same, which is what they see without the option.
        unchanged = ring(plain[3].replay, task)
        np.testing.assert_array_equal(critic.observations, unchanged.observations)


def test_evaluation_explores_with_the_prior_and_then_acts_on_the_posterior():
    """An encoder that is sure of the same z whatever it sees: all trajectories from it are alike, no others are."""
    learner = make_learner(experiment(latent_size=1))
    tasks = learner.environment.environment.sample_tasks(KEY, 4)
    state = learner.init(4, key=KEY)
    networks = jax.tree.map(lambda leaf: leaf + 0.3 * jax.random.normal(KEY, leaf.shape), state.sac.networks)
    last = networks.encoder.network.layers[-1]
    sure = (jnp.zeros_like(last.weight), jnp.array([0.7, -30.0]))
    networks = eqx.tree_at(
        lambda n: (n.encoder.network.layers[-1].weight, n.encoder.network.layers[-1].bias), networks, sure
    )
    state = eqx.tree_at(lambda s: s.sac.networks, state, networks)
    trial = learner.adapt_and_evaluate(state, tasks, KEY, num_steps=4)
    assert len(trial) == 5
    for number, episodes in enumerate(trial):
        assert episodes.rewards.shape == (4, 3, 10)
        first_actions = np.asarray(episodes.actions[:, :, 0]).reshape(12, 2)
        different = len(np.unique(first_actions.round(3), axis=0))
        assert different == 1 if number >= 2 else different > 8, number


def test_evaluations_are_those_of_their_task():
    learner = make_learner(experiment())
    # At the start itself, and out of reach.
    tasks = jnp.array([[0.0, 0.0], [100.0, 0.0]])
    trial = learner.adapt_and_evaluate(learner.init(4, key=KEY), tasks, KEY, num_steps=2)
    solved = np.stack([episodes.solved() for episodes in trial])
    assert solved[:, 0].all()
    assert not solved[:, 1].any()


def test_an_iteration_changes_the_state_and_tells_what_happened():
    learner, state = set_up(experiment(), 0)[1:3]
    tasks = set_up(experiment(), 0).sample_tasks(KEY)
    iterate = jax.jit(learner.iterate)
    first, metrics, trial = iterate(state, tasks, KEY)
    second, later_metrics, _ = iterate(first, tasks, jax.random.key(1))
    assert (int(first.iteration), int(second.iteration)) == (1, 2)
    assert (int(metrics["Steps"]), int(later_metrics["Steps"])) == (4 * 50 + 2 * 60, 2 * 60)
    assert len(trial) == 4
    assert metrics["Valid/Returns"] == jnp.mean(trial[-1].returns())
    assert metrics["RefusedUpdates"] == 0
    moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), state.sac.networks, first.sac.networks)
    assert all(max(jax.tree.leaves(getattr(moved, name))) > 0 for name in ("encoder", "policy", "critics", "value"))


def rows_of(folder):
    with open(folder / "train_result.csv", newline="") as file:
        return list(csv.DictReader(file))


class Killed(Exception):
    """Stands for the end of the process."""


def test_a_killed_run_resumes_as_if_it_had_not_been(tmp_path):
    configured = experiment(num_iterations=5, checkpoint_every=2)
    whole, broken = (RunFolder(tmp_path / name) for name in ("whole", "broken"))
    train(configured, whole, seed=3)

    def die(row):
        if row["Iteration"] == 3:
            raise Killed

    with pytest.raises(Killed):
        train(configured, broken, seed=3, report=die)
    assert len(rows_of(broken.path)) == 3
    train(configured, broken, seed=3, resume=True)
    assert rows_of(broken.path) == rows_of(whole.path)
    assert [row["Iteration"] for row in rows_of(broken.path)] == list("12345")
    assert broken.weights("policy").read_bytes() == whole.weights("policy").read_bytes()


def test_a_run_is_tested_like_any_other(tmp_path):
    folder = RunFolder(tmp_path / "run")
    configured = experiment(num_iterations=1)
    train(configured, folder, seed=0)
    rows = evaluate(folder, num_batches=2, num_steps=3, seed=1)
    assert [row["Batch"] for row in rows] == [1, 2]
    # Eight held-out goals, three evaluations of four trajectories of ten steps.
    assert rows[0]["TotalEnvSteps"] == 8 * 3 * 4 * 10
    assert len(curve(rows, "Success")) == 4
    assert {"Train-0/Returns", "Train-2/Success", "Valid/Returns", "Valid/TrajectorySuccess"} <= rows[0].keys()
    assert (folder.figures / "test.png").stat().st_size > 1000


@pytest.mark.learning
def test_the_posterior_beats_the_prior_after_little_training():
    configured = PearlExperiment(
        env_name="2DNavigation-v0",
        net_size=64,
        encoder_size=64,
        n_train_tasks=20,
        num_iterations=25,
        num_initial_steps=100,
        num_tasks_sample=10,
        num_steps_prior=40,
        num_extra_rl_steps_posterior=40,
        max_path_length=20,
        num_train_steps_per_itr=200,
        batch_size=64,
        embedding_batch_size=32,
        replay_buffer_size=5000,
        num_steps_per_eval=60,
        # At the published scale, the entropy of actions would be worth more than all of a distance below 1.
        reward_scale=50.0,
        **dict.fromkeys(("policy_lr", "qf_lr", "vf_lr", "context_lr"), 1e-3),
    )
    environment, learner, state, sample_tasks, _ = set_up(configured, 0)
    iterate = jax.jit(learner.iterate)
    for iteration in range(configured.iterations):
        state, _, _ = iterate(state, sample_tasks(KEY), jax.random.fold_in(KEY, iteration))
    trial = learner.adapt_and_evaluate(state, environment.test_tasks(), KEY, num_steps=2)
    prior, *_, posterior = (float(jnp.mean(episodes.returns())) for episodes in trial)
    assert posterior > prior + 1
    # Standing still at the start costs 0.4 in each of 20 steps.
    assert posterior > -8 + 0.7
