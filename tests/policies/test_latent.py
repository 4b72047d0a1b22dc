"""Latents: drawn once for a trajectory and held; their likelihood, their adaptation, the same in workers."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mime.envs.navigation import RingNavigation
from mime.meta.adaptation import adapt, distributions
from mime.numerics.parallel import repeated
from mime.policies.distributions import Decisions, Gaussian
from mime.policies.latent import LatentPolicy, adapt_latent
from mime.policies.making import make_policy
from mime.sampling.compiled import CompiledSampler
from mime.sampling.episodes import Episodes
from mime.sampling.hosted import drawn_latents, numpy_policies

KEY = jax.random.key(0)
BOX = gymnasium.spaces.Box(np.array([-0.1, 2.0], np.float32), np.array([0.1, 8.0], np.float32))
OBSERVATIONS = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)


def policy_with(mean, log_std, *, action_space=BOX, scale_actions=False, key=KEY):
    policy = make_policy(
        OBSERVATIONS,
        action_space,
        hidden_sizes=(6,),
        nonlinearity="tanh",
        latent_size=len(mean),
        scale_actions=scale_actions,
        key=key,
    )
    latent = {"latent.mean": jnp.asarray(mean, jnp.float32), "latent.log_std": jnp.asarray(log_std, jnp.float32)}
    return policy.with_parameters(policy.named_parameters() | latent)


@pytest.fixture(scope="module")
def lived():
    """A policy in two tasks, 400 trajectories each."""
    policy = policy_with([1.0, -2.0, 0.5], [0.0, -1.0, 0.5], action_space=RingNavigation.action_space)
    environment = RingNavigation(horizon=5)
    return policy, CompiledSampler(environment, 400)(repeated(policy, 2), environment.test_tasks()[:2], KEY)


def test_a_latent_is_drawn_for_each_trajectory_and_held(lived):
    policy, episodes = lived
    latents = np.asarray(episodes.latents)
    assert latents.shape == (2, 400, 5, 3)
    np.testing.assert_array_equal(latents, np.broadcast_to(latents[:, :, :1], latents.shape))
    drawn = latents[:, :, 0].reshape(-1, 3)
    for column, mean, std in zip(drawn.T, policy.latent_mean, np.exp(policy.latent_log_std)):
        assert stats.kstest(column, stats.norm(float(mean), float(std)).cdf).pvalue > 1e-4


def test_actions_follow_the_held_latent(lived):
    policy, episodes = lived
    action = jax.vmap(jax.vmap(jax.vmap(policy)))(episodes.observations, episodes.latents)
    z = np.ravel((episodes.actions - action.mean) / np.exp(action.log_std))
    assert stats.kstest(z, "norm").pvalue > 1e-4


def test_log_probabilities_of_a_trajectory_add_up_to_those_of_its_decisions(lived):
    policy, episodes = lived
    one = jax.tree.map(lambda leaf: leaf[0, :3], episodes)
    ours = np.sum(distributions(policy, one).log_prob(one.decisions), axis=-1)
    for trajectory in range(3):
        expected = np.sum(
            stats.norm.logpdf(one.latents[trajectory, 0], policy.latent_mean, np.exp(policy.latent_log_std))
        )
        for step in range(5):
            action = policy(one.observations[trajectory, step], one.latents[trajectory, step])
            expected += np.sum(stats.norm.logpdf(one.actions[trajectory, step], action.mean, np.exp(action.log_std)))
        assert ours[trajectory] == pytest.approx(expected, rel=1e-5)


def test_divergence_counts_the_latent_once_per_trajectory(lived):
    policy, episodes = lived
    other = policy_with([0.0, -1.0, 0.5], [0.2, -1.0, 0.0], action_space=RingNavigation.action_space)
    one = jax.tree.map(lambda leaf: leaf[0, :2], episodes)
    new, old = distributions(policy, one), distributions(other, one)
    divergence = np.asarray(new.kl(old))
    latent = float(policy.latent.kl(other.latent))
    assert latent > 0.1
    np.testing.assert_allclose(divergence[:, 0], new.action.kl(old.action)[:, 0] + latent, rtol=1e-5)
    np.testing.assert_allclose(divergence[:, 1:], new.action.kl(old.action)[:, 1:], rtol=1e-5)


def adapted_latent(drawn, advantages, rate, *, mean=0.0, log_std=0.0):
    drawn = jnp.asarray(drawn, jnp.float32)
    latent = Gaussian(jnp.full(drawn.shape[1], mean), jnp.full(drawn.shape[1], log_std))
    return adapt_latent(latent, drawn, jnp.asarray(advantages, jnp.float32), rate)


def test_adapted_latent_has_the_moments_of_the_mixture():
    """Compared with samples of the mixture of the old distribution and the better trajectories."""
    rng = np.random.default_rng(0)
    drawn, advantages, rate = rng.normal(1, 2, size=(30, 2)), rng.normal(size=30), 0.6
    new = adapted_latent(drawn, advantages, rate, mean=0.5, log_std=0.3)
    above = np.maximum(advantages - advantages.mean(), 0)
    better = above / above.sum()
    from_old = rng.normal(0.5, np.exp(0.3), size=(400_000, 2))
    from_better = drawn[rng.choice(30, 400_000, p=better)]
    mixture = np.where(rng.random((400_000, 1)) < rate, from_better, from_old)
    np.testing.assert_allclose(new.mean, mixture.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(np.exp(new.log_std), mixture.std(axis=0), rtol=0.01)


def test_one_success_turns_the_latent_and_nothing_to_learn_from_leaves_it():
    drawn = np.random.default_rng(0).normal(size=(20, 3))
    success = np.where(np.arange(20) == 7, 4.0, -0.2)
    turned = adapted_latent(drawn, success, 0.7)
    np.testing.assert_allclose(turned.mean, 0.7 * drawn[7], rtol=1e-5)
    np.testing.assert_allclose(adapted_latent(drawn, success + 5, 0.7).mean, turned.mean, rtol=1e-4)  # Baseline is off.
    stayed = adapted_latent(drawn, np.full(20, 0.3), 0.7)
    np.testing.assert_array_equal(stayed.mean, np.zeros(3))
    np.testing.assert_allclose(stayed.log_std, np.zeros(3), atol=1e-7)


def test_rates_beyond_their_range_are_cut():
    drawn, advantages = np.random.default_rng(0).normal(size=(20, 1)), np.arange(20.0)
    for rate, same in ((3.0, 0.95), (-1.0, 0.0)):
        ours, expected = adapted_latent(drawn, advantages, rate), adapted_latent(drawn, advantages, same)
        np.testing.assert_array_equal(ours.mean, expected.mean)
        assert np.all(np.isfinite(ours.log_std))


def test_an_inner_step_turns_trajectories_towards_a_reward_that_depends_on_the_latent(lived):
    policy, episodes = lived
    one = jax.tree.map(lambda leaf: leaf[0], episodes)
    better = one.latents[:, :, 0] > 2
    advantages = jnp.where(better, 1.0, -jnp.mean(better) / (1 - jnp.mean(better)))
    adapted = adapt(policy, one, advantages, rates=policy.rates(0.5, 0.5), first_order=False)
    assert float(adapted.latent_mean[0]) > float(policy.latent_mean[0]) + 0.5
    assert abs(float(adapted.latent_mean[1] - policy.latent_mean[1])) < 0.1


@pytest.mark.parametrize("discrete", [False, True])
def test_workers_act_as_the_policy_does(discrete):
    space = gymnasium.spaces.Discrete(3) if discrete else BOX
    policy = policy_with([1.0, -2.0], [0.3, -0.4], action_space=space, scale_actions=not discrete)
    (acting,) = numpy_policies(repeated(policy, 1))
    observation = np.array([0.7, -1.3], np.float32)
    (drawn,) = drawn_latents(repeated(policy, 1), jax.random.split(KEY, (1, 2000)))
    latent = drawn[-1]
    behaviour = acting.given(latent)
    expected = policy(jnp.asarray(observation), jnp.asarray(latent))
    output = expected.logits if discrete else expected.mean
    np.testing.assert_allclose(behaviour.output(observation), output, rtol=1e-4, atol=1e-5)
    if not discrete:
        np.testing.assert_allclose(np.exp(behaviour.log_std), np.exp(expected.log_std), rtol=1e-5)
    for column, mean, std in zip(drawn.T, policy.latent_mean, np.exp(policy.latent_log_std)):
        assert stats.kstest(column, stats.norm(float(mean), float(std)).cdf).pvalue > 1e-4


def test_scaled_actions_are_in_units_of_half_the_box():
    options = {"hidden_sizes": (4,), "nonlinearity": "tanh", "key": KEY}
    plain = make_policy(OBSERVATIONS, BOX, **options)
    scaled = make_policy(OBSERVATIONS, BOX, scale_actions=True, initial_std=0.5, **options)
    observation = jnp.array([0.3, -2.0])
    expected = np.array([0, 5]) + np.array([0.1, 3]) * plain(observation).mean
    np.testing.assert_allclose(scaled(observation).mean, expected, rtol=1e-5)
    np.testing.assert_allclose(np.exp(scaled(observation).log_std), 0.5 * np.array([0.1, 3]), rtol=1e-5)


def test_exported_parameters_are_in_the_environments_units_and_return():
    policy = policy_with([1.0], [0.2], scale_actions=True)
    named = policy.named_parameters()
    features = np.tanh(named["layer1.weight"] @ np.array([0.3, -2.0, 0.7]) + named["layer1.bias"])
    expected = policy(jnp.array([0.3, -2.0]), jnp.array([0.7]))
    np.testing.assert_allclose(named["mu.weight"] @ features + named["mu.bias"], expected.mean, rtol=1e-5)
    np.testing.assert_allclose(named["sigma"], expected.log_std, rtol=1e-5)
    rebuilt = policy_with([0.0], [0.0], scale_actions=True, key=jax.random.key(5)).with_parameters(named)
    for ours, theirs in zip(jax.tree.leaves(rebuilt), jax.tree.leaves(policy)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_actions_without_bounds_cannot_be_scaled():
    with pytest.raises(ValueError, match="bounded box"):
        make_policy(OBSERVATIONS, OBSERVATIONS, hidden_sizes=(), nonlinearity="tanh", scale_actions=True, key=KEY)


def test_episodes_without_latents_decide_on_actions_alone(lived):
    _, episodes = lived
    assert isinstance(episodes.decisions, Decisions)
    fields = {name: value for name, value in vars(episodes).items() if name != "latents"}
    assert Episodes(**fields).decisions is episodes.actions


def test_a_latent_policy_seen_from_outside_acts_with_the_mean(lived):
    policy, _ = lived
    assert isinstance(policy, LatentPolicy)
    observation = jnp.array([1.0, 2.0])
    np.testing.assert_array_equal(policy(observation).mean, policy(observation, policy.latent_mean).mean)
