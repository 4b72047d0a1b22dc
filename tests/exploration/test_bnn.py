"""The Bayesian network against sampled weights, quadrature, and the exact posterior of Bayesian linear regression.

Monte-Carlo estimates are compared within five standard errors.
"""

import math
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from mime.exploration import bnn
from mime.exploration.bnn import (
    SMALL_STEP,
    BayesianNetwork,
    Layer,
    growth_after,
    growth_after_small_step,
    normal_kl_of_growth,
    normal_kl_of_small_growth,
)

KEY = jax.random.key(0)


def output(network, inputs, key):
    """For one draw of the weights."""
    return network(inputs, network.draw(key=key)[0])


def loss(network, inputs, targets, valid, *, kl_scale, key):
    """For draws of its own."""
    return bnn.loss(network, inputs, targets, valid, network.draw(len(inputs), key=key), kl_scale=kl_scale)


def within_errors(samples, expected, errors=5):
    samples = np.asarray(samples, np.float64)
    error = samples.std(axis=0) / np.sqrt(len(samples))
    np.testing.assert_array_less(np.abs(samples.mean(axis=0) - expected), errors * error + 1e-12)


def make_network(*sizes, seed=0, prior_sd=0.5):
    """Random means and standard deviations around a third."""
    key, rho_key = jax.random.split(jax.random.key(seed))
    network = BayesianNetwork(sizes[0], sizes[-1], hidden_sizes=sizes[1:-1], prior_sd=prior_sd, key=key)
    rhos = [
        -1 + 0.5 * jax.random.normal(jax.random.fold_in(rho_key, i), leaf.shape)
        for i, leaf in enumerate(jax.tree.leaves(network.rho))
    ]
    return eqx.tree_at(lambda n: jax.tree.leaves(n.rho), network, rhos)


def linear_network(mean, rho, prior_sd=0.5):
    """One input, one output, no hidden layer: output = weight * input + bias."""
    network = BayesianNetwork(1, 1, hidden_sizes=(), prior_sd=prior_sd, key=KEY)
    layers = [(Layer(jnp.asarray([[w]], float), jnp.asarray([b], float)),) for w, b in (mean, rho)]
    return eqx.tree_at(lambda n: (n.mean, n.rho), network, tuple(layers))


def as_examples(x, y, valid):
    return jnp.asarray(x)[:, None], jnp.asarray(y)[:, None], jnp.asarray(valid)


def test_initial_means_are_standard_normal_and_deviations_the_priors():
    network = BayesianNetwork(30, 20, hidden_sizes=(40, 50), prior_sd=0.01, key=KEY)
    shapes = [(layer.weight.shape, layer.bias.shape) for layer in network.mean]
    assert shapes == [((40, 30), (40,)), ((50, 40), (50,)), ((20, 50), (20,))]
    means = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(network.mean)])
    assert stats.kstest(means, stats.norm.cdf).pvalue > 1e-4
    assert stats.kstest(np.concatenate([layer.bias for layer in network.mean]), stats.norm.cdf).pvalue > 1e-4
    assert len(np.unique(means)) > 0.99 * means.size
    for leaf in jax.tree.leaves(network.std):
        np.testing.assert_allclose(leaf, 0.01, rtol=1e-5)


@pytest.mark.parametrize("hidden", [(), (4, 3)], ids=len)
def test_outputs_are_those_of_sampled_weights(hidden):
    """Local reparametrisation: outputs for one example have the distribution that drawing every weight gives them."""
    draws = 40_000
    network, inputs = make_network(2, *hidden, 2), np.array([0.7, -1.2])
    outputs = jax.jit(jax.vmap(lambda key: output(network, jnp.asarray(inputs, jnp.float32), key)))(
        jax.random.split(KEY, draws)
    )
    rng = np.random.default_rng(0)
    values = np.broadcast_to(inputs, (draws, 2))
    for depth, (mean, std) in enumerate(zip(network.mean, network.std)):
        values = values if depth == 0 else np.tanh(values)
        weight = np.asarray(mean.weight) + np.asarray(std.weight) * rng.normal(size=(draws, *mean.weight.shape))
        bias = np.asarray(mean.bias) + np.asarray(std.bias) * rng.normal(size=(draws, *mean.bias.shape))
        values = np.einsum("noi,ni->no", weight, values) + bias
    for a, b in zip(np.asarray(outputs, np.float64).T, values.T):
        assert stats.ks_2samp(a, b).pvalue > 1e-4
    moments = [
        np.stack([y[:, 0], y[:, 1], y[:, 0] ** 2, y[:, 1] ** 2, y[:, 0] * y[:, 1]], axis=1)
        for y in (np.asarray(outputs, np.float64), values)
    ]
    error = np.sqrt(sum(m.var(axis=0) for m in moments) / draws)
    np.testing.assert_array_less(np.abs(moments[0].mean(axis=0) - moments[1].mean(axis=0)), 5 * error)


