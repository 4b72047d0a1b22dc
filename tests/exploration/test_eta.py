"""The weight between the rewards: its formula, its ends, its largest step."""

import jax.numpy as jnp
import numpy as np
import pytest

from mime.exploration import eta


def number(value):
    return jnp.asarray(value, jnp.float32)


@pytest.mark.parametrize(
    ("logit", "extrinsic_weight", "intrinsic_weight"),
    [(-np.inf, 1.05, 0.05), (-200, 1.05, 0.05), (0, 0.55, 0.55), (200, 0.05, 1.05), (np.inf, 0.05, 1.05)],
)
def test_mix_at_its_ends(logit, extrinsic_weight, intrinsic_weight):
    extrinsic, intrinsic = jnp.array([1.0, 0.0, 2.0]), jnp.array([0.0, 1.0, -3.0])
    expected = extrinsic_weight * np.array([1, 0, 2]) + intrinsic_weight * np.array([0, 1, -3])
    np.testing.assert_allclose(eta.mix(extrinsic, intrinsic, number(logit)), expected, atol=1e-6)


def test_mix_in_between():
    share = 1 / (1 + np.exp(-0.1))
    mixed = eta.mix(jnp.array([2.0]), jnp.array([5.0]), number(0.1))
    np.testing.assert_allclose(mixed, [(1.05 - share) * 2 + (0.05 + share) * 5], rtol=1e-6)


@pytest.mark.parametrize("logit", [-2.0, 0.1, 3.0])
@pytest.mark.parametrize("gradient", [1e-5, -2e-5])
def test_small_steps_descend_relative_to_the_share(logit, gradient):
    new, clipped = eta.updated(number(logit), number(gradient), rate=1000.0)
    assert float(new) == pytest.approx(logit - 1000 * gradient * (1 + np.exp(-logit)), abs=1e-6)
    assert not clipped


@pytest.mark.parametrize("gradient", [1e-3, 1.0, 1e30])
@pytest.mark.parametrize("sign", [1, -1])
def test_large_steps_are_cut(gradient, sign):
    new, clipped = eta.updated(number(0.1), number(sign * gradient), rate=1000.0)
    assert float(new) == pytest.approx(0.1 - sign * 0.3, abs=1e-7)
    assert clipped


def test_without_a_rate_it_stays():
    assert eta.updated(number(0.1), number(5), rate=0.0)[0] == number(0.1)
