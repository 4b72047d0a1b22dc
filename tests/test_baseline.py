"""Returns and advantages against slow loops, the fit against NumPy's least squares in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.baseline import advantages, discounted_sums, fitted_values, generalised_advantages
from mime.sampling.episodes import Episodes

SEEDS = range(3)
GAMMA, LAMBDA = 0.93, 0.8
SHAPE = (6, 30)
fit = jax.jit(fitted_values)


def random_valid(rng, trajectories, steps):
    """Trajectories that end anywhere, the first one at the horizon."""
    lengths = rng.integers(1, steps + 1, trajectories)
    lengths[0] = steps
    return np.arange(steps) < lengths[:, None]


def make_episodes(observations, rewards, valid):
    return Episodes(
        observations=jnp.asarray(observations),
        actions=jnp.zeros((*valid.shape, 1)),
        rewards=jnp.asarray(rewards),
        next_observations=jnp.asarray(observations),
        success=jnp.zeros(valid.shape, bool),
        valid=jnp.asarray(valid),
    )


def slow_features(observations):
    rows = [
        [*o, *(x * x for x in o), t / 100, (t / 100) ** 2, (t / 100) ** 3, 1.0]
        for trajectory in np.asarray(observations, np.float64)
        for t, o in enumerate(trajectory)
    ]
    return np.array(rows)


def least_squares(observations, returns, valid):
    """Fitted values by NumPy's minimum-norm solution; they are unique even where the solution is not."""
    rows, chosen = slow_features(observations), valid.ravel()
    weights = np.linalg.lstsq(rows[chosen], np.asarray(returns, np.float64).ravel()[chosen])[0]
    return np.where(chosen, rows @ weights, 0).reshape(valid.shape)


def slow_returns(rewards, valid, gamma):
    out = np.zeros(rewards.shape)
    for i, t in np.argwhere(valid):
        out[i, t] = sum(gamma ** (k - t) * rewards[i, k] for k in range(t, rewards.shape[1]) if valid[i, k])
    return out


def slow_advantages(rewards, values, valid, gamma, gae_lambda):
    """(1 - lambda) sum_n lambda^(n-1) of the n-step advantages, all steps after the end being zero."""
    out = np.zeros(rewards.shape)
    for i in range(len(rewards)):
        length = valid[i].sum()
        for t in range(length):
            remaining = length - t
            n_step = []
            for n in range(1, remaining + 1):
                tail = gamma**n * values[i, t + n] if n < remaining else 0.0
                n_step.append(sum(gamma**k * rewards[i, t + k] for k in range(n)) + tail - values[i, t])
            # Every n beyond the end gives the last one; their weights sum to lambda^(remaining - 1).
            out[i, t] = sum((1 - gae_lambda) * gae_lambda ** (n - 1) * a for n, a in enumerate(n_step[:-1], start=1))
            out[i, t] += gae_lambda ** (remaining - 1) * n_step[-1]
    return out


