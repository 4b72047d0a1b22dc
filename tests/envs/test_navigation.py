"""2D navigation against a plain NumPy rewrite in float64, and its task distributions against their formulas."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mime.envs.navigation import DenseNavigation, RingNavigation

KEY = jax.random.key(0)
RINGS = [(5.0, 5.5), (8.0, 9.0), (5.0, 9.0)]


def drive(environment, goal, actions):
    """States, rewards, successes and ends of one trajectory, as the library would step it."""

    def step(state, action):
        after = environment.transition(state, action, KEY, goal)
        reward = environment.reward(state, action, after, KEY, goal)
        return after, (after, reward, environment.success(after, goal), environment.terminal(after, KEY, goal))

    return jax.lax.scan(step, environment.initial(KEY, goal), actions)[1]


def drive_all(environment, goals, actions):
    """`drive` for each goal and its row of actions, as NumPy arrays."""
    run = jax.jit(jax.vmap(lambda goal, row: drive(environment, goal, row)))
    return [np.asarray(leaf) for leaf in run(jnp.asarray(goals, jnp.float32), jnp.asarray(actions, jnp.float32))]


def actions_towards(goals, steps, rng):
    """Displacements that drift towards the goals, with noise of every scale up to far outside the bounds."""
    direction = goals / np.linalg.norm(goals, axis=1, keepdims=True)
    scale = 10 ** rng.uniform(-3, 6, size=(len(goals), steps, 1))
    wild = rng.normal(size=(len(goals), steps, 2)) * scale
    steady = 0.09 * direction[:, None] + 0.02 * rng.normal(size=(len(goals), steps, 2))
    return np.where(rng.random((len(goals), steps, 1)) < 0.2, wild, steady).astype(np.float32)


def positions_in_float64(actions):
    return np.cumsum(np.clip(actions.astype(np.float64), -0.1, 0.1), axis=1)


@pytest.mark.parametrize("sparse", [True, False])
def test_ring_steps_like_numpy(sparse):
    rng = np.random.default_rng(0)
    environment = RingNavigation(low=5.0, high=9.0, sparse=sparse)
    goals = np.asarray(environment.sample_tasks(KEY, 40), np.float64)
    actions = actions_towards(goals, 100, rng)
    states, rewards, success, ends = drive_all(environment, goals, actions)

    positions = positions_in_float64(actions)
    distance = np.sqrt(((positions - goals[:, None]) ** 2).sum(axis=2))
    clear = np.abs(distance - 1) > 1e-4
    np.testing.assert_allclose(states, positions, atol=1e-5)
    assert 0.02 < (distance <= 1).mean() < 0.9
    np.testing.assert_array_equal(success[clear], (distance <= 1)[clear])
    if sparse:
        np.testing.assert_array_equal(rewards[clear], np.where(distance <= 1, 1.0, 0.0)[clear])
    else:
        np.testing.assert_allclose(rewards, -distance, atol=1e-5)
    assert not ends.any()


def test_success_reaches_exactly_to_distance_one():
    environment, goal = RingNavigation(), jnp.array([5.0, 0.0])
    for x, expected in [(4.0, True), (6.0, True), (np.nextafter(np.float32(4), 0), False), (6.000001, False)]:
        assert environment.success(jnp.array([x, 0.0]), goal) == expected
        info = environment.transition_info(jnp.zeros(2), jnp.zeros(2), jnp.array([x, 0.0]), goal)
        assert info["success"] == expected


@pytest.mark.parametrize(("low", "high"), RINGS)
def test_training_goals_follow_the_truncated_normal(low, high):
    goals = np.asarray(RingNavigation(low=low, high=high).sample_tasks(KEY, 20_000), np.float64)
    radius, angle = np.hypot(*goals.T), np.arctan2(goals[:, 1], goals[:, 0])

    def cumulative(r):
        untruncated = stats.rayleigh(scale=high).cdf
        return (untruncated(r) - untruncated(low)) / (untruncated(high) - untruncated(low))

    assert radius.min() > low - 1e-5
    assert radius.max() < high + 1e-5
    assert stats.kstest(radius, cumulative).pvalue > 1e-3
    assert stats.kstest(angle, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(radius, np.abs(angle))[0, 1]) < 0.03


@pytest.mark.parametrize("ring", RINGS)
def test_unseen_goals_lie_inside_and_outside_every_ring(ring):
    goals = np.asarray(RingNavigation(low=ring[0], high=ring[1]).unseen_batch(0), np.float64)
    angles = np.arctan2(goals[:, 1], goals[:, 0]) % (2 * np.pi)
    np.testing.assert_allclose(np.linalg.norm(goals, axis=1), np.repeat([3, 7, 11], 8), rtol=1e-6)
    np.testing.assert_allclose(angles, np.tile(np.arange(8) * np.pi / 4, 3), atol=1e-6)


@pytest.mark.parametrize(("ring", "radii"), zip(RINGS, [(5.25,), (8.5,), (5.5, 8.5)]))
def test_test_goals_are_the_compass_directions(ring, radii):
    goals = np.asarray(RingNavigation(low=ring[0], high=ring[1]).test_tasks(), np.float64)
    half = np.sqrt(0.5)
    compass = [(1, 0), (half, half), (0, 1), (-half, half), (-1, 0), (-half, -half), (0, -1), (half, -half)]
    expected = np.concatenate([radius * np.array(compass) for radius in radii])
    assert goals.shape == expected.shape
    gaps = np.linalg.norm(goals[:, None] - expected, axis=2)
    assert (gaps.min(axis=0) < 1e-5).all()
    assert (gaps.min(axis=1) < 1e-5).all()


@pytest.mark.parametrize(("low", "high"), [(9.0, 5.0), (5.0, 5.0), (-1.0, 5.0), (float("nan"), 5.0)])
def test_impossible_rings_are_refused_by_name(low, high):
    with pytest.raises(ValueError, match=r"low.*high"):
        RingNavigation(low=low, high=high)


def test_dense_steps_like_numpy_and_ends_at_the_goal():
    rng = np.random.default_rng(1)
    environment = DenseNavigation()
    goals = np.asarray(environment.sample_tasks(KEY, 40), np.float64)
    actions = rng.normal(size=(40, 100, 2)).astype(np.float32) * 0.05
    # Every second trajectory walks straight to its goal and rests there.
    walk = np.ceil(np.abs(goals[::2]).max(axis=1) / 0.09).astype(int)
    for row, steps in enumerate(walk):
        actions[2 * row, :steps], actions[2 * row, steps:] = goals[2 * row] / steps, 0
    states, rewards, success, ends = drive_all(environment, goals, actions)

    positions = positions_in_float64(actions)
    offset = positions - goals[:, None]
    inside = (np.abs(offset) < 0.01).all(axis=2)
    clear = (np.abs(np.abs(offset) - 0.01) > 1e-5).all(axis=2)
    np.testing.assert_allclose(states, positions, atol=1e-5)
    np.testing.assert_allclose(rewards, -np.sqrt((offset**2).sum(axis=2)), atol=1e-5)
    np.testing.assert_array_equal(ends[clear], inside[clear])
    np.testing.assert_array_equal(success, ends)
    assert inside[::2].any(axis=1).all()
    assert not inside[1::2].all(axis=1).any()


def test_dense_success_needs_both_coordinates():
    environment, goal = DenseNavigation(), jnp.array([0.25, -0.25])
    for offset, expected in [((0.0099, -0.0099), True), ((0.0101, 0.0), False), ((0.0, -0.0101), False)]:
        assert environment.success(goal + jnp.array(offset), goal) == expected


def test_dense_goals_are_uniform_in_the_square():
    goals = np.asarray(DenseNavigation().sample_tasks(KEY, 20_000), np.float64)
    np.testing.assert_allclose([goals.min(), goals.max()], [-0.5, 0.5], atol=1e-3)
    for coordinate in goals.T:
        assert stats.kstest(coordinate, stats.uniform(-0.5, 1).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(goals.T)[0, 1]) < 0.03


def test_dense_test_goals_lie_within_the_training_square():
    goals = np.asarray(DenseNavigation().test_tasks())
    assert goals.shape == (8, 2)
    assert np.abs(goals).max() < 0.5
