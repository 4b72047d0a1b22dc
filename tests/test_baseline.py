"""Returns and advantages against slow loops, the fit against NumPy's least squares in float64."""


import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.baseline import advantages, discounted_sums, fitted_values, generalised_advantages
from mime.sampling.episodes import Episodes

SEEDS = range(3)
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
        exact = fitted_values(jnp.asarray(observations, float), jnp.asarray(returns, float), jnp.asarray(valid))
    # The ridge takes 1e-5 / (1e-5 + s²) of each singular direction, s² the eigenvalues of the scaled features' Gram
    # matrix, which are those below.
    rows = slow_features(observations) * valid.reshape(-1, 1)
    rows /= np.maximum(np.sqrt((rows**2).mean(axis=0)), 1e-30)
    squares = np.linalg.svd(rows, compute_uv=False) ** 2
    bias = 1e-5 / squares[squares > 1e-8].min() * np.linalg.norm(returns)
    np.testing.assert_allclose(exact, expected, atol=bias + 1e-9)
    assert bias < 1e-3
    single = np.asarray(fit(observations, returns, valid))
    # Householder QR in float32 with condition number sqrt(largest of squares / ridge) in the worst direction.
    np.testing.assert_allclose(single, exact, atol=1e-4 * np.abs(returns).max())
    assert np.all(single[~valid] == 0)


def test_fit_shrinks_by_the_ridge_and_no_more():
    """With one step and no observation but the constant, the fitted value is y / (1 + 1e-5 / rows)."""
    with jax.enable_x64(True):
        values = fitted_values(jnp.zeros((1, 1, 0)), jnp.ones((1, 1)), jnp.ones((1, 1), bool))
    assert float(values[0, 0]) == pytest.approx(1 / (1 + 1e-5), abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_advantages_are_the_whole_recipe(seed):
    rng = np.random.default_rng(seed)
    gamma, gae_lambda, valid = 0.5 + rng.random() / 2, rng.random(), random_valid(rng, 8, 40)
    observations, rewards = rng.normal(size=(8, 40, 2)), rng.normal(size=(8, 40))
    values = least_squares(observations, slow_returns(rewards, valid, gamma), valid)
    expected = slow_advantages(np.where(valid, rewards, 0), values, valid, gamma, gae_lambda)
    expected = np.where(valid, (expected - expected[valid].mean()) / expected[valid].std(), 0)
    with jax.enable_x64(True):
        episodes = make_episodes(observations, np.full((8, 40), np.nan), valid)
        result = advantages(episodes, jnp.asarray(rewards), gamma=gamma, gae_lambda=gae_lambda)
    # The ridge moves fitted values by 1e-5 of themselves at most.
    np.testing.assert_allclose(result, expected, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(result)[~valid], 0)


def test_no_reward_gives_no_advantage():
    rng = np.random.default_rng(6)
    valid = random_valid(rng, 20, 100)
    episodes = make_episodes(rng.normal(size=(20, 100, 2)).astype(np.float32), np.zeros((20, 100), np.float32), valid)
    result = advantages(episodes, episodes.rewards, gamma=0.99, gae_lambda=1.0)
    np.testing.assert_array_equal(result, np.zeros((20, 100)))


@pytest.mark.parametrize("garbage", [1e3, np.nan, np.inf])
def test_invalid_steps_have_no_influence(garbage):
    rng = np.random.default_rng(7)
    valid = random_valid(rng, 6, 30)
    observations = rng.normal(size=(6, 30, 2)).astype(np.float32) * valid[..., None]
    rewards = rng.normal(size=(6, 30)).astype(np.float32)
    compute = jax.jit(lambda o, r: advantages(make_episodes(o, r, valid), r, gamma=0.9, gae_lambda=0.8))
    expected = np.asarray(compute(observations, rewards))
    observations[~valid], rewards[~valid] = garbage, garbage
    np.testing.assert_array_equal(compute(observations, rewards), expected)


def test_not_a_number_is_not_hidden():
    rewards = np.zeros((2, 5), np.float32)
    rewards[1, 3] = np.nan
    episodes = make_episodes(np.zeros((2, 5, 1), np.float32), rewards, np.ones((2, 5), bool))
    assert not np.any(np.isfinite(advantages(episodes, episodes.rewards, gamma=0.99, gae_lambda=1.0)))


def test_gradient_flows_through_the_rewards_alone():
    """Against finite differences of the recipe with the baseline's values held fixed."""
    rng = np.random.default_rng(8)
    gamma, gae_lambda, valid = 0.9, 0.7, random_valid(rng, 3, 6)
    observations, rewards, weights = rng.normal(size=(3, 6, 1)), rng.normal(size=(3, 6)), rng.normal(size=(3, 6))
    with jax.enable_x64(True):
        returns = slow_returns(rewards, valid, gamma)
        values = np.asarray(fitted_values(jnp.asarray(observations), jnp.asarray(returns), jnp.asarray(valid)))

        def loss(observations, rewards):
            episodes = make_episodes(observations, rewards, valid)
            return jnp.sum(weights * advantages(episodes, rewards, gamma=gamma, gae_lambda=gae_lambda))

        by_observation, by_reward = jax.grad(loss, argnums=(0, 1))(jnp.asarray(observations), jnp.asarray(rewards))

    def slow_loss(rewards):
        raw = slow_advantages(np.where(valid, rewards, 0), values, valid, gamma, gae_lambda)
        return np.sum(weights * np.where(valid, (raw - raw[valid].mean()) / raw[valid].std(), 0))

    np.testing.assert_array_equal(by_observation, 0)
    for index in np.ndindex(rewards.shape):
        step = np.zeros_like(rewards)
        step[index] = 1e-5
        difference = (slow_loss(rewards + step) - slow_loss(rewards - step)) / 2e-5
        assert float(by_reward[index]) == pytest.approx(difference, abs=1e-8)


def test_gradient_is_finite_without_rewards():
    episodes = make_episodes(np.zeros((2, 4, 1), np.float32), np.zeros((2, 4), np.float32), np.ones((2, 4), bool))
    gradient = jax.grad(lambda r: jnp.sum(advantages(episodes, r, gamma=1.0, gae_lambda=1.0) ** 2))(episodes.rewards)
    assert np.all(np.isfinite(gradient))


def test_tasks_are_fitted_apart():
    """Under vmap, as the learner calls it, each task gets the advantages it would get alone."""
    rng = np.random.default_rng(9)
    observations, rewards = rng.normal(size=(2, 4, 10, 2)).astype(np.float32), rng.normal(size=(2, 4, 10))
    rewards, valid = rewards.astype(np.float32), np.ones((4, 10), bool)
    tasks = [make_episodes(o, r, valid) for o, r in zip(observations, rewards)]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *tasks)
    together = jax.vmap(lambda e: advantages(e, e.rewards, gamma=0.9, gae_lambda=1.0))(stacked)
    for task, result in zip(tasks, together):
        alone = advantages(task, task.rewards, gamma=0.9, gae_lambda=1.0)
        np.testing.assert_allclose(result, alone, atol=1e-4)
