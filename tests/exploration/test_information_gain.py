"""Information gain against loops that really update a network and put it back; the model's own learning."""

import dataclasses
from functools import partial
from types import SimpleNamespace

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mime.configuration.gradients import Experiment
from mime.exploration import bnn
from mime.exploration.bnn import BayesianNetwork
from mime.exploration.bonus import Bonus, NoBonus
from mime.exploration.gains import adam_gain, closed_form_gain, likelihood_gradients
from mime.exploration.information_gain import InformationGain
from mime.exploration.spaces import Statistics
from mime.sampling.episodes import Episodes
from tests.exploration.making import make_bonus

KEY = jax.random.key(0)
BOX = gymnasium.spaces.Box(-1, 1, (2,))


def make(**changes):
    options = {
        "observation_size": 2,
        "action_space": BOX,
        "num_tasks": 2,
        "normalised_over": 2,
        "normalize_spaces": False,
        "hidden_sizes": (3,),
        "prior_sd": 0.5,
        "kl_scale": 1.0,
        "rate": 1e-3,
        "outer_rate": 1e-3,
        "first_order": False,
        "closed_form": False,
    }
    return InformationGain(**options | changes)


ADAM, CLOSED_FORM = make(), make(closed_form=True)
STATE = ADAM.init(key=KEY)


def make_episodes(seed, *axes, discrete=False):
    """Random observations and actions; the next observation depends on both. Some trajectories end early."""
    rng = np.random.default_rng(seed)
    observations = rng.normal(size=(*axes, 2))
    actions = rng.integers(3, size=axes) if discrete else rng.normal(size=(*axes, 2))
    moved = 0.9 * observations + (0.1 * actions[..., None] if discrete else 0.3 * actions)
    lengths = rng.integers(1, axes[-1] + 1, axes[:-1])
    lengths[..., 0] = axes[-1]
    return Episodes(
        observations=jnp.asarray(observations, float),
        actions=jnp.asarray(actions) if discrete else jnp.asarray(actions, float),
        rewards=jnp.zeros(axes),
        next_observations=jnp.asarray(moved, float),
        success=jnp.zeros(axes, bool),
        valid=jnp.asarray(np.arange(axes[-1]) < lengths[..., None]),
    )


def flat(network):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(network)])


def unflattened(vector, network):
    """A network of the shapes of another from `flat` parameters."""
    leaves, structure = jax.tree.flatten(network)
    pieces = np.split(vector, np.cumsum([leaf.size for leaf in leaves])[:-1])
    return jax.tree.unflatten(structure, [jnp.asarray(p.reshape(x.shape), x.dtype) for p, x in zip(pieces, leaves)])


def kl_of(network, moved):
    """KL(moved || network) of flat parameters, means first."""
    half = len(network) // 2
    old, new = np.logaddexp(0, network[half:]), np.logaddexp(0, moved[half:])
    distance = (moved[:half] - network[:half]) ** 2
    return np.sum(np.log(old / new) + (new**2 + distance) / (2 * old**2) - 0.5)


@pytest.fixture(scope="module")
def transitions():
    """A network and a trajectory in float64, with the gradient of every transition's negative log-likelihood."""
    with jax.enable_x64(True):
        network = BayesianNetwork(4, 2, hidden_sizes=(3,), prior_sd=0.5, key=KEY)
        rng = np.random.default_rng(1)
        inputs, targets = jnp.asarray(rng.normal(size=(6, 4))), jnp.asarray(rng.normal(size=(6, 2)))
        noise = network.draw(6, key=KEY)
        negative_log_likelihood = jax.jit(bnn.negative_log_likelihood)
        gradient = jax.jit(jax.grad(negative_log_likelihood))
        gradients = [flat(gradient(network, *example)) for example in zip(inputs, targets, noise)]
        # Means lead the leaves, deviations follow; the loops below rely on it.
        assert jax.tree.leaves(network)[0] is network.mean[0].weight
    return SimpleNamespace(
        network=network,
        inputs=inputs,
        targets=targets,
        noise=noise,
        gradients=gradients,
        loss=negative_log_likelihood,
    )


