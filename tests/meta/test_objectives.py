"""Outer objectives and the step on them against the same computed, and differentiated, in NumPy."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.envs.navigation import DenseNavigation
from mime.meta import objectives
from mime.meta.adaptation import distributions
from mime.meta.objectives import Outcome
from mime.meta.state import Experience
from mime.numerics.trpo import OuterStep
from tests.meta import plain
from tests.meta.learners import improve, learner_of, trial_of

TASKS, TRAJECTORIES, STEPS = 3, 4, 5
SHAPE = (TASKS, TRAJECTORIES, STEPS)


def batch(rng):
    """Episodes of several tasks, with very different numbers of valid steps."""
    tasks = [plain.make_episodes(rng, TRAJECTORIES, STEPS) for _ in range(TASKS)]
    tasks[0].valid[:, 1:] = False
    tasks[1].valid[:] = True
    assert len({task.valid.sum() for task in tasks}) == TASKS
    return tasks


def outcome(thetas, tasks, before=()):
    """Distributions of each task's policy at its own episodes; `before` holds (thetas, tasks) of each inner step."""

    def at(thetas, tasks):
        policies = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(plain.jax_policy, thetas))
        return jax.vmap(distributions)(policies, plain.jax_episodes(*tasks))

    return Outcome(after=at(thetas, tasks), before=tuple(at(*each) for each in before))


def ratio(new, old, episodes, weights):
    """Mean of likelihood ratio times weight over one task's valid steps."""
    ratios = np.exp(plain.log_probs(new, episodes) - plain.log_probs(old, episodes))
    return plain.mean(ratios * weights, episodes.valid)


@pytest.fixture(scope="module")
def case():
    """New parameters away from the old ones, so that ratios are not 1."""
    rng = np.random.default_rng(0)
    old = [plain.random_theta(rng) for _ in range(TASKS)]
    new = [theta + 0.2 * rng.normal(size=theta.size) for theta in old]
    return SimpleNamespace(old=old, new=new, tasks=batch(rng), weights=rng.normal(size=SHAPE))


def test_surrogate_is_the_mean_over_tasks_of_likelihood_ratios(case):
    with jax.enable_x64(True):
        new, old = outcome(case.new, case.tasks), outcome(case.old, case.tasks)
        episodes, weights = plain.jax_episodes(*case.tasks), jnp.asarray(case.weights)
        result = jnp.mean(objectives.weighted_by_ratio(new.after, old.after, episodes, weights))
    means = [ratio(*each) for each in zip(case.new, case.old, case.tasks, case.weights)]
    assert float(result) == pytest.approx(np.mean(means), rel=1e-12)
    # Not the mean over all steps of all tasks.
    counts = [e.valid.sum() for e in case.tasks]
    assert abs(np.average(means, weights=counts) - np.mean(means)) > 0.01


def test_divergence_is_of_the_new_policies_from_the_old(case):
    with jax.enable_x64(True):
        new, old = outcome(case.new, case.tasks), outcome(case.old, case.tasks)
        episodes = plain.jax_episodes(*case.tasks)
        result = objectives.mean_kl(new.after, old.after, episodes)
        reverse = objectives.mean_kl(old.after, new.after, episodes)
    expected = np.mean([plain.kl(*each) for each in zip(case.new, case.old, case.tasks)])
    assert float(result) == pytest.approx(expected, rel=1e-12)
    assert abs(float(reverse) - expected) > 0.01 * expected


@pytest.mark.parametrize("num_steps", [1, 3])
def test_credit_of_actions_before_adaptation(num_steps):
    rng = np.random.default_rng(1)
    inner = [batch(rng) for _ in range(num_steps)]
    old, new = 0.5 * rng.normal(size=(2, num_steps, TASKS, 4))
    returns = rng.normal(size=TASKS)
    with jax.enable_x64(True):
        result = objectives.credit_before(
            outcome(new[0], inner[0], list(zip(new, inner))),
            outcome(old[0], inner[0], list(zip(old, inner))),
            [plain.jax_episodes(*tasks) for tasks in inner],
            [jnp.broadcast_to(jnp.asarray(returns)[:, None, None], SHAPE)] * num_steps,
        )
    expected = [
        sum(
            returns[task]
            * plain.mean(np.exp(plain.log_probs(n[task], e[task]) - plain.log_probs(o[task], e[task])), e[task].valid)
            for n, o, e in zip(new, old, inner)
        )
        for task in range(TASKS)
    ]
    assert float(result) == pytest.approx(np.mean(expected), rel=1e-12)


