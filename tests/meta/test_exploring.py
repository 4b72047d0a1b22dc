"""What goes beyond the paper: learned inner rates, and a bonus that rewards the policy before adaptation alone."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.configuration.gradients import Experiment
from mime.configuration.keys import ConfigurationError
from mime.envs.navigation import DenseNavigation
from mime.exploration.state_entropy import StateEntropy
from mime.meta import objectives
from mime.meta.adaptation import adapt, distributions
from mime.meta.method import method_of
from mime.meta.objectives import Objective, Outcome
from mime.meta.state import Experience, Mixture, Shared, Trial
from mime.numerics.statistics import masked_mean
from mime.policies.feedforward import GaussianPolicy
from tests.meta import plain
from tests.meta.learners import improve, learner_of, trial_of

KEY = jax.random.key(0)


def one(episodes):
    """The only task of a batch."""
    return jax.tree.map(lambda leaf: leaf[0], plain.jax_episodes(episodes))


def test_gradient_of_each_rate_against_finite_differences():
    rng = np.random.default_rng(0)
    inner, after = plain.make_episodes(rng, 3, 5), plain.make_episodes(rng, 3, 5)
    theta, rates = plain.random_theta(rng), rng.uniform(0.05, 0.2, 4)
    advantages, weights = rng.normal(size=(3, 5)), rng.normal(size=(3, 5))

    def adapted(rates):
        return theta + rates * plain.score(theta, inner, advantages)

    behaviour = plain.log_probs(adapted(rates), after)

    def surrogate(rates):
        return plain.mean(np.exp(plain.log_probs(adapted(rates), after) - behaviour) * weights, after.valid)

    def library_surrogate(rates):
        policy = adapt(plain.jax_policy(theta), one(inner), jnp.asarray(advantages), rates=rates, first_order=False)
        log_probs = distributions(policy, one(after)).log_prob(jnp.asarray(after.actions))
        return masked_mean(jnp.exp(log_probs - jax.lax.stop_gradient(log_probs)) * weights, jnp.asarray(after.valid))

    with jax.enable_x64(True):
        value, gradient = jax.jit(jax.value_and_grad(library_surrogate))(plain.jax_policy(rates))
    assert float(value) == pytest.approx(surrogate(rates), rel=1e-12)
    np.testing.assert_allclose(plain.vector(gradient), plain.gradient(surrogate, rates), atol=1e-8)


@pytest.mark.parametrize("learned", [False, True])
def test_rates_are_improved_only_if_asked(learned):
    rng = np.random.default_rng(1)
    learner = learner_of({"fast_lr": 0.1, "learn_fast_lr": learned, "max_kl": 0.05}, DenseNavigation())
    state = learner.init(GaussianPolicy(2, 2, hidden_sizes=(4,), key=KEY), key=KEY)
    tasks = jnp.asarray(rng.normal(size=(2, 2)), jnp.float32)
    new, metrics, _ = jax.jit(learner.iterate)(state, tasks, KEY)
    assert float(metrics["KL"]) > 0
    assert bool(jax.tree.leaves(new.shared.rates)) == learned
    assert ("fast_lr" in learner.tensors(new)) == learned
    if learned:
        changes = [np.abs(a - 0.1).max() for a in jax.tree.leaves(new.shared.rates)]
        assert max(changes) > 1e-5
        again = learner.with_tensors(state, learner.tensors(new))
        for ours, theirs in zip(jax.tree.leaves(again.shared.rates), jax.tree.leaves(new.shared.rates)):
            np.testing.assert_array_equal(ours, theirs)


def test_a_negative_rate_counts_as_zero():
    """Not a step down the gradient: the parameter stays, whatever the others do."""
    rng = np.random.default_rng(1)
    learner = learner_of({"fast_lr": 0.1, "learn_fast_lr": True}, DenseNavigation())
    with jax.enable_x64(True):
        policy = plain.jax_policy(plain.random_theta(rng))
        _, _, made = trial(rng, novelty=np.zeros((2, 3, 5)))
        advantages = jnp.asarray(rng.normal(size=(2, 3, 5)))
        rates = policy.rates(0.1)
        some = eqx.tree_at(lambda r: r.mu.bias, rates, -rates.mu.bias)
        outputs = Objective(learner.method.terms, learner.method.inner_step, made, [advantages], made).outputs
        adapted, plainly = (outputs(Shared(policy, r)).after for r in (some, rates))
        none = eqx.tree_at(lambda r: r.mu.bias, rates, 0 * rates.mu.bias)
        expected = outputs(Shared(policy, none)).after
    np.testing.assert_array_equal(adapted.mean, expected.mean)
    assert np.abs(adapted.mean - plainly.mean).max() > 1e-3


IN_USE = Mixture(jnp.asarray(0.1, jnp.float32), jnp.asarray(True))


def trial(rng, *, novelty):
    inner, after = ([plain.make_episodes(rng, 3, 5) for _ in range(2)] for _ in range(2))

    def experience(tasks, intrinsic):
        episodes = plain.jax_episodes(*tasks)
        rewards = jnp.stack([jnp.asarray(plain.normalised(e.rewards, e.valid)) for e in tasks])
        return Experience(episodes, rewards, jnp.asarray(intrinsic))

    stages = [experience(inner, novelty)], experience(after, rng.normal(size=(2, 3, 5)))
    return inner, after, Trial(*stages, IN_USE)


class Silent(StateEntropy):
    """A bonus that has nothing to say: the trial holds its rewards already."""


def test_exploration_is_the_weighted_advantage_of_the_bonus_before_adaptation():
    rng = np.random.default_rng(2)
    with jax.enable_x64(True):
        inner, _, made = trial(rng, novelty=rng.normal(size=(2, 3, 5)))
        theta, new_theta = plain.random_theta(rng), plain.random_theta(rng)
        advantages = rng.normal(size=(2, 3, 5))
        policies = [plain.jax_policy(t) for t in (new_theta, theta)]
        episodes = made.inner[0].episodes
        outcomes = [
            Outcome(after=before, before=(before,))
            for before in (jax.vmap(distributions, in_axes=(None, 0))(policy, episodes) for policy in policies)
        ]
        ours = float(objectives.credit_before(*outcomes, [episodes], [jnp.asarray(advantages)]))
    expected = np.mean(
        [
            plain.mean(np.exp(plain.log_probs(new_theta, e) - plain.log_probs(theta, e)) * a, e.valid)
            for e, a in zip(inner, advantages)
        ]
    )
    assert ours == pytest.approx(expected, rel=1e-10)


def test_a_bonus_for_those_before_adaptation_changes_neither_adaptation_nor_its_rewards():
    rng = np.random.default_rng(3)
    methods = [
        method_of(Experiment(use_vime=True, bonus_credit=credit), DenseNavigation(), num_tasks=2)
        for credit in ("before", "mixed")
    ]
    _, _, made = trial(rng, novelty=rng.normal(size=(2, 3, 5)))
    before, mixed = (method.reward(made.inner[0], IN_USE) for method in methods)
    np.testing.assert_array_equal(before, made.inner[0].extrinsic)
    assert not np.allclose(mixed, made.inner[0].extrinsic)


@pytest.mark.parametrize("credit", ["mixed", "before"])
def test_which_stages_have_the_bonus(credit):
    keys = {"use_vime": True, "bonus": "state-entropy", "bonus_credit": credit, "num_steps": 2}
    learner = learner_of(keys, DenseNavigation())
    state = learner.init(GaussianPolicy(2, 2, hidden_sizes=(4,), key=KEY), key=KEY)
    _, metrics, made = jax.jit(learner.iterate)(state, jnp.array([[0.3, 0.1], [-0.2, 0.4]]), KEY)
    rewarded = [bool(np.any(experience.intrinsic)) for experience in (*made.inner, made.after)]
    reported = [f"{stage}/IntrinsicReturns" in metrics for stage in ("Train-0", "Train-1", "Valid")]
    assert rewarded == reported == [True, credit == "mixed", credit == "mixed"]


@pytest.mark.parametrize("iteration", [0, 1])
def test_the_outer_step_raises_the_bonus_before_adaptation_after_the_warm_up(iteration):
    """Where novelty is all there is to gain, the new parameters make novel actions likelier; not in the warm-up."""
    rng = np.random.default_rng(4)
    keys = {"use_vime": True, "bonus_credit": "before", "pre_epochs": 0, "eta": 0.993, "max_kl": 0.02}
    learner = learner_of(keys, DenseNavigation(), bonus=Silent())
    inner, after, _ = trial(rng, novelty=np.zeros((2, 3, 5)))
    novelty = np.stack([e.actions[..., 0] for e in inner])
    for episodes in (*inner, *after):
        episodes.rewards = np.zeros_like(episodes.rewards)
    episodes = plain.jax_episodes(*inner), plain.jax_episodes(*after)
    nothing = jnp.zeros((2, 3, 5))
    theta = np.zeros(4, np.float32)
    state = learner.init(jax.tree.map(jnp.float32, plain.jax_policy(theta)), key=KEY)
    state = dataclasses.replace(state, iteration=jnp.asarray(iteration))
    inner = [Experience(episodes[0], nothing, jnp.asarray(novelty, jnp.float32))]
    made = trial_of(learner, state, inner, Experience(episodes[1], nothing, nothing))
    made = jax.tree.map(lambda leaf: leaf.astype(jnp.float32) if leaf.dtype == jnp.float64 else leaf, made)
    new, metrics = improve(learner, state, made, KEY)
    means = [np.mean(jax.vmap(jax.vmap(jax.vmap(s.policy)))(episodes[0].observations).mean) for s in (state, new)]
    if iteration == 0:
        assert float(metrics["KL"]) == 0
        assert means[0] == means[1]
    else:
        assert 0 < float(metrics["KL"]) < 0.02
        assert means[1] > means[0] + 0.01
    assert isinstance(new.shared, Shared)


@pytest.mark.parametrize("credit", ["mixed", "before"])
def test_a_sample_of_trajectories_sees_policies_adapted_on_all_of_them(credit):
    rng = np.random.default_rng(5)
    keys = {"use_vime": True, "bonus_credit": credit, "e_maml": True, "fast_lr": 0.1}
    method = method_of(Experiment(**keys), DenseNavigation(), num_tasks=2)
    with jax.enable_x64(True):
        _, _, made = trial(rng, novelty=np.zeros((2, 3, 5)))
        shared = Shared(plain.jax_policy(plain.random_theta(rng)))
        advantages = [jnp.asarray(rng.normal(size=(2, 3, 5)))]
        objective = Objective(method.terms, method.inner_step, made, advantages, made)
        whole, seen = objective.outputs(shared), objective.restricted(2).outputs(shared)
    for ours, expected in zip(jax.tree.leaves(seen), jax.tree.leaves(whole), strict=True):
        assert ours.shape[:3] == (2, 2, 5)
        np.testing.assert_allclose(ours, expected[:, [0, 1]], rtol=1e-12)


@pytest.mark.parametrize("few", [1, 2, None])
def test_steps_by_a_sampled_fisher_matrix_keep_to_the_trust_region(few):
    learner = learner_of({"fast_lr": 0.1, "max_kl": 0.05, "fisher_batch_size": few}, DenseNavigation(), trajectories=4)
    state = learner.init(GaussianPolicy(2, 2, hidden_sizes=(4,), key=KEY), key=KEY)
    _, metrics, _ = jax.jit(learner.iterate)(state, jnp.array([[0.3, 0.1], [-0.2, 0.4]]), KEY)
    assert 0 < float(metrics["KL"]) < 0.05
    assert metrics["OuterStep"] == 0


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"bonus-credit": "before"}, "use-vime"),
        ({"bonus-credit": "before", "use-vime": True, "adapt-eta": True}, "inner step"),
    ],
)
def test_combinations_that_mean_nothing_are_refused(keys, message):
    with pytest.raises(ConfigurationError, match=message):
        Experiment(**keys)
