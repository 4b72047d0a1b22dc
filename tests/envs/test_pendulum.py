"""The pendulum against its equations in float64, and the physics they should obey."""

from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mime.envs.pendulum import Pendulum, Rod, Swing
from mime.envs.task_environment import repeat_evenly

KEY = jax.random.key(0)
TRAINING = sorted(product((0.5, 0.7), (0.4, 0.5, 0.7)))
TEST = sorted(product((0.6, 0.8), (0.6, 0.8)))
LIGHT = Rod(jnp.array(0.5), jnp.array(0.4))


def step(angle, speed, torque, rod=LIGHT):
    """One step of the library."""
    state = Swing(jnp.asarray(angle, jnp.float32), jnp.asarray(speed, jnp.float32))
    return Pendulum().transition(state, jnp.array([torque], jnp.float32), KEY, rod)


def step_in_float64(angle, speed, torque, mass, length):
    """Section 3 of the design, written down once more."""
    torque = np.minimum(np.maximum(torque, -2.0), 2.0)
    acceleration = 3 * 10 / (2 * length) * np.sin(angle) + 3 * torque / (mass * length**2)
    speed = speed + acceleration * 0.1
    angle = angle + speed * 0.1
    return angle, np.minimum(np.maximum(speed, -20.0), 20.0)


def rods_of(tasks):
    rods = np.stack([tasks.mass, tasks.length], axis=1).astype(np.float64)
    return sorted(map(tuple, rods.round(6).tolist()))


def between(angle, other):
    """Difference of two directions, in [-π, π]."""
    return np.angle(np.exp(1j * (np.asarray(angle, np.float64) - other)))