GAMMA, LAMBDA, RATE = 0.9, 0.8, 0.1


@pytest.mark.parametrize(("e_maml", "num_steps"), [(False, 1), (True, 2)])
def test_the_whole_outer_step(e_maml, num_steps):
    """From episodes and normalised rewards to new parameters.

    Gradient, surrogate and divergence of the step are compared with a second implementation in NumPy: its own
    baseline, advantages and inner loop, likelihood ratios of the adapted policies and, for E-MAML, of the policies
    that explored, differentiated by finite differences.
    """
    rng = np.random.default_rng(2)
    inner, after, theta = [batch(rng) for _ in range(num_steps)], batch(rng), plain.random_theta(rng)

    def recipe(tasks):
        rewards = [plain.normalised(e.rewards, e.valid) for e in tasks]
        return [plain.advantages(e, r, GAMMA, LAMBDA) for e, r in zip(tasks, rewards)]

    inner_advantages, after_advantages = list(map(recipe, inner)), recipe(after)
    returns = np.array([np.mean(np.sum(e.rewards * e.valid, axis=1)) for e in after])
    credit = (returns - returns.mean()) / returns.std()

    def path(at, task):
        return plain.inner_loop(at, [b[task] for b in inner], [a[task] for a in inner_advantages], RATE)

    old_paths = [path(theta, task) for task in range(TASKS)]

    def surrogate(at):
        total = 0
        for task in range(TASKS):
            new_path = path(at, task)
            total += ratio(new_path[-1], old_paths[task][-1], after[task], after_advantages[task])
            if e_maml:
                total += sum(
                    ratio(new_path[k], old_paths[task][k], inner[k][task], credit[task]) for k in range(num_steps)
                )
        return total / TASKS

    keys = {"gamma": GAMMA, "gae_lambda": LAMBDA, "fast_lr": RATE, "num_steps": num_steps, "max_kl": 0.003}
    learner = learner_of(keys | {"e_maml": e_maml}, DenseNavigation(), trajectories=1)

    def experience(tasks):
        episodes = plain.jax_episodes(*tasks)
        rewards = jnp.stack([jnp.asarray(plain.normalised(e.rewards, e.valid)) for e in tasks])
        return Experience(episodes, rewards, jnp.zeros(SHAPE))

    with jax.enable_x64(True):
        state = learner.init(plain.jax_policy(theta), key=jax.random.key(0))
        trial = trial_of(learner, state, list(map(experience, inner)), experience(after))
        new, metrics = improve(learner, state, trial, jax.random.key(0))
    assert OuterStep(int(metrics["OuterStep"])) == OuterStep.ACCEPTED
    # Differences are exact to 1e-9, and so are the advantages of a task with fewer steps than features.
    assert float(metrics["GradientNorm"]) == pytest.approx(np.linalg.norm(plain.gradient(surrogate, theta)), rel=1e-7)
    moved = plain.vector(new.policy)
    assert float(metrics["SurrogateImprovement"]) == pytest.approx(surrogate(moved) - surrogate(theta), rel=1e-6)
    assert surrogate(moved) > surrogate(theta)
    divergence = np.mean([plain.kl(path(moved, task)[-1], old_paths[task][-1], after[task]) for task in range(TASKS)])
    assert float(metrics["KL"]) == pytest.approx(divergence, rel=1e-7)
    assert divergence < 0.003
    # The step follows the gradient, of which it is the product with a positive definite matrix.
    assert (moved - theta) @ plain.gradient(surrogate, theta) > 0
