"""Advantages over a whole trial, against a slow loop."""

import jax.numpy as jnp
import numpy as np
import pytest

from mime.rl2.advantages import trial_advantages


def slow(rewards, values, valid, gamma, gae_lambda):
    """From the definition: of the steps that took place, sums of discounted one-step differences."""
    places = np.flatnonzero(valid)
    rewards, values = rewards[places].astype(float), np.append(values[places].astype(float), 0)
    differences = rewards + gamma * values[1:] - values[:-1]
    result = np.zeros(len(valid))
    for number, place in enumerate(places):
        result[place] = sum((gamma * gae_lambda) ** k * later for k, later in enumerate(differences[number:]))
    return result


@pytest.mark.parametrize(("gamma", "gae_lambda"), [(0.9, 0.8), (1.0, 1.0), (0.99, 0.0)])
def test_episode_ends_and_gaps_do_not_stop_it(gamma, gae_lambda):
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=(2, 12)).astype(np.float32)
    # Three episodes of four steps, of which the first and the last end early.
    valid = np.array([1, 1, 0, 0, 1, 1, 1, 1, 1, 0, 0, 0], bool)
    ours = trial_advantages(*map(jnp.asarray, (rewards, values, valid)), gamma=gamma, gae_lambda=gae_lambda)
    np.testing.assert_allclose(ours, slow(rewards, values, valid, gamma, gae_lambda), rtol=1e-5, atol=1e-6)


def test_a_later_episodes_reward_counts_in_the_first_step():
    rewards = jnp.array([0.0, 0.0, 0.0, 1.0])
    ones = jnp.ones(4, bool)
    assert trial_advantages(rewards, jnp.zeros(4), ones, gamma=0.5, gae_lambda=1.0)[0] == 0.125
