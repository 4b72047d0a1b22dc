"""What learning makes of rewards."""

import jax.numpy as jnp
import numpy as np
import pytest

from mime.baseline import discounted_sums
from mime.meta.rewards import normalised

FULL = np.ones((4, 6), bool)
EARLY = np.arange(6) < np.array([2, 6, 6, 6])[:, None]


@pytest.mark.parametrize("unit", [1e-30, 1.0, 1e30])
def test_rewards_are_of_unit_size_in_any_unit(unit):
    rewards = np.random.default_rng(0).normal(5, 2, size=(4, 6))
    full = np.asarray(normalised(jnp.asarray(rewards * unit, jnp.float32), jnp.asarray(FULL)))
    assert full.mean() == pytest.approx(0, abs=1e-6)
    assert full.std() == pytest.approx(1, abs=1e-6)
    early = np.asarray(normalised(jnp.asarray(rewards * unit, jnp.float32), jnp.asarray(EARLY)))
    np.testing.assert_allclose(early[EARLY], rewards[EARLY] / np.sqrt(np.mean(rewards[EARLY] ** 2)), rtol=1e-6)
    assert not early[~EARLY].any()


def test_an_early_end_is_worth_what_it_saves():
    """All four robots stand still, at -1 a step; the first, whose episode ends, saves four steps of it."""
    rewards = normalised(jnp.where(jnp.asarray(EARLY), -1.0, 0.0), jnp.asarray(EARLY))
    np.testing.assert_allclose(discounted_sums(rewards, 1.0)[:, 0], [-2, -6, -6, -6])
    assert not np.any(normalised(jnp.full((4, 6), -1.0), jnp.asarray(FULL)))


@pytest.mark.parametrize("valid", [FULL, EARLY], ids=["full", "early"])
def test_what_is_not_a_number_stays_so_and_zeros_stay_zeros(valid):
    assert not np.any(normalised(jnp.zeros((4, 6)), jnp.asarray(valid)))
    rewards = jnp.ones((4, 6)).at[0, 0].set(jnp.nan)
    assert np.all(np.isnan(np.asarray(normalised(rewards, jnp.asarray(valid)))[valid]))