@pytest.mark.parametrize("seed", SEEDS)
def test_discounted_sums_like_a_loop(seed):
    rng = np.random.default_rng(seed)
    rewards, discount = rng.normal(size=(4, 9)), rng.random()
    with jax.enable_x64(True):
        sums = discounted_sums(jnp.asarray(rewards), discount)
    np.testing.assert_allclose(sums, slow_returns(rewards, np.ones((4, 9), bool), discount), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("gae_lambda", [0.0, None, 1.0])
def test_generalised_advantages_like_a_loop(seed, gae_lambda):
    rng = np.random.default_rng(seed)
    gamma, gae_lambda = rng.random(), rng.random() if gae_lambda is None else gae_lambda
    valid = random_valid(rng, 5, 9)
    rewards, values = rng.normal(size=(2, 5, 9)) * valid
    with jax.enable_x64(True):
        result = generalised_advantages(jnp.asarray(rewards), jnp.asarray(values), gamma=gamma, gae_lambda=gae_lambda)
    expected = slow_advantages(rewards, values, valid, gamma, gae_lambda)
    np.testing.assert_allclose(np.where(valid, result, 0), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("deficient", ["none", "constant", "zero", "duplicated", "indicator", "all"])
def test_fit_is_least_squares_whatever_the_rank(deficient):
    rng = np.random.default_rng(5)
    trajectories, steps = 20, 60
    observations = rng.normal(size=(trajectories, steps, 3)).astype(np.float32)
    if deficient == "all":
        observations[:] = 0.3
    columns = {"constant": 0.3, "zero": 0.0, "duplicated": observations[..., 0]}
    if deficient in columns:
        observations[..., 1] = columns[deficient]
    if deficient == "indicator":
        # A bump sensor: its own square.
        observations[..., 1] = rng.random((trajectories, steps)) < 0.2
    valid = random_valid(rng, trajectories, steps)
    returns = ((observations.sum(axis=-1) ** 2 + rng.normal(size=valid.shape)) * valid).astype(np.float32)
    expected = least_squares(observations, returns, valid)
    with jax.enable_x64(True):
        exact = fit(observations.astype(float), returns.astype(float), valid)
    # The ridge shrinks the returns along each singular direction of the features, scaled to unit mean square, by
    # s² / (s² + 1e-5).
    rows = slow_features(observations) * valid.reshape(-1, 1)
    size = np.sqrt((rows**2).mean(axis=0))
    directions, s, _ = np.linalg.svd(rows / np.where(size > 0, size, 1), full_matrices=False)
    shrunk = directions @ (s**2 / (s**2 + 1e-5) * (directions.T @ returns.ravel().astype(float)))
    np.testing.assert_allclose(exact, shrunk.reshape(valid.shape), atol=1e-10)
    np.testing.assert_allclose(exact, expected, atol=1e-3 * returns.std())
    single = np.asarray(fit(observations, returns, valid))
    # Householder QR in float32 is backward stable: errors of 6e-8 times the square root of the number of rows, times
    # the condition number, here below 100 in the directions that matter.
    np.testing.assert_allclose(single, exact, atol=6e-8 * np.sqrt(valid.size) * 100 * np.abs(returns).max())
    assert np.all(single[~valid] == 0)


@pytest.mark.parametrize("unit", [1e-25, 1e15])
def test_the_units_of_observations_do_not_matter(unit):
    observations, rewards, valid = random_inputs(12)
    expected = fit(observations.astype(np.float32), rewards.astype(np.float32), valid)
    scaled = fit((unit * observations).astype(np.float32), rewards.astype(np.float32), valid)
    np.testing.assert_allclose(scaled, expected, atol=1e-4)


def test_fit_shrinks_by_the_ridge_and_no_more():
    """With one step and no observation but the constant, the fitted value is y / (1 + 1e-5 / rows)."""
    with jax.enable_x64(True):
        values = fit(jnp.zeros((1, 1, 0)), jnp.ones((1, 1)), jnp.ones((1, 1), bool))
    assert float(values[0, 0]) == pytest.approx(1 / (1 + 1e-5), abs=1e-12)


@jax.jit
def compute(observations, rewards, valid):
    return advantages(make_episodes(observations, rewards, valid), rewards, gamma=GAMMA, gae_lambda=LAMBDA)


@jax.jit
def gradients(observations, rewards, valid, weights):
    return jax.grad(lambda *args: jnp.sum(weights * compute(*args, valid)), argnums=(0, 1))(observations, rewards)


def random_inputs(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(*SHAPE, 2)), rng.normal(size=SHAPE), random_valid(rng, *SHAPE)


@pytest.mark.parametrize("seed", SEEDS)
def test_advantages_are_the_whole_recipe(seed):
    observations, rewards, valid = random_inputs(seed)
    values = least_squares(observations, slow_returns(rewards, valid, GAMMA), valid)
    expected = slow_advantages(rewards, values, valid, GAMMA, LAMBDA)
    expected = np.where(valid, (expected - expected[valid].mean()) / expected[valid].std(), 0)
    with jax.enable_x64(True):
        result = np.asarray(compute(observations, rewards, valid))
    # The ridge moves fitted values by less than 1e-3 of the returns' spread; see above.
    np.testing.assert_allclose(result, expected, atol=1e-3)
    np.testing.assert_array_equal(result[~valid], 0)


def test_rewards_take_the_place_of_the_episodes_own():
    observations, rewards, valid = random_inputs(3)
    with jax.enable_x64(True):
        episodes = make_episodes(observations, np.full(SHAPE, np.nan), valid)
        replaced = advantages(episodes, jnp.asarray(rewards), gamma=GAMMA, gae_lambda=LAMBDA)
        np.testing.assert_allclose(replaced, compute(observations, rewards, valid), atol=1e-12)


def test_no_reward_gives_no_advantage():
    observations, _, valid = random_inputs(4)
    result = compute(observations.astype(np.float32), np.zeros(SHAPE, np.float32), valid)
    np.testing.assert_array_equal(result, np.zeros(SHAPE))


@pytest.mark.parametrize("garbage", [1e3, np.nan, np.inf])
def test_invalid_steps_have_no_influence(garbage):
    observations, rewards, valid = random_inputs(5)
    observations, rewards = observations.astype(np.float32), rewards.astype(np.float32)
    expected = np.asarray(compute(observations, rewards, valid))
    observations[~valid], rewards[~valid] = garbage, garbage
    np.testing.assert_array_equal(compute(observations, rewards, valid), expected)


@pytest.mark.parametrize("bad", ["reward", "observation"])
def test_not_a_number_is_not_hidden(bad):
    observations, rewards, valid = random_inputs(6)
    (observations if bad == "observation" else rewards)[0, 3] = np.nan
    result = compute(observations.astype(np.float32), rewards.astype(np.float32), valid)
    assert not np.any(np.isfinite(result[valid]))


def test_gradient_flows_through_the_rewards_alone():
    """Against finite differences of the recipe with the baseline's values held fixed."""
    observations, rewards, valid = random_inputs(7)
    weights = np.random.default_rng(8).normal(size=SHAPE)
    with jax.enable_x64(True):
        by_observation, by_reward = gradients(observations, rewards, valid, weights)
        values = np.asarray(
            fitted_values(*map(jnp.asarray, (observations, slow_returns(rewards, valid, GAMMA), valid)))
        )

    def slow_loss(rewards):
        raw = slow_advantages(rewards, values, valid, GAMMA, LAMBDA)
        return np.sum(weights * np.where(valid, (raw - raw[valid].mean()) / raw[valid].std(), 0))

    np.testing.assert_array_equal(by_observation, 0)
    np.testing.assert_array_equal(np.asarray(by_reward)[~valid], 0)
    for index in map(tuple, np.argwhere(valid)[::11]):
        step = np.zeros(SHAPE)
        step[index] = 1e-5
        difference = (slow_loss(rewards + step) - slow_loss(rewards - step)) / 2e-5
        # Rounding 1e-15 of a sum of size 10 over 1e-5, truncation 1e-10.
        assert float(by_reward[index]) == pytest.approx(difference, abs=1e-8)


def test_gradient_is_finite_without_rewards():
    observations, rewards, valid = random_inputs(9)
    zeros = np.zeros(SHAPE, np.float32)
    assert np.all(np.isfinite(gradients(observations.astype(np.float32), zeros, valid, rewards.astype(np.float32))[1]))


def test_tasks_are_fitted_apart():
    """Under vmap, as the learner calls it, each task gets the advantages it would get alone."""
    with jax.enable_x64(True):
        tasks = [random_inputs(seed) for seed in (10, 11)]
        together = jax.jit(jax.vmap(compute))(*map(np.stack, zip(*tasks)))
        for task, result in zip(tasks, together):
            np.testing.assert_allclose(result, compute(*task), atol=1e-10)