def test_prediction_uses_the_means():
    network, inputs = make_network(3, 4, 2), np.array([0.7, -1.2, 0.3])
    hidden = np.tanh(np.asarray(network.mean[0].weight) @ inputs + np.asarray(network.mean[0].bias))
    expected = np.asarray(network.mean[1].weight) @ hidden + np.asarray(network.mean[1].bias)
    np.testing.assert_allclose(network.predict(jnp.asarray(inputs, jnp.float32)), expected, rtol=1e-5)


@pytest.mark.parametrize("prior_sd", [0.01, 0.5])
def test_divergence_from_the_prior_is_the_integral(prior_sd):
    rng = np.random.default_rng(1)
    with jax.enable_x64(True):
        network = linear_network(rng.normal(size=2), rng.normal(size=2) - 1, prior_sd)
        result = float(network.divergence_from_prior())
        means, stds = (np.concatenate([*map(np.ravel, jax.tree.leaves(t))]) for t in (network.mean, network.std))

    def integral(mean, std):
        p, q = stats.norm(mean, std), stats.norm(0, prior_sd)
        return integrate.quad(lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), mean - 12 * std, mean + 12 * std)[0]

    assert result == pytest.approx(sum(map(integral, means, stds)), rel=1e-7)


def test_divergence_from_the_prior_of_many_weights_by_monte_carlo():
    network = make_network(3, 4, 2)
    rng, log_ratios = np.random.default_rng(2), np.zeros(20_000)
    for mean, std in zip(jax.tree.leaves(network.mean), jax.tree.leaves(network.std)):
        weights = np.asarray(mean) + np.asarray(std) * rng.normal(size=(len(log_ratios), *mean.shape))
        difference = stats.norm.logpdf(weights, mean, std) - stats.norm.logpdf(weights, 0, network.prior_sd)
        log_ratios += difference.reshape(len(log_ratios), -1).sum(axis=1)
    within_errors(log_ratios, float(network.divergence_from_prior()))


def random_step(network, size, seed=3):
    rng = np.random.default_rng(seed)
    leaves, structure = jax.tree.flatten(network)
    return jax.tree.unflatten(
        structure, [jnp.asarray(size * rng.normal(size=leaf.shape), leaf.dtype) for leaf in leaves]
    )


def exact_divergence_after(network, step):
    """KL(N(m + dm, s1²) || N(m, s0²)) over all weights in long double precision, by the textbook formula."""
    total = np.longdouble(0)
    for rho, d_mean, d_rho in zip(*map(jax.tree.leaves, (network.rho, step.mean, step.rho))):
        rho, d_mean, d_rho = (np.asarray(leaf, np.longdouble) for leaf in (rho, d_mean, d_rho))
        old, new = np.log1p(np.exp(rho)), np.log1p(np.exp(rho + d_rho))
        total += np.sum(np.log(old / new) + (new**2 + d_mean**2) / (2 * old**2) - np.longdouble(0.5))
    return float(total)


@partial(jax.jit, static_argnames="largest")
def divergence_after(network, step, largest=math.inf):
    return network.divergence_after(step, largest=largest)


