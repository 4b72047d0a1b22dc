"""The weight between the rewards: its formula, its ends, its largest step."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mime.exploration import mixing
from mime.meta import eta


def number(value):
    return jnp.asarray(value, jnp.float32)


@pytest.mark.parametrize(
    ("logit", "extrinsic_weight", "intrinsic_weight"),
    [(-np.inf, 1.05, 0.05), (-200, 1.05, 0.05), (0, 0.55, 0.55), (200, 0.05, 1.05), (np.inf, 0.05, 1.05)],
)
def test_mix_at_its_ends(logit, extrinsic_weight, intrinsic_weight):
    extrinsic, intrinsic = jnp.array([1.0, 0.0, 2.0]), jnp.array([0.0, 1.0, -3.0])
    expected = extrinsic_weight * np.array([1, 0, 2]) + intrinsic_weight * np.array([0, 1, -3])
    np.testing.assert_allclose(mixing.mix(extrinsic, intrinsic, number(logit)), expected, atol=1e-6)


def test_mix_in_between():
    share = 1 / (1 + np.exp(-0.1))
    mixed = mixing.mix(jnp.array([2.0]), jnp.array([5.0]), number(0.1))
    np.testing.assert_allclose(mixed, [(1.05 - share) * 2 + (0.05 + share) * 5], rtol=1e-6)


def updated(logit, gradients, *, rule="clipped", rate):
    """The logit after steps on some gradients."""
    rules = {"clipped": eta.clipped, "adam": optax.adam, "found": eta.towards_target}
    logit, optimiser = number(logit), rules[rule](rate)
    state = optimiser.init(logit)
    for gradient in gradients:
        change, state = optimiser.update(number(gradient), state, logit)
        logit += change
    return float(logit)


@pytest.mark.parametrize("logit", [-2.0, 0.1, 3.0])
@pytest.mark.parametrize("gradient", [1e-5, -2e-5])
def test_small_steps_descend_relative_to_the_share(logit, gradient):
    expected = logit - 1000 * gradient * (1 + np.exp(-logit))
    assert updated(logit, [gradient], rate=1000.0) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("gradient", [1e-3, 1.0, 1e30])
@pytest.mark.parametrize("sign", [1, -1])
def test_large_steps_are_cut(gradient, sign):
    assert updated(0.1, [sign * gradient], rate=1000.0) == pytest.approx(0.1 - sign * 0.3, abs=1e-7)


def test_without_a_rate_it_stays():
    assert updated(0.1, [5], rate=0.0) == number(0.1)


def test_adams_steps_do_not_depend_on_the_gradients_scale():
    gradients = np.random.default_rng(0).normal(0.5, 1, 20)
    small, large = (updated(0.1, scale * gradients, rule="adam", rate=0.05) for scale in (1e-3, 1e3))
    assert small == pytest.approx(large, abs=1e-4)
    assert small < 0.05


def test_adam_goes_further_where_the_sign_is_certain():
    certain, uncertain = [1.0] * 20, [1.0, -1.0] * 10
    moves = [0.1 - updated(0.1, gradients, rule="adam", rate=0.05) for gradients in (certain, uncertain)]
    assert moves[0] == pytest.approx(20 * 0.05, rel=1e-3)
    assert abs(moves[1]) < 0.1


def test_rewards_are_found_where_they_differ_at_valid_steps():
    rewards, valid = np.zeros((4, 2, 3), np.float32), np.ones((4, 2, 3), bool)
    rewards[0, 1, 2] = 1  # Found.
    rewards[1] = 0.7  # The same everywhere: nothing to choose between.
    rewards[2, 0, 2], valid[2, 0, 2] = 1, False  # After the end.
    rewards, valid = jnp.asarray(rewards), jnp.asarray(valid)
    assert float(eta.excess_found(rewards, valid)) == 0.25 - 0.75
    assert float(eta.excess_found(rewards[:1], valid[:1])) == 0.25


def test_the_weight_follows_what_is_left_to_find():
    assert updated(0.0, [-0.5, -0.25, 0.0, 0.5], rule="found", rate=0.1) == pytest.approx(0.1 * (0.5 + 0.25 - 0.5))


@pytest.mark.parametrize("excess", [-0.5, 0.5])
def test_a_search_in_vain_does_not_wind_the_weight_up(excess):
    end = updated(0.0, [excess] * 200, rule="found", rate=0.1)
    assert end == pytest.approx(-10 * excess, abs=1e-5)
    assert abs(updated(end, [-excess], rule="found", rate=0.1)) < abs(end) - 0.04
