"""The exact information gain of episodes: brute force in float64, and what it must not depend on."""

import subprocess
import sys
from pathlib import Path

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.exploration.bonus import Bonus
from mime.exploration.linear_gain import LinearInformationGain
from mime.sampling.episodes import Episodes
from tests.exploration.test_regression import one_after_the_other, without_each

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
BOX = gymnasium.spaces.Box(np.array([-0.1, 0.0], np.float32), np.array([0.1, 3.0], np.float32))
# Features are exact to 2e-7, and angles up to 20 to 1e-6; the rest is said where regression is tested.
EXACT = 1e-5
SHAPE = (5, 30)


def episodes_of(observations, actions, arrived, valid=None):
    """Episodes of which only the bonus's inputs matter."""
    shape = observations.shape[:2]
    valid = np.ones(shape, bool) if valid is None else valid
    arrays = observations, actions, np.zeros(shape), arrived
    floats = (jnp.asarray(a, jnp.int32 if a.dtype.kind == "i" else jnp.float32) for a in arrays)
    return Episodes(*floats, jnp.zeros(shape, bool), jnp.asarray(valid))


def walks(shape=SHAPE, valid=None):
    """Random walks in units that differ, with actions of which some are outside of their box."""
    actions = RNG.normal(size=(*shape, 2)) * [0.1, 2]
    arrived = np.cumsum(actions, axis=1) * [1, 30] + 5
    return episodes_of(np.concatenate([0 * arrived[:, :1], arrived[:, :-1]], axis=1), actions, arrived, valid)


def bonus_of(**options):
    defaults = {"observation_size": 2, "action_space": BOX, "num_features": 64}
    return LinearInformationGain(**defaults | options)


def rewards_of(bonus, episodes):
    return np.asarray(jax.jit(bonus.rewards)(bonus.init(key=KEY), episodes, key=KEY))


def features_of(bonus, episodes, actions):
    """Features of all steps, in float64."""
    valid = np.asarray(episodes.valid)

    def in_deviations(vectors):
        vectors = np.asarray(vectors, float)
        spread = vectors[valid].std(axis=0)
        return (vectors - vectors[valid].mean(axis=0)) / np.where(spread > 0, spread, np.inf)

    before, arrived = in_deviations(episodes.observations), in_deviations(episodes.next_observations)
    parts = {"transition": [before, actions], "arrival": [arrived], "both": [before, actions, arrived]}[bonus.inputs]
    angles = np.concatenate(parts, axis=-1) @ np.asarray(bonus.init(key=KEY).frequencies, float)
    features = np.concatenate([np.cos(angles), np.sin(angles)], axis=-1) / np.sqrt(bonus.num_features / 2)
    return np.where(valid[..., None], features, 0)


def scaled(actions):
    """The box above in halves from its middle."""
    return (np.clip(np.asarray(actions, float), BOX.low, BOX.high) - [0, 1.5]) / [0.1, 1.5]


EXPECTED = {"chain-rule": one_after_the_other, "leave-one-out": without_each}


@pytest.mark.parametrize("form", EXPECTED)
@pytest.mark.parametrize("inputs", ["transition", "arrival", "both"])
def test_gains_by_brute_force(inputs, form):
    bonus, episodes = bonus_of(inputs=inputs, form=form, length_scale=0.7, noise_variance=0.2), walks()
    expected = EXPECTED[form](features_of(bonus, episodes, scaled(episodes.actions)), 0.2)
    np.testing.assert_allclose(rewards_of(bonus, episodes), expected, atol=EXACT)


def test_discrete_actions_are_seen_one_hot():
    bonus = bonus_of(action_space=gymnasium.spaces.Discrete(3))
    episodes, actions = walks(), RNG.integers(0, 3, SHAPE)
    episodes = episodes_of(np.asarray(episodes.observations), actions, np.asarray(episodes.next_observations))
    expected = one_after_the_other(features_of(bonus, episodes, np.eye(3)[actions]), 0.1)
    np.testing.assert_allclose(rewards_of(bonus, episodes), expected, atol=EXACT)


def test_actions_without_bounds_are_in_standard_deviations():
    bonus, episodes = bonus_of(action_space=gymnasium.spaces.Box(-np.inf, np.inf, (2,))), walks()
    actions = np.asarray(episodes.actions, float)
    expected = one_after_the_other(features_of(bonus, episodes, actions / actions.std(axis=(0, 1))), 0.1)
    np.testing.assert_allclose(rewards_of(bonus, episodes), expected, atol=EXACT)


@pytest.mark.parametrize("form", EXPECTED)
def test_steps_after_an_end_count_nowhere_whatever_they_hold(form):
    valid = np.arange(30) < np.array([[30], [10], [1], [29], [20]])
    bonus, episodes = bonus_of(form=form, inputs="both"), walks(valid=valid)
    ours = rewards_of(bonus, episodes)
    expected = EXPECTED[form](features_of(bonus, episodes, scaled(episodes.actions)), 0.1)
    np.testing.assert_allclose(ours, expected, atol=EXACT)
    assert (ours[~valid] == 0).all()
    spoilt = [
        np.where(valid[..., None], vectors, np.nan)
        for vectors in (episodes.observations, episodes.actions, episodes.next_observations)
    ]
    np.testing.assert_array_equal(rewards_of(bonus, episodes_of(*spoilt, valid)), ours)