@pytest.mark.parametrize(
    ("size", "largest"), [(size, math.inf) for size in (1.0, 1e-2, 1e-4, 1e-6)] + [(s, s) for s in (SMALL_STEP, 1e-6)]
)
@pytest.mark.parametrize("part", ["both", "mean", "rho"])
def test_divergence_after_a_step_in_float32(size, largest, part):
    """Adam moves a parameter by 1e-4 or less; the divergence is of second order in that."""
    for prior_sd in (0.01, 0.5):
        network = BayesianNetwork(3, 2, hidden_sizes=(4,), prior_sd=prior_sd, key=KEY)
        step = random_step(network, size)
        step = jax.tree.map(lambda change: jnp.clip(change, -largest, largest), step)
        if part != "both":
            other = "rho" if part == "mean" else "mean"
            zeros = jax.tree.map(jnp.zeros_like, getattr(step, other))
            step = eqx.tree_at(lambda n, name=other: getattr(n, name), step, zeros)
        expected = exact_divergence_after(network, step)
        # A sum of positive numbers, each exact to a handful of roundings, times 30 where a formula cancels.
        assert float(divergence_after(network, step, largest)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("rho", [-20.0, -2.0, 0.0, 3.0])
def test_the_series_of_a_small_step_are_as_exact_as_they_say(rho):
    with jax.enable_x64(True):
        changes = SMALL_STEP * jnp.array([-1, -0.7, -0.4, 0.4, 0.7, 1])
        rho = jnp.full_like(changes, rho)
        std = jax.nn.softplus(rho)
        exact = normal_kl_of_growth(growth_after(rho, changes, std))
        series = normal_kl_of_small_growth(growth_after_small_step(rho, changes, std))
    np.testing.assert_allclose(series, exact, rtol=7e-7)


def test_divergence_after_no_step_is_zero_with_zero_gradient():
    network = make_network(3, 4, 2)
    zero = jax.tree.map(jnp.zeros_like, network)
    value, gradient = jax.jit(jax.value_and_grad(divergence_after, argnums=1))(network, zero)
    assert value == 0
    for leaf in jax.tree.leaves(gradient):
        np.testing.assert_array_equal(leaf, 0)


def quadrature_loss(mean, std, x, y):
    """-E log N(y; w x + b, 0.1²) by Gauss-Hermite quadrature over the weight and the bias."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    w, b = mean[0] + std[0] * nodes[:, None], mean[1] + std[1] * nodes[None, :]
    density = stats.norm.logpdf(y, w * x + b, 0.1)
    return -np.sum(weights[:, None] * weights[None, :] * density) / np.sum(weights) ** 2


@pytest.mark.parametrize("kl_scale", [0.0, 1.0, 7.0])
def test_loss_is_the_negative_evidence_lower_bound_per_example(kl_scale):
    mean, rho, prior_sd = np.array([0.8, -0.3]), np.array([-1.5, -2.0]), 0.5
    x, y, valid = np.array([0.4, -1.0, 2.0, 99.0]), np.array([0.1, -0.7, 1.5, -99.0]), np.array([1, 1, 1, 0], bool)
    std = np.log1p(np.exp(rho))
    divergence = np.sum(np.log(prior_sd / std) + (std**2 + mean**2) / (2 * prior_sd**2) - 0.5)
    expected = kl_scale * divergence / 3 + np.mean([quadrature_loss(mean, std, *xy) for xy in zip(x[:3], y[:3])])
    with jax.enable_x64(True):
        network, examples = linear_network(mean, rho, prior_sd), as_examples(x, y, valid)
        compute = jax.jit(jax.vmap(lambda key: loss(network, *examples, kl_scale=kl_scale, key=key)))
        losses = compute(jax.random.split(KEY, 20_000))
    within_errors(losses, expected)


def test_loss_of_several_outputs_is_their_sum():
    """With hardly any noise in the weights, the loss is the textbook formula of a normal likelihood."""
    network = make_network(3, 4, 2)
    network = eqx.tree_at(lambda n: n.rho, network, jax.tree.map(lambda rho: jnp.full_like(rho, -20), network.rho))
    rng = np.random.default_rng(4)
    inputs, targets = rng.normal(size=(5, 3)).astype(np.float32), rng.normal(size=(5, 2)).astype(np.float32)
    result = jax.jit(partial(loss, kl_scale=0.0, key=KEY))(network, inputs, targets, np.ones(5, bool))
    outputs = np.asarray(jax.vmap(network.predict)(jnp.asarray(inputs)), np.float64)
    assert float(result) == pytest.approx(-stats.norm.logpdf(targets, outputs, 0.1).sum(axis=1).mean(), rel=1e-4)


def test_noise_is_independent_for_every_example_and_sample():
    """The variance of a mean over 64 equal examples is a 64th of one's, and over 3 samples a third of one draw's."""
    network, draws = make_network(2, 3, 1), 4000
    x, y = jnp.array([0.5, -1.0]), jnp.array([0.3])

    @partial(jax.vmap, in_axes=(0, None))
    def repeated(key, valid):
        return loss(network, jnp.tile(x, (64, 1)), jnp.tile(y, (64, 1)), valid, kl_scale=0.0, key=key)

    compute = jax.jit(lambda valid: repeated(jax.random.split(KEY, draws), valid))
    one, many = (np.asarray(compute(np.arange(64) < count), np.float64) for count in (1, 64))
    outputs = jax.jit(jax.vmap(lambda key: output(network, x, key)))(jax.random.split(KEY, draws))
    single = -stats.norm.logpdf(y, np.asarray(outputs, np.float64), 0.1)[:, 0]

    def relative_error_of_variance(values):
        centred = (values - values.mean()) ** 2
        return centred.std() / centred.mean() / np.sqrt(draws)

    variances, errors = zip(*((v.var(), relative_error_of_variance(v)) for v in (single, one, many)))
    for larger, smaller, ratio in [(0, 1, 3), (1, 2, 64)]:
        error = np.hypot(errors[larger], errors[smaller])
        assert variances[larger] / variances[smaller] == pytest.approx(ratio, rel=5 * error)
        assert 5 * error < 0.5


def test_a_natural_gradient_step_gives_the_exact_posterior_of_linear_regression():
    """Natural gradients of the loss take a conjugate model from anywhere to its posterior in a single step.

    With inputs +1 and -1 equally often, the posterior of weight and bias factorises. In natural parameters
    (m / s², -1 / (2 s²)) a step of length one moves by -N times the loss's gradient with respect to the expectations
    (m, m² + s²). Gradients of the loss are averages over draws, so the posterior is met within their standard errors.
    """
    x, y = np.array([1.0, 1.0, -1.0, -1.0]), np.array([0.9, 1.1, -0.2, -0.5])
    prior_sd, noise = 0.5, 0.1
    design = np.stack([x, np.ones(4)], axis=1)
    precision = np.eye(2) / prior_sd**2 + design.T @ design / noise**2
    assert precision[0, 1] == 0
    posterior_mean, posterior_std = np.linalg.solve(precision, design.T @ y / noise**2), np.diag(precision) ** -0.5
    mean, rho = np.array([0.7, 0.1]), np.array([-2.0, -2.5])
    with jax.enable_x64(True):
        network, examples = linear_network(mean, rho, prior_sd), as_examples(x, y, np.ones(4, bool))
        compute = jax.jit(jax.vmap(lambda key: jax.grad(loss)(network, *examples, kl_scale=1.0, key=key)))
        gradients = compute(jax.random.split(KEY, 20_000))
    leaves = [np.asarray(leaf).reshape(-1) for leaf in jax.tree.leaves(gradients)]
    by_mean, by_rho = np.stack(leaves[:2], axis=1), np.stack(leaves[2:], axis=1)
    std = np.log1p(np.exp(rho))
    by_variance = by_rho / (1 / (1 + np.exp(-rho))) / (2 * std)
    # Chain rule from (mean, variance) to (mean, mean² + variance).
    new_precision = 1 / std**2 + 2 * 4 * by_variance
    new_first = mean / std**2 - 4 * (by_mean - 2 * mean * by_variance)
    within_errors(new_precision, 1 / posterior_std**2)
    within_errors(new_first, posterior_mean / posterior_std**2)
    # The errors are small enough to mean something.
    assert np.all(new_precision.std(axis=0) / np.sqrt(20_000) < 0.02 / posterior_std**2)


@pytest.mark.parametrize("value", [1e-6, 0.01, 0.5, 1.0, 30.0, 800.0])
def test_inverse_softplus(value):
    assert np.logaddexp(0, bnn.inverse_softplus(value)) == pytest.approx(value, rel=1e-9)
