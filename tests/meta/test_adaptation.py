"""The inner step and the gradient through it: closed forms, and finite differences in float64."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.meta.adaptation import adapt, distributions
from mime.numerics.parallel import repeated
from mime.numerics.statistics import masked_mean
from mime.policies.feedforward import CategoricalPolicy, GaussianPolicy
from mime.sampling.episodes import Episodes
from tests.meta import plain

KEY = jax.random.key(0)


def one(episodes):
    """The only task of a batch."""
    return jax.tree.map(lambda leaf: leaf[0], plain.jax_episodes(episodes))


@pytest.mark.parametrize("first_order", [False, True])
def test_linear_gaussian_step_in_closed_form(first_order):
    rng = np.random.default_rng(0)
    episodes = plain.make_episodes(rng, 4, 6, observation_size=3, action_size=2)
    theta, advantages = plain.random_theta(rng, 3, 2), rng.normal(size=(4, 6))
    step = jax.jit(lambda p, *args: adapt(p, *args, rates=p.rates(0.3), first_order=first_order))
    with jax.enable_x64(True):
        adapted = step(plain.jax_policy(theta, 3, 2), one(episodes), jnp.asarray(advantages))
    np.testing.assert_allclose(
        plain.vector(adapted), theta + 0.3 * plain.score(theta, episodes, advantages), rtol=1e-12, atol=1e-13
    )


def test_the_closed_form_is_the_gradient_of_the_log_likelihood():
    """What the test above takes for granted."""
    rng = np.random.default_rng(1)
    episodes, theta, weights = plain.make_episodes(rng, 3, 5), plain.random_theta(rng), rng.normal(size=(3, 5))
    expected = plain.gradient(lambda at: plain.mean(plain.log_probs(at, episodes) * weights, episodes.valid), theta)
    np.testing.assert_allclose(plain.score(theta, episodes, weights), expected, atol=1e-8)


@pytest.mark.parametrize("num_steps", [1, 3])
@pytest.mark.parametrize("first_order", [False, True])
def test_meta_gradient_against_finite_differences(num_steps, first_order):
    """Of the surrogate after several inner steps, computed and differentiated in NumPy.

    In first order, the change of the parameters by the inner steps is held fixed.
    """
    rng = np.random.default_rng(2)
    inner, after = [plain.make_episodes(rng, 3, 5) for _ in range(num_steps)], plain.make_episodes(rng, 3, 5)
    theta, rate = plain.random_theta(rng), 0.1
    inner_advantages, weights = rng.normal(size=(num_steps, 3, 5)), rng.normal(size=(3, 5))
    end = plain.inner_loop(theta, inner, inner_advantages, rate)[-1]
    behaviour = plain.log_probs(end, after)

    def surrogate(at):
        adapted = at + (end - theta) if first_order else plain.inner_loop(at, inner, inner_advantages, rate)[-1]
        return plain.mean(np.exp(plain.log_probs(adapted, after) - behaviour) * weights, after.valid)

    def library_surrogate(policy):
        for episodes, advantages in zip(map(one, inner), map(jnp.asarray, inner_advantages)):
            policy = adapt(policy, episodes, advantages, rates=policy.rates(rate), first_order=first_order)
        log_probs = distributions(policy, one(after)).log_prob(jnp.asarray(after.actions))
        return masked_mean(jnp.exp(log_probs - jax.lax.stop_gradient(log_probs)) * weights, jnp.asarray(after.valid))

    with jax.enable_x64(True):
        value, gradient = jax.jit(jax.value_and_grad(library_surrogate))(plain.jax_policy(theta))
    assert float(value) == pytest.approx(surrogate(theta), rel=1e-12)
    expected = plain.gradient(surrogate, theta)
    np.testing.assert_allclose(plain.vector(gradient), expected, atol=1e-7)
    if first_order:
        np.testing.assert_allclose(plain.vector(gradient), plain.score(end, after, weights), atol=1e-10)
        assert np.abs(plain.inner_loop(theta + 1e-3, inner, inner_advantages, rate)[-1] - end - 1e-3).max() > 1e-6


def bandit(logits):
    """A policy whose two logits are free parameters: its biases."""
    policy = CategoricalPolicy(1, 2, hidden_sizes=(), key=KEY)
    return policy.with_parameters({"layer1.weight": jnp.zeros((2, 1)), "layer1.bias": jnp.asarray(logits)})


def pulls(arms):
    """Each trajectory a single pull, seen from nowhere in particular."""
    arms = jnp.asarray(arms)[:, None]
    nothing = jnp.zeros((*arms.shape, 1))
    ones = jnp.ones(arms.shape, bool)
    return Episodes(nothing, arms, jnp.zeros(arms.shape), nothing, ones, ones)


def test_meta_gradient_of_a_bandit_in_closed_form():
    """Two arms, logits theta, p = softmax(theta), advantages A of the arms pulled before and B of those after.

    The inner gradient of -mean(log p A) is -mean_k A_k (e_k - p) = -c + mean(A) p, with c the mean of A_k e_k, and its
    derivative H = mean(A) (diag(p) - p p^T). The meta-gradient is (I - alpha H)^T mean_k B_k (e_k - p').
    """
    theta, alpha = np.array([0.3, -0.4]), 0.7
    before, after = np.array([0, 0, 1]), np.array([0, 1, 1, 1])
    a, b = np.array([1.0, 0.5, -0.2]), np.array([0.3, 2.0, -1.0, 0.6])

    def softmax(x):
        return np.exp(x) / np.exp(x).sum()

    p = softmax(theta)
    inner_gradient = a.mean() * p - np.mean(a[:, None] * np.eye(2)[before], axis=0)
    adapted = theta - alpha * inner_gradient
    hessian = a.mean() * (np.diag(p) - np.outer(p, p))
    outer = np.mean(b[:, None] * (np.eye(2)[after] - softmax(adapted)), axis=0)
    second_order, first_order = (np.eye(2) - alpha * hessian).T @ outer, outer
    assert np.abs(second_order - first_order).max() > 0.01

    def surrogate(policy, first_order):
        policy = adapt(
            policy, pulls(before), jnp.asarray(a)[:, None], rates=policy.rates(alpha), first_order=first_order
        )
        log_probs = distributions(policy, pulls(after)).log_prob(pulls(after).actions)
        return jnp.mean(log_probs * b[:, None]), policy

    with jax.enable_x64(True):
        for first, expected in [(False, second_order), (True, first_order)]:
            gradient, end = jax.jit(jax.grad(partial(surrogate, first_order=first), has_aux=True))(bandit(theta))
            np.testing.assert_allclose(end.named_parameters()["layer1.bias"], adapted, rtol=1e-12)
            np.testing.assert_allclose(gradient.named_parameters()["layer1.bias"], expected, atol=1e-12)


@pytest.mark.parametrize("first_order", [False, True])
def test_the_step_can_be_differentiated_by_the_advantages(first_order):
    """As the learned weight of the intrinsic reward needs; whatever the order of the meta-gradient."""
    rng = np.random.default_rng(3)
    batches, theta, direction = [plain.make_episodes(rng, 2, 3) for _ in range(2)], plain.random_theta(rng), np.ones(4)
    weights = rng.normal(size=(2, 2, 3))

    def end(scale):
        path = plain.inner_loop(theta, batches, weights * scale, 0.4)
        return direction @ path[-1]

    def library_end(scale):
        policy = plain.jax_policy(theta)
        for episodes, w in zip(map(one, batches), jnp.asarray(weights)):
            policy = adapt(policy, episodes, scale * w, rates=policy.rates(0.4), first_order=first_order)
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(policy))

    with jax.enable_x64(True):
        derivative = float(jax.jit(jax.grad(library_end))(1.0))
    if first_order:
        # The second step's gradient is taken at parameters that count as fixed.
        path = plain.inner_loop(theta, batches, weights, 0.4)
        expected = 0.4 * sum(direction @ plain.score(*step) for step in zip(path, batches, weights))
    else:
        expected = (end(1 + 1e-5) - end(1 - 1e-5)) / 2e-5
    assert derivative == pytest.approx(expected, rel=1e-7)


def test_invalid_steps_teach_nothing():
    rng = np.random.default_rng(4)
    episodes, theta, advantages = plain.make_episodes(rng, 5, 6), plain.random_theta(rng), rng.normal(size=(5, 6))
    policy = plain.jax_policy(theta)
    rates = policy.rates(0.3)
    step = jax.jit(lambda e: adapt(policy, e, jnp.asarray(advantages), rates=rates, first_order=False))
    with jax.enable_x64(True):
        expected = plain.vector(step(one(episodes)))
        episodes.observations[~episodes.valid], episodes.actions[~episodes.valid] = 7.0, -50.0
        np.testing.assert_array_equal(plain.vector(step(one(episodes))), expected)


def test_networks_with_hidden_layers_step_along_their_gradient():
    """For a tanh network, by finite differences of its own log-probabilities along the step."""
    rng = np.random.default_rng(5)
    with jax.enable_x64(True):
        policy = GaussianPolicy(2, 1, hidden_sizes=(3,), key=KEY)
        episodes, advantages = one(plain.make_episodes(rng, 3, 4)), jnp.asarray(rng.normal(size=(3, 4)))
        step = jax.jit(lambda: adapt(policy, episodes, advantages, rates=policy.rates(0.1), first_order=False))
        change = jax.tree.map(jnp.subtract, step(), policy)

        @jax.jit
        def objective(size, direction):
            moved = jax.tree.map(lambda leaf, d: leaf + size * d, policy, direction)
            return masked_mean(distributions(moved, episodes).log_prob(episodes.actions) * advantages, episodes.valid)

        for seed in range(3):
            draws = np.random.default_rng(seed)
            direction = jax.tree.map(lambda leaf, draws=draws: jnp.asarray(draws.normal(size=leaf.shape)), policy)
            slope = (objective(1e-5, direction) - objective(-1e-5, direction)) / 2e-5
            along = sum(jnp.vdot(c, d) for c, d in zip(jax.tree.leaves(change), jax.tree.leaves(direction)))
            assert float(along) == pytest.approx(0.1 * float(slope), rel=1e-7)


def test_share_repeats_for_every_task():
    policy = GaussianPolicy(2, 1, hidden_sizes=(3,), key=KEY)
    for ours, theirs in zip(jax.tree.leaves(repeated(policy, 4)), jax.tree.leaves(policy)):
        np.testing.assert_array_equal(ours, np.stack([theirs] * 4))
