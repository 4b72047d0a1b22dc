"""The posterior over z against the formulas it stands for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from mime.pearl.encoder import Encoder, Evidence, Posterior
from mime.pearl.replay import Transitions

KEY = jax.random.key(0)
COUNT = 20


def encoder(*, next_observations=True):
    net = Encoder(3, 2, latent_size=4, width=16, next_observations=next_observations, key=KEY)
    # The last layer starts near zero, where all factors are alike: a test of nothing.
    last = net.network.layers[-1]
    weight = jax.random.normal(KEY, last.weight.shape)
    return jax.tree.map(lambda leaf: weight if leaf is last.weight else leaf, net)


def context(count=COUNT, seed=1):
    keys = jax.random.split(jax.random.key(seed), 4)
    return Transitions(
        observations=jax.random.normal(keys[0], (count, 3)),
        actions=jax.random.normal(keys[1], (count, 2)),
        rewards=jax.random.normal(keys[2], (count,)),
        next_observations=jax.random.normal(keys[3], (count, 3)),
        terminals=jnp.zeros(count, bool),
    )


def posterior(transitions, valid=None, net=None):
    valid = jnp.ones(len(transitions.rewards), bool) if valid is None else valid
    return (net or encoder())(transitions, valid).posterior()


def test_posterior_is_the_exact_product_of_gaussians():
    """In float64, and by the curve itself: the product of the factors' densities, normalised numerically."""
    transitions = context(3)
    net = encoder()
    factors = [posterior(jax.tree.map(lambda leaf, i=i: leaf[i : i + 1], transitions), net=net) for i in range(3)]
    whole = posterior(transitions, net=net)
    for coordinate in range(4):
        normals = [stats.norm(float(f.mean[coordinate]), float(f.variance[coordinate]) ** 0.5) for f in factors]
        z = np.linspace(-20, 20, 200_001)
        curve = np.prod([normal.pdf(z) for normal in normals], axis=0)
        curve /= integrate.simpson(curve, z)
        mean = integrate.simpson(z * curve, z)
        assert whole.mean[coordinate] == pytest.approx(mean, rel=1e-4, abs=1e-5)
        assert whole.variance[coordinate] == pytest.approx(integrate.simpson((z - mean) ** 2 * curve, z), rel=1e-4)


def test_a_factor_is_mean_and_softplus_variance_of_the_network():
    transitions = context(1)
    net = encoder()
    parts = [transitions.observations[0], transitions.actions[0], transitions.rewards, transitions.next_observations[0]]
    raw = net.network(jnp.concatenate(parts))
    alone = posterior(transitions, net=net)
    np.testing.assert_allclose(alone.mean, raw[:4], rtol=1e-5)
    np.testing.assert_allclose(alone.variance, np.log1p(np.exp(raw[4:])), rtol=1e-4)


def test_order_of_the_context_does_not_matter():
    transitions = context()
    order = jax.random.permutation(KEY, COUNT)
    shuffled = jax.tree.map(lambda leaf: leaf[order], transitions)
    for here, there in zip(jax.tree.leaves(posterior(transitions)), jax.tree.leaves(posterior(shuffled))):
        np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-6)


def test_context_that_is_not_valid_does_not_count():
    transitions = context()
    valid = jnp.arange(COUNT) < 7
    few = jax.tree.map(lambda leaf: leaf[:7], transitions)
    for here, there in zip(jax.tree.leaves(posterior(transitions, valid)), jax.tree.leaves(posterior(few))):
        np.testing.assert_allclose(here, there, rtol=1e-5)


def test_evidence_adds_up():
    net, everything = encoder(), jnp.ones(COUNT, bool)
    first, second = context(seed=1), context(seed=2)
    both = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), first, second)
    added = (net(first, everything) + net(second, everything)).posterior()
    for here, there in zip(jax.tree.leaves(added), jax.tree.leaves(posterior(both, net=net))):
        np.testing.assert_allclose(here, there, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("evidence", [encoder().no_evidence(), encoder()(context(), jnp.zeros(COUNT, bool))])
def test_no_evidence_gives_the_prior(evidence: Evidence):
    prior = evidence.posterior()
    np.testing.assert_array_equal(prior.mean, np.zeros(4))
    np.testing.assert_array_equal(prior.variance, np.ones(4))
    assert prior.kl_from_prior() == 0


def test_more_evidence_narrows_the_posterior():
    assert jnp.all(posterior(context(100)).variance < posterior(context(10)).variance)


def test_the_next_observation_is_seen_only_if_asked_for():
    transitions, other = context(), context(seed=2)
    changed = Transitions(*jax.tree.leaves(transitions)[:3], other.next_observations, transitions.terminals)
    for sees in (True, False):
        net = encoder(next_observations=sees)
        same = jnp.allclose(posterior(transitions, net=net).mean, posterior(changed, net=net).mean)
        assert same == (not sees)


@pytest.mark.parametrize(("mean", "variance"), [(0.0, 1.0), (1.5, 0.3), (-2.0, 3.0), (0.1, 0.01)])
def test_divergence_is_the_integral_it_stands_for(mean, variance):
    q = stats.norm(mean, variance**0.5)
    z = np.linspace(mean - 12 * variance**0.5, mean + 12 * variance**0.5, 100_001)
    expected = integrate.simpson(q.pdf(z) * (q.logpdf(z) - stats.norm.logpdf(z)), z)
    one = Posterior(jnp.array([mean]), jnp.array([variance]))
    assert one.kl_from_prior() == pytest.approx(expected, rel=1e-4, abs=1e-6)
    two = Posterior(jnp.array([mean, mean]), jnp.array([variance, variance]))
    assert two.kl_from_prior() == pytest.approx(2 * expected, rel=1e-4, abs=1e-6)


def test_samples_have_the_moments():
    wide = Posterior(jnp.full((50_000, 1), 0.7), jnp.full((50_000, 1), 0.09))
    samples = wide.sample(key=KEY)
    assert jnp.mean(samples) == pytest.approx(0.7, abs=0.01)
    assert jnp.std(samples) == pytest.approx(0.3, rel=0.02)