def test_steps_like_numpy():
    rng = np.random.default_rng(0)
    count = 5000
    angle, speed = rng.uniform(-np.pi, np.pi, count), rng.uniform(-20, 20, count)
    torque = rng.normal(size=count) * 10 ** rng.uniform(-2, 6, count)
    mass, length = np.array(TRAINING + TEST)[rng.integers(10, size=count)].T
    after = jax.jit(jax.vmap(step))(angle, speed, torque, Rod(jnp.float32(mass), jnp.float32(length)))

    inputs = [np.float32(value).astype(np.float64) for value in (angle, speed, torque, mass, length)]
    expected_angle, expected_speed = step_in_float64(*inputs)
    np.testing.assert_allclose(after.speed, expected_speed, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(between(after.angle, expected_angle), 0, atol=2e-6)
    assert np.abs(after.angle).max() <= np.pi + 1e-6
    assert np.abs(expected_angle).max() > 4
    assert (np.abs(expected_speed) == 20).mean() > 0.05


def test_follows_numpy_for_an_episode():
    rng = np.random.default_rng(1)
    torques = rng.normal(size=50).astype(np.float32)
    state = Swing(jnp.array(3.1, jnp.float32), jnp.array(0.0))
    angle, speed = float(np.float32(3.1)), 0.0
    mass, length = float(LIGHT.mass), float(LIGHT.length)
    run = jax.jit(lambda state, torque: Pendulum().transition(state, torque[None], KEY, LIGHT))
    for torque in torques:
        state = run(state, torque)
        angle, speed = step_in_float64(angle, speed, float(torque), mass, length)
        observation = Pendulum().observation(state, KEY, LIGHT)
        np.testing.assert_allclose(observation, [np.cos(angle), np.sin(angle), speed], atol=2e-3)


@pytest.mark.parametrize("sign", [1, -1])
def test_speed_is_clipped_after_it_moved_the_angle(sign):
    after = step(0.0, sign * 20.0, sign * 2.0)
    # 20 + 3 · 2 / (0.5 · 0.4²) · 0.1 = 27.5 moves the angle by 2.75; clipped first, it would move by 2.
    assert float(after.angle) == pytest.approx(sign * 2.75, abs=1e-5)
    assert float(after.speed) == sign * 20


def energies(dt, steps, rod):
    """Energy per unit of inertia along a swing without torque: θ'² / 2 + 3g / (2l) cos θ."""

    class Finer(Pendulum):
        pass

    Finer.dt = dt
    environment = Finer()

    def advance(state, _):
        after = environment.transition(state, jnp.zeros(1), KEY, rod)
        return after, after

    states = jax.lax.scan(advance, Swing(jnp.array(1.0), jnp.array(0.0)), length=steps)[1]
    angle, speed = np.asarray(states.angle, np.float64), np.asarray(states.speed, np.float64)
    return speed**2 / 2 + 15 / float(rod.length) * np.cos(angle)


def test_energy_is_conserved_to_the_order_of_the_integrator():
    rod = Rod(jnp.array(0.7), jnp.array(0.7))
    initial = 15 / 0.7 * np.cos(1.0)
    coarse, fine = (np.abs(energies(dt, round(4 / dt), rod) - initial) for dt in (0.01, 0.005))
    assert coarse.max() / fine.max() == pytest.approx(2, rel=0.1)
    assert coarse.max() < 0.1 * (15 / 0.7)
    # Semi-implicit: the error does not grow with time, as that of the explicit step would.
    assert coarse[-100:].max() < 1.1 * coarse[:100].max() + 1e-9


def test_tip_distance_is_accurate_near_upright_where_the_cosine_form_is_not():
    angle = np.float32(10 ** np.linspace(-6, 0.4, 200))
    rod = Rod(jnp.array(0.6), jnp.array(0.8))
    state = Swing(jnp.asarray(angle), jnp.zeros(200))
    distance = np.asarray(jax.vmap(lambda s: Pendulum().tip_distance(s, rod))(state), np.float64)
    exact = 2 * float(np.float32(0.8)) * np.sin(angle.astype(np.float64) / 2)
    np.testing.assert_allclose(distance, exact, rtol=5e-7)

    cosine_form = np.float32(0.8) * np.sqrt(np.float32(2) - np.float32(2) * np.cos(angle))
    near = angle < 5e-4
    assert np.abs(cosine_form / exact - 1)[near].max() > 0.9
    assert np.median(np.abs(cosine_form / exact - 1)[near]) > 0.1


@pytest.mark.parametrize(("mass", "length"), TRAINING + TEST)
def test_success_is_a_tip_within_half_a_thousandth_of_the_length(mass, length):
    rod = Rod(jnp.array(mass), jnp.array(length))
    for angle, expected in [(0.0, True), (4.99e-4, True), (-4.99e-4, True), (5.01e-4, False), (-5.01e-4, False)]:
        state, elsewhere = Swing(jnp.array(angle), jnp.array(3.0)), Swing(jnp.array(1.0), jnp.array(0.0))
        assert Pendulum().success(state, rod) == expected
        assert Pendulum(sparse=True).reward(elsewhere, jnp.zeros(1), state, KEY, rod) == float(expected)
        dense = Pendulum(sparse=False).reward(elsewhere, jnp.zeros(1), state, KEY, rod)
        assert float(dense) == pytest.approx(-2 * length * np.sin(abs(angle) / 2), rel=1e-5)
    hanging = Swing(jnp.array(np.pi), jnp.array(0.0))
    assert float(Pendulum().reward(hanging, jnp.zeros(1), hanging, KEY, rod)) == pytest.approx(-2 * length, rel=1e-6)


def test_a_full_turn_ends_where_it_began():
    # Towards upright from the far side: the angle is reported near 0, not near 2π.
    start = 2 * np.pi - 3.5
    after = step(start, 20.0, 2.0)
    expected, _ = step_in_float64(float(np.float32(start)), 20.0, 2.0, 0.5, 0.4)
    assert expected > np.pi
    assert float(after.angle) == pytest.approx(expected - 2 * np.pi, abs=2e-6)


def test_starts_hanging_and_almost_at_rest():
    states = jax.jit(jax.vmap(lambda key: Pendulum().initial(key, LIGHT)))(jax.random.split(KEY, 20_000))
    angle = np.mod(np.asarray(states.angle, np.float64), 2 * np.pi)
    assert np.abs(states.angle).max() <= np.pi + 1e-6
    assert stats.kstest(angle, stats.uniform(3.0, 0.28).cdf).pvalue > 1e-3
    assert stats.kstest(np.asarray(states.speed, np.float64), stats.uniform(-0.01, 0.02).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(angle, states.speed)[0, 1]) < 0.03


def test_rods_are_those_of_the_design():
    assert rods_of(Pendulum().sample_tasks(KEY, 6)) == TRAINING
    test_tasks = Pendulum().test_tasks()
    assert rods_of(test_tasks) == TEST
    np.testing.assert_allclose(test_tasks.mass, [0.6, 0.6, 0.8, 0.8])


def test_unseen_rods_are_outside_the_range_of_all_others():
    assert rods_of(Pendulum().unseen_batch(0)) == [(0.4, 0.3), (0.4, 0.9), (0.9, 0.3), (0.9, 0.9)]


@pytest.mark.parametrize("num_tasks", [1, 4, 6, 7, 20])
def test_training_rods_occur_equally_often_or_once_more(num_tasks):
    batches = [rods_of(Pendulum().sample_tasks(key, num_tasks)) for key in jax.random.split(KEY, 20)]
    for batch in batches:
        assert len(batch) == num_tasks
        counts = [batch.count(rod) for rod in TRAINING]
        assert sum(counts) == num_tasks
        assert max(counts) - min(counts) <= 1
    if num_tasks % len(TRAINING):
        assert any(batch != batches[0] for batch in batches)


def test_repeat_evenly_is_random_and_compiles():
    tasks = {"number": jnp.arange(5), "vector": jnp.arange(10.0).reshape(5, 2)}
    draw = jax.jit(jax.vmap(lambda key: repeat_evenly(key, tasks, 13)))
    drawn = draw(jax.random.split(KEY, 200))
    np.testing.assert_array_equal(drawn["vector"][..., 0], 2 * drawn["number"])
    counts = np.stack([np.bincount(batch, minlength=5) for batch in np.asarray(drawn["number"])])
    assert set(counts.ravel().tolist()) == {2, 3}
    # Which three tasks occur once more is uniformly random: 200 · 3 / 5 times each, with standard deviation 7.
    assert (np.abs((counts == 3).sum(axis=0) - 120) < 35).all()