def test_observations_that_do_not_vary_or_do_not_count_change_nothing():
    episodes = walks()
    expected = rewards_of(bonus_of(), episodes)

    def joined(*pairs):
        before, arrived = (np.concatenate(pair, axis=-1) for pair in pairs)
        return episodes_of(before, np.asarray(episodes.actions), arrived)

    constant, noise = np.full((*SHAPE, 1), 4.0), RNG.normal(size=(*SHAPE, 1))
    with_noise = joined((noise, episodes.observations), (noise, episodes.next_observations))
    np.testing.assert_allclose(rewards_of(bonus_of(varying=(1, 2)), with_noise), expected, atol=1e-6)
    with_constant = joined((episodes.observations, constant), (episodes.next_observations, constant))
    larger = bonus_of(observation_size=3)
    frequencies = jnp.insert(bonus_of().init(key=KEY).frequencies, 2, 7.0, axis=0)
    state = larger.with_tensors(larger.init(key=KEY), {"frequencies": frequencies})
    np.testing.assert_allclose(larger.rewards(state, with_constant, key=KEY), expected, atol=1e-6)


def test_units_and_origin_of_observations_do_not_matter():
    episodes = walks()
    moved = episodes_of(
        100 * np.asarray(episodes.observations) + 7,
        np.asarray(episodes.actions),
        100 * np.asarray(episodes.next_observations) + 7,
    )
    np.testing.assert_allclose(rewards_of(bonus_of(), moved), rewards_of(bonus_of(), episodes), atol=1e-4)


def test_a_thinned_gain_is_shared_by_the_steps_that_led_to_it():
    episodes = walks((4, 23))
    bonus = bonus_of(thinning=5)
    ours = rewards_of(bonus, episodes)
    kept = features_of(bonus, episodes, scaled(episodes.actions))[:, 4::5]
    expected = one_after_the_other(kept, 0.1)
    np.testing.assert_allclose(ours[:, :20], np.repeat(expected / 5, 5, axis=1), atol=EXACT)
    assert (ours[:, 20:] == 0).all()


def test_trajectories_that_do_the_same_gain_less_than_one_that_goes_elsewhere():
    angles = np.array([0, 0, 0, 0, 2.0])[:, None]
    places = np.stack([np.cos(angles), np.sin(angles)], axis=-1) * np.linspace(0, 5, 30)[:, None]
    gains = rewards_of(bonus_of(inputs="arrival"), episodes_of(places, 0 * places, places)).sum(axis=1)
    assert gains[4] > 3 * gains[:4].max()


def test_a_robot_that_never_moves_gains_the_same_everywhere():
    still = np.ones((*SHAPE, 2))
    gains = rewards_of(bonus_of(form="leave-one-out"), episodes_of(still, still, still))
    np.testing.assert_allclose(gains, gains[0, 0], rtol=1e-3)


def test_it_is_a_bonus_whose_features_are_kept_with_the_run():
    bonus, episodes = bonus_of(), walks()
    assert isinstance(bonus, Bonus)
    state = bonus.init(key=KEY)
    named = bonus.tensors(state)
    assert {name: array.shape for name, array in named.items()} == {"frequencies": (4, 32)}
    restored = bonus.with_tensors(bonus.init(key=jax.random.key(5)), named)
    np.testing.assert_array_equal(*(bonus.rewards(s, episodes, key=KEY) for s in (state, restored)))
    assert bonus.adapt(state, episodes, key=KEY) is state
    assert bonus.update(state, [], episodes, iteration=jnp.zeros((), int), key=KEY) == (state, {})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_features": 0}, "num_features: 0 must be greater than 0"),
        ({"num_features": 33}, "num_features: 33 must be even"),
        ({"length_scale": -1.0}, "length_scale: -1.0 must be greater than 0"),
        ({"noise_variance": float("nan")}, "noise_variance: nan must be greater than 0"),
        ({"noise_variance": 1e-5}, "noise_variance: 1e-05 must be 0.01 or more"),
        ({"thinning": 0}, "thinning: 0 must be greater than 0"),
    ],
)
def test_impossible_values_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        bonus_of(**options)


def test_thinning_must_leave_a_step():
    with pytest.raises(ValueError, match="thinning: 31 is more than the 30 steps of a trajectory"):
        rewards_of(bonus_of(thinning=31), walks())


ON_DEVICES = """
import os, sys
cores = int(sys.argv[1])
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
from mime.commands.terminal import prepare_jax
prepare_jax()
import gymnasium, jax, jax.numpy as jnp, numpy as np
from mime.exploration.linear_gain import LinearInformationGain
from mime.numerics.parallel import over_tasks
from mime.sampling.episodes import Episodes

assert len(jax.devices()) > 2
bonus = LinearInformationGain(2, gymnasium.spaces.Box(-1, 1, (2,)))
state = bonus.init(key=jax.random.key(0))
rng = np.random.default_rng(0)
shape = 4, 10, 140
places, flags = jnp.asarray(np.cumsum(rng.normal(size=(*shape, 2)), 2), jnp.float32), jnp.ones(shape, bool)
episodes = Episodes(places, places, jnp.zeros(shape), places, flags, flags)
rewards = jax.jit(over_tasks(lambda episodes: bonus.rewards(state, episodes, key=jax.random.key(0))))
for _ in range(20):
    gains = jax.block_until_ready(rewards(episodes))
sys.stdout.write(np.asarray(gains).tobytes().hex())
"""


def test_on_one_and_on_two_cores_it_ends_with_the_same_numbers(environment_variables):
    """In processes of their own, killed if they do not end: LAPACK's factorisations, on several devices, would not."""
    gains = [
        subprocess.run(
            [sys.executable, "-c", ON_DEVICES, str(cores)],
            env=environment_variables,
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        ).stdout
        for cores in (1, 2)
    ]
    assert len(gains[0]) == 4 * 10 * 140 * 8
    one, two = (np.frombuffer(bytes.fromhex(each), np.float32) for each in gains)
    np.testing.assert_array_equal(one, two)