def test_gradients_are_those_of_finite_differences(transitions):
    """What the loops below take for granted."""
    t, direction = transitions, np.random.default_rng(2).normal(size=transitions.gradients[0].size)
    with jax.enable_x64(True):
        up, down = (
            float(
                t.loss(unflattened(flat(t.network) + h * direction, t.network), t.inputs[0], t.targets[0], t.noise[0])
            )
            for h in (1e-5, -1e-5)
        )
    assert t.gradients[0] @ direction == pytest.approx((up - down) / 2e-5, rel=1e-7)


def inverse_curvature(network):
    """1 over the second derivative of the divergence: std² for a mean, std² / (2 sigmoid(rho)²) for a rho."""
    rho = network[len(network) // 2 :]
    std, slope = np.logaddexp(0, rho), 1 / (1 + np.exp(-rho))
    return np.concatenate([std**2, std**2 / (2 * slope**2)])


def adam_gains_in_a_loop(before, gradients, rate):
    """The parameters are really moved, the divergence measured, and the next step starts from the old ones again."""
    first = second = np.zeros_like(before)
    for number, gradient in enumerate(gradients, start=1):
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        step = rate * (first / (1 - 0.9**number)) / (np.sqrt(second / (1 - 0.999**number)) + 1e-8)
        yield kl_of(before, before - step)


@pytest.mark.parametrize("rate", [1e-4, 0.1])
def test_adam_gain_like_a_loop_that_updates_and_undoes(transitions, rate):
    t = transitions
    with jax.enable_x64(True):
        gains = jax.jit(lambda *args: adam_gain(*args, rate=rate))(t.network, t.inputs, t.targets, t.noise)
    # The textbook formula of the divergence loses 1e-16 in 1e-8.
    np.testing.assert_allclose(gains, list(adam_gains_in_a_loop(flat(t.network), t.gradients, rate)), rtol=1e-6)


def test_closed_form_gain_like_a_loop(transitions):
    """½ step² g^T H^-1 g with H the numerical Hessian of the divergence, not its formula."""
    t = transitions
    with jax.enable_x64(True):
        gains = jax.jit(closed_form_gain)(t.network, t.inputs, t.targets, t.noise)
    before, h = flat(t.network), 1e-3
    curvature = []
    for i in range(before.size):
        step = h * np.eye(before.size)[i]
        curvature.append((kl_of(before, before + step) + kl_of(before, before - step)) / h**2)
    # Second differences: truncation h² / 12 times a fourth derivative of a few times the second.
    for gain, gradient in zip(gains, t.gradients):
        assert float(gain) == pytest.approx(0.5 * 0.01**2 * np.sum(gradient**2 / curvature), rel=1e-5)


def test_closed_form_gain_is_the_divergence_of_a_small_natural_gradient_step(transitions):
    t = transitions
    with jax.enable_x64(True):
        gains = np.asarray(jax.jit(closed_form_gain)(t.network, t.inputs, t.targets, t.noise))
    before = flat(t.network)
    inverse = inverse_curvature(before)
    for gain, gradient in zip(gains, t.gradients):
        ratios = []
        for size in (1e-5, 1e-6):
            exact = kl_of(before, before - size * inverse * gradient)
            ratios.append(exact / (gain * (size / 0.01) ** 2))
        # The third-order term shrinks with the step.
        assert abs(ratios[1] - 1) < 0.2 * abs(ratios[0] - 1) + 1e-4
        assert ratios[1] == pytest.approx(1, abs=1e-2)


@partial(jax.jit, static_argnums=0)
def rewards_of(bonus, state, episodes):
    return bonus.rewards(state, episodes, key=KEY)


@pytest.mark.parametrize("bonus", [ADAM, CLOSED_FORM], ids=["adam", "closed form"])
def test_rewards_are_the_gains_of_each_trajectory(bonus):
    """In float32. Adam's moments start anew in every trajectory; the network of the state stays what it was."""
    assert isinstance(bonus, Bonus)
    before, episodes = [np.array(leaf) for leaf in jax.tree.leaves(STATE)], make_episodes(3, 3, 6)
    rewards = rewards_of(bonus, STATE, episodes)
    inputs = jnp.concatenate([episodes.observations, episodes.actions], axis=-1)
    stacked = jax.jit(jax.vmap(likelihood_gradients, in_axes=(None, 0, 0, 0)))(
        STATE.network, inputs, episodes.next_observations, STATE.network.draw(3, 6, key=KEY)
    )
    gradients = np.concatenate([np.reshape(leaf, (3, 6, -1)) for leaf in jax.tree.leaves(stacked)], axis=-1)
    network = flat(STATE.network).astype(np.float64)
    for trajectory, gains in zip(gradients.astype(np.float64), rewards):
        if bonus.closed_form:
            expected = 0.5 * 0.01**2 * np.sum(trajectory**2 * inverse_curvature(network), axis=-1)
        else:
            expected = list(adam_gains_in_a_loop(network, trajectory, bonus.rate))
        # Adam's step is exact to a few roundings of 6e-8; where its moments cancel, to a hundred of them.
        np.testing.assert_allclose(gains, expected, rtol=1e-4)
    for leaf, old in zip(jax.tree.leaves(STATE), before):
        np.testing.assert_array_equal(leaf, old)


def test_surprise_is_rewarded():
    """Transitions that contradict the model are worth more than those it predicts."""
    episodes = make_episodes(4, 3, 6)
    inputs = jnp.concatenate([episodes.observations, episodes.actions], axis=-1)
    predicted = jax.vmap(jax.vmap(STATE.network.predict))(inputs)
    known, unknown = (
        np.mean(rewards_of(CLOSED_FORM, STATE, dataclasses.replace(episodes, next_observations=predicted + surprise)))
        for surprise in (0, 30)
    )
    assert unknown > 10 * known


def test_rewards_are_clipped_but_not_a_number_is_not_hidden():
    episodes = make_episodes(5, 3, 6)

    def after(value):
        changed = episodes.next_observations.at[0, 1].set(value)
        return np.asarray(rewards_of(CLOSED_FORM, STATE, dataclasses.replace(episodes, next_observations=changed)))

    assert after(1e9)[0, 1] == 1000
    assert np.all((after(1e9) >= 0) & (after(1e9) <= 1000))
    assert np.isnan(after(np.nan)[0, 1])


def test_steps_after_the_end_do_not_change_those_before():
    episodes = make_episodes(6, 3, 6)
    valid = np.asarray(episodes.valid)
    assert not valid.all()
    garbage = jnp.where(valid[..., None], episodes.next_observations, 1e3)
    clean = np.asarray(rewards_of(ADAM, STATE, episodes))
    garbled = np.asarray(rewards_of(ADAM, STATE, dataclasses.replace(episodes, next_observations=garbage)))
    np.testing.assert_array_equal(clean[valid], garbled[valid])


def examples_of(episodes):
    """Inputs, targets, valid: one row a step of one task."""
    inputs = jnp.concatenate([episodes.observations, episodes.actions], axis=-1)
    return inputs.reshape(-1, 4), episodes.next_observations.reshape(-1, 2), episodes.valid.reshape(-1)


def loss(network, episodes, key, *, kl_scale):
    inputs, targets, valid = examples_of(episodes)
    return bnn.loss(network, inputs, targets, valid, network.draw(len(inputs), key=key), kl_scale=kl_scale)


def descended(network, episodes, key, *, rate, kl_scale):
    gradient = jax.grad(loss)(network, episodes, key, kl_scale=kl_scale)
    return jax.tree.map(lambda parameter, slope: parameter - rate * slope, network, gradient)


def test_adaptation_is_one_gradient_step():
    bonus = make(rate=0.01, kl_scale=2.0)
    with jax.enable_x64(True):
        state, episodes = bonus.init(key=KEY), make_episodes(7, 3, 5)
        adapted = jax.jit(lambda s, e: bonus.adapt(s, e, key=KEY))(state, episodes)
        expected = jax.jit(partial(descended, rate=0.01, kl_scale=2.0))(state.network, episodes, KEY)
        np.testing.assert_allclose(flat(adapted.network), flat(expected), rtol=1e-10)
        assert np.abs(flat(adapted.network) - flat(state.network)).max() > 1e-3
    others = [jax.tree.leaves((s.optimiser, s.observation_statistics, s.action_statistics)) for s in (adapted, state)]
    for ours, theirs in zip(*others):
        np.testing.assert_array_equal(ours, theirs)


# One compiled program for many tests: tasks, trajectories, steps; an outer rate of 0.01; hardly any adaptation.
SHAPE = (2, 4, 10)
LEARNING = make(outer_rate=0.01 / 9, num_tasks=3, rate=1e-12, normalize_spaces=True, normalised_over=2)


@jax.jit
def compiled_update(state, inner, after, iteration, key):
    return LEARNING.update(state, [inner], after, iteration=iteration, key=key)


def update(state, inner, after, iteration, key=KEY):
    return compiled_update(state, inner, after, iteration, key)


def test_first_iteration_updates_fifty_times_and_later_ones_once():
    state, inner, after = LEARNING.init(key=KEY), make_episodes(8, *SHAPE), make_episodes(9, *SHAPE)
    first, metrics = update(state, inner, after, 0)
    second, _ = update(first, inner, after, 1)
    third, _ = update(second, inner, after, 2)
    assert [int(s.optimiser[0].count) for s in (state, first, second, third)] == [0, 50, 51, 52]
    # Fifty steps of 0.01 away from random weights explain a good part of what there is to explain.
    assert metrics["Dynamics/NewMSELoss"] < 0.8 * metrics["Dynamics/OldMSELoss"]
    # Adam moves a parameter by at most (1 - b1) / sqrt(1 - b2) = 3.2 rates an update.
    assert 0 < np.abs(flat(second.network) - flat(first.network)).max() < 3.2 * 0.01


def test_first_update_moves_every_parameter_by_the_rate_times_squared_tasks():
    state = LEARNING.init(key=KEY)
    new, _ = update(state, make_episodes(10, *SHAPE), make_episodes(11, *SHAPE), 5)
    # Adam's first step is the rate times the gradient's sign; float32 parameters near 1 are exact to 6e-8.
    np.testing.assert_allclose(np.abs(flat(new.network) - flat(state.network)), 0.01, atol=1e-6)


def test_outer_updates_use_fresh_noise():
    state, inner, after = LEARNING.init(key=KEY), make_episodes(10, *SHAPE), make_episodes(11, *SHAPE)
    ends = [flat(update(state, inner, after, 0, jax.random.key(seed))[0].network) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(ends[0], ends[1])
    assert np.all(ends[0] != ends[2])


def test_mean_squared_error_is_that_of_the_mean_weights():
    state, after = LEARNING.init(key=KEY), make_episodes(16, *SHAPE)
    new, metrics = update(state, make_episodes(17, *SHAPE), after, 5)
    assert set(metrics) == {"Dynamics/OldMSELoss", "Dynamics/NewMSELoss"}
    for network, name in [(state.network, "Old"), (new.network, "New")]:
        errors = []
        for task in range(2):
            inputs, targets, valid = examples_of(jax.tree.map(lambda leaf, i=task: leaf[i], after))
            predictions = np.asarray(jax.vmap(network.predict)(inputs), np.float64)
            errors.append(np.mean((predictions - targets)[np.asarray(valid)] ** 2))
        assert float(metrics[f"Dynamics/{name}MSELoss"]) == pytest.approx(np.mean(errors), rel=1e-5)


@pytest.mark.parametrize("first_order", [False, True])
def test_outer_gradient_goes_through_the_adaptations(first_order):
    """Against finite differences of the loss written out; in first order, with the adaptations' changes held fixed.

    Adam's first moment after one update is a tenth of the gradient.
    """
    bonus = make(rate=0.02, first_order=first_order, hidden_sizes=())
    with jax.enable_x64(True):
        state = bonus.init(key=KEY)
        inner, after = [make_episodes(seed, 2, 2, 3) for seed in (12, 13)], make_episodes(14, 2, 2, 3)
        compute = jax.jit(lambda s: bonus.update(s, inner, after, iteration=jnp.asarray(1), key=KEY)[0].optimiser[0].mu)
        gradient = 10 * flat(compute(state))

        def adapted(network, task_inner, keys):
            for episodes, key in zip(task_inner, keys):
                network = descended(network, episodes, key, rate=0.02, kl_scale=1.0)
            return network

        def task_loss(network, change, task_inner, task_after, keys):
            *inner_keys, after_key = keys
            moved = jax.tree.map(jnp.add, network, change) if first_order else adapted(network, task_inner, inner_keys)
            return loss(moved, task_after, after_key, kl_scale=1.0)

        inner_key, after_key = jax.random.split(KEY)
        stage_keys = [*(jax.random.fold_in(inner_key, step) for step in range(2)), jax.random.fold_in(after_key, 0)]
        task_keys = [jax.random.split(key, 2) for key in stage_keys]
        ends = jax.jit(jax.vmap(adapted, in_axes=(None, 0, 0)))(state.network, inner, task_keys[:2])
        changes = jax.tree.map(jnp.subtract, ends, state.network)
        losses = jax.jit(jax.vmap(task_loss, in_axes=(None, 0, 0, 0, 0)))
        for direction in np.random.default_rng(15).normal(size=(3, gradient.size)):
            up, down = (
                float(jnp.mean(losses(unflattened(at, state.network), changes, inner, after, task_keys)))
                for at in (flat(state.network) + 1e-5 * direction, flat(state.network) - 1e-5 * direction)
            )
            assert gradient @ direction == pytest.approx((up - down) / 2e-5, rel=1e-6)


def test_statistics_follow_the_warm_up_and_freeze():
    state, seen = LEARNING.init(key=KEY), []
    for iteration in range(4):
        inner, after = make_episodes(20 + iteration, *SHAPE), make_episodes(30 + iteration, *SHAPE)
        state, _ = update(state, inner, after, iteration)
        seen += [inner, after] if iteration < 2 else []
        for statistics, name in [(state.observation_statistics, "observations"), (state.action_statistics, "actions")]:
            data = np.concatenate([np.asarray(getattr(e, name))[np.asarray(e.valid)] for e in seen])
            assert float(statistics.count) == len(data)
            np.testing.assert_allclose(statistics.mean, data.mean(axis=0), atol=1e-6)
            np.testing.assert_allclose(statistics.sum_of_squares / len(data), data.var(axis=0), rtol=1e-5)


def test_the_model_sees_standardised_observations_and_actions():
    rng, episodes = np.random.default_rng(40), make_episodes(41, 3, 6)
    shift, scale = rng.normal(size=(2, 2)), rng.random((2, 2)) + 0.5
    known = [Statistics(jnp.asarray(10.0), jnp.asarray(m, float), jnp.asarray(10 * s**2)) for m, s in zip(shift, scale)]
    knowing = eqx.tree_at(lambda s: (s.observation_statistics, s.action_statistics), STATE, tuple(known))
    standardised = dataclasses.replace(
        episodes,
        observations=(episodes.observations - shift[0]) / scale[0],
        next_observations=(episodes.next_observations - shift[0]) / scale[0],
        actions=(episodes.actions - shift[1]) / scale[1],
    )
    ours, theirs = (rewards_of(CLOSED_FORM, *pair) for pair in [(knowing, episodes), (STATE, standardised)])
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def test_discrete_actions_are_one_hot():
    """The model is rewarded for them as it is for vectors of zeros and a one."""
    spaces = gymnasium.spaces.Discrete(3), gymnasium.spaces.Box(0, 1, (3,))
    discrete, vector = (make(action_space=space, closed_form=True, hidden_sizes=()) for space in spaces)
    state, episodes = discrete.init(key=KEY), make_episodes(50, 3, 6, discrete=True)
    assert state.network.mean[0].weight.shape == (2, 2 + 3)
    vectors = dataclasses.replace(episodes, actions=jnp.asarray(np.eye(3)[np.asarray(episodes.actions)], float))
    np.testing.assert_array_equal(rewards_of(discrete, state, episodes), rewards_of(vector, state, vectors))


def test_tensors_name_everything_that_was_learned():
    bonus = make(normalize_spaces=True)
    rng = np.random.default_rng(60)
    blank = bonus.init(key=KEY)
    learned = {n: jnp.asarray(rng.random(a.shape), a.dtype) for n, a in bonus.tensors(blank).items()}
    assert {name: array.shape for name, array in learned.items()} == {
        "layer1.weight_mu": (3, 4),
        "layer1.bias_mu": (3,),
        "layer2.weight_mu": (2, 3),
        "layer2.bias_mu": (2,),
        "layer1.weight_rho": (3, 4),
        "layer1.bias_rho": (3,),
        "layer2.weight_rho": (2, 3),
        "layer2.bias_rho": (2,),
        "observation.count": (),
        "observation.mean": (2,),
        "observation.sum_of_squares": (2,),
        "action.count": (),
        "action.mean": (2,),
        "action.sum_of_squares": (2,),
    }
    state = bonus.with_tensors(blank, dict(reversed(learned.items())))
    np.testing.assert_array_equal(state.network.mean[1].weight, learned["layer2.weight_mu"])
    np.testing.assert_array_equal(state.network.rho[0].bias, learned["layer1.bias_rho"])
    np.testing.assert_array_equal(state.observation_statistics.mean, learned["observation.mean"])
    np.testing.assert_array_equal(state.action_statistics.sum_of_squares, learned["action.sum_of_squares"])
    for name, array in bonus.tensors(state).items():
        np.testing.assert_array_equal(array, learned[name])


def test_the_configuration_decides():
    spaces = gymnasium.spaces.Box(-1, 1, (2,)), BOX
    assert isinstance(make_bonus(Experiment(), *spaces, num_tasks=3), NoBonus)
    bonus = make_bonus(
        Experiment(
            use_vime=True,
            dyn_hidden=(7, 6),
            dyn_fast_lr=0.003,
            dyn_prior_sd=0.2,
            dyn_kl_scale=2.0,
            dyn_second_order=True,
            pre_epochs=4,
            normalize_spaces=True,
            first_order=True,
            dyn_memory=50,
            dyn_within_task=True,
        ),
        *spaces,
        num_tasks=3,
    )
    assert vars(bonus) == {
        "observation_size": 2,
        "action_space": BOX,
        "num_tasks": 3,
        "normalised_over": 4,
        "normalize_spaces": True,
        "hidden_sizes": (7, 6),
        "prior_sd": 0.2,
        "kl_scale": 2.0,
        "rate": 0.003,
        "outer_rate": 0.003,
        "first_order": True,
        "closed_form": True,
        "memory": 50,
        "within_task": True,
        "varying": None,
    }
    assert make_bonus(Experiment(use_vime=True, dyn_lr=0.5), *spaces, num_tasks=3).rate == 0.5
