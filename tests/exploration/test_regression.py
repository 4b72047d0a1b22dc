"""What steps tell Bayesian linear regression: brute force in float64, and what must be so whatever the steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.exploration.regression import chain_rule_gains, leave_one_out_gains

RNG = np.random.default_rng(0)
# Float32's unit roundoff of 6e-8 times the precision matrix's condition number, up to 6,000 here, is 4e-4: a bound on
# the relative error of the worst case. What is seen is 4e-6, and depends on the order in which products are summed.
EXACT = 1e-5


def batch(trajectories, steps, size, *, spread=1.0):
    """Features of random walks; a fifth of the steps, at random, does not count."""
    places = spread * np.cumsum(RNG.normal(size=(trajectories, steps, 2)), axis=1) / np.sqrt(steps)
    angles = places @ RNG.normal(size=(2, size // 2)) / 0.5
    features = np.concatenate([np.cos(angles), np.sin(angles)], axis=-1) / np.sqrt(size // 2)
    return (features * (RNG.random((trajectories, steps, 1)) < 0.8)).astype(np.float32)


def one_after_the_other(features, noise):
    """Gains given all other trajectories and the own earlier steps: one solution after the other, in float64."""
    features = features.astype(float)
    gains = np.zeros(features.shape[:2])
    for number, trajectory in enumerate(features):
        others = np.delete(features, number, axis=0).reshape(-1, features.shape[-1])
        precision = np.eye(features.shape[-1]) + others.T @ others / noise
        for step, phi in enumerate(trajectory):
            gains[number, step] = np.log1p(phi @ np.linalg.solve(precision, phi) / noise) / 2
            precision += np.outer(phi, phi) / noise
    return gains


def without_each(features, noise):
    """Gains given all other steps, of which the precision is computed anew for each."""
    features = features.astype(float)
    rows = features.reshape(-1, features.shape[-1])
    precision = np.eye(rows.shape[-1]) + rows.T @ rows / noise
    gains = [np.log1p(phi @ np.linalg.solve(precision - np.outer(phi, phi) / noise, phi) / noise) / 2 for phi in rows]
    return np.reshape(gains, features.shape[:2])


def logarithm_of_determinant(features, noise):
    rows = features.astype(float).reshape(-1, features.shape[-1])
    return np.linalg.slogdet(np.eye(rows.shape[-1]) + rows.T @ rows / noise)[1]


BATCHES = {
    "several": (6, 40, 64),
    "one trajectory": (1, 60, 64),
    "one step": (5, 1, 32),
    "more features than steps": (2, 10, 128),
    "several segments, of which none is full": (3, 150, 32),
    "a thousand steps": (2, 1000, 32),
}


@pytest.mark.parametrize("noise", [0.1, 1.0])
@pytest.mark.parametrize("shape", BATCHES.values(), ids=BATCHES)
def test_both_forms_by_brute_force(shape, noise):
    features = batch(*shape)
    ours = jax.jit(chain_rule_gains, static_argnums=1)(features, noise)
    np.testing.assert_allclose(ours, one_after_the_other(features, noise), atol=EXACT)
    ours = jax.jit(leave_one_out_gains, static_argnums=1)(features, noise)
    np.testing.assert_allclose(ours, without_each(features, noise), atol=EXACT)


@pytest.mark.parametrize("steps", [30, 200])
def test_gains_of_a_trajectory_add_up_to_what_it_tells_beyond_the_others(steps):
    features = batch(4, steps, 32)
    gains = np.asarray(chain_rule_gains(jnp.asarray(features), 0.1))
    for number in range(4):
        others = np.delete(features, number, axis=0)
        told = (logarithm_of_determinant(features, 0.1) - logarithm_of_determinant(others, 0.1)) / 2
        assert gains[number].sum() == pytest.approx(told, abs=1e-4)


def test_steps_that_do_not_count_gain_nothing_and_change_nothing():
    features = batch(3, 20, 32)
    longer = np.concatenate([features, np.zeros((3, 5, 32), np.float32)], axis=1)
    for form in (chain_rule_gains, leave_one_out_gains):
        gains = jax.jit(form, static_argnums=1)
        after = gains(longer, 0.1)
        np.testing.assert_allclose(after[:, :20], gains(features, 0.1), atol=1e-6)
        np.testing.assert_array_equal(after[:, 20:], 0)


def test_a_repeated_trajectory_tells_less_than_one_of_its_own():
    alone, other = batch(2, 20, 64, spread=5.0)
    gains = np.asarray(chain_rule_gains(jnp.asarray(np.stack([alone, other, other])), 0.1)).sum(axis=1)
    assert gains[0] > 3 * gains[1]
    assert gains[1] == pytest.approx(gains[2], abs=1e-5)


EXTREMES = {
    "all the same": lambda places: 0 * places,
    "each stands elsewhere": lambda places: 0 * places + 100 * np.arange(len(places))[:, None, None],
    "far apart": lambda places: 1000 * places,
    "almost the same": lambda places: 1e-4 * places,
}


@pytest.mark.parametrize("noise", [1e-2, 0.1])
@pytest.mark.parametrize("shape", [(10, 30, 32), (1, 300, 32), (10, 300, 32)])
@pytest.mark.parametrize("places", EXTREMES.values(), ids=EXTREMES)
def test_whatever_the_places_gains_are_finite_and_within_their_bounds(places, shape, noise):
    trajectories, steps, size = shape
    angles = places(RNG.normal(size=(trajectories, steps, 2))) @ RNG.normal(size=(2, size // 2))
    features = np.concatenate([np.cos(angles), np.sin(angles)], axis=-1).astype(np.float32) / np.sqrt(size // 2)
    by_chain_rule, left_out = (
        np.asarray(jax.jit(gains, static_argnums=1)(features, noise))
        for gains in (chain_rule_gains, leave_one_out_gains)
    )
    for ours in (by_chain_rule, left_out):
        assert np.isfinite(ours).all()
        assert (ours >= 0).all()
        assert (ours <= np.log1p(1 / noise) / 2 + 1e-5).all()
    if noise == 0.1:
        # With less noise, a place that hundreds of steps repeat leaves float32 no digits for what the first one told.
        np.testing.assert_allclose(by_chain_rule, one_after_the_other(features, noise), atol=1e-2)


def test_numbers_too_large_for_float32_weaken_the_data_instead_of_failing():
    """A thousand million units of information from one place: beside them, the prior's 1 is lost."""
    features = np.zeros((2, 1000, 16), np.float32)
    features[..., 0] = 1
    gains = np.asarray(chain_rule_gains(jnp.asarray(features), 1e-6))
    assert np.isfinite(gains).all()
    assert (gains >= 0).all()


def test_not_a_number_is_not_hidden():
    features = batch(2, 10, 16)
    features[1, 3, 5] = np.nan
    for gains in (chain_rule_gains, leave_one_out_gains):
        assert np.isnan(gains(jnp.asarray(features), 0.1)).any()
