"""Soft actor-critic: who learns from what, and what it comes to."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from mime.configuration.pearl import PearlExperiment
from mime.pearl.networks import Perceptron, named_parameters, with_parameters
from mime.pearl.replay import Transitions
from mime.pearl.sac import SoftActorCritic, TanhGaussian

KEY = jax.random.key(0)


def sac(**keys):
    sizes = {"latent_size": 2, "net_size": 32, "encoder_size": 16}
    return SoftActorCritic(PearlExperiment(**{**sizes, "reward_scale": 1.0, **keys}))


def transitions(count=8, seed=1):
    keys = jax.random.split(jax.random.key(seed), 4)
    return Transitions(
        observations=jax.random.normal(keys[0], (count, 3)),
        actions=jax.random.uniform(keys[1], (count, 1), minval=-1),
        rewards=jax.random.normal(keys[2], (count,)),
        next_observations=jax.random.normal(keys[3], (count, 3)),
        terminals=jnp.zeros(count, bool),
    )


def gradients(loss):
    """Largest gradient of one of the losses with respect to each network."""
    method = sac()
    state = method.init(3, 1, key=KEY)
    # Networks whose last layers are near zero pass hardly any gradient; these ones do.
    networks = jax.tree.map(lambda leaf: leaf + 0.1 * jax.random.normal(KEY, leaf.shape), state.networks)

    def chosen(networks):
        arguments = networks, state.target_value, transitions(), transitions(seed=2), jnp.ones(8, bool), KEY
        return getattr(method.losses(*arguments)[0], loss)

    slopes = jax.jit(jax.grad(chosen))(networks)
    names = ("encoder", "policy", "critics", "value")
    return {n: max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(getattr(slopes, n))) for n in names}


@pytest.mark.parametrize(
    ("loss", "learning"),
    [
        ("critic", {"critics", "encoder"}),
        ("value", {"value"}),
        ("policy", {"policy"}),
        ("divergence", {"encoder"}),
    ],
)
def test_every_loss_moves_its_own_networks_alone(loss, learning):
    for name, slope in gradients(loss).items():
        assert (slope > 1e-6) == (name in learning), (name, slope)
        assert slope == 0 or name in learning


def log_density(mean, log_std, unsquashed):
    return TanhGaussian(jnp.array([mean]), jnp.array([log_std])).log_prob_of_tanh(jnp.array([unsquashed]))


@pytest.mark.parametrize(("mean", "log_std"), [(0.0, 0.0), (0.5, -1.0), (-1.0, 0.3)])
def test_density_of_actions_integrates_to_one(mean, log_std):
    unsquashed = np.linspace(-12, 12, 20_001)
    density = np.exp(jax.vmap(lambda u: log_density(mean, log_std, u))(jnp.asarray(unsquashed, jnp.float32)))
    # In the action a = tanh(u), da = (1 - tanh²(u)) du.
    slope = 1 / np.cosh(unsquashed) ** 2
    assert integrate.simpson(density * slope, unsquashed) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("unsquashed", [-30.0, -10.0, 0.0, 3.0, 10.0, 30.0])
def test_log_density_where_float32_rounds_actions_to_one(unsquashed):
    exact = -0.5 * unsquashed**2 - 0.5 * math.log(2 * math.pi) + 2 * (abs(unsquashed) - math.log(2))
    exact += 2 * math.log1p(math.exp(-2 * abs(unsquashed)))
    assert log_density(0.0, 0.0, unsquashed) == pytest.approx(exact, rel=1e-5)
    slope = jax.grad(lambda u: log_density(0.0, 0.0, u))(unsquashed)
    assert slope == pytest.approx(-unsquashed + 2 * math.tanh(unsquashed), rel=1e-4, abs=1e-6)


def test_samples_have_the_density_they_come_with():
    distribution = TanhGaussian(jnp.array([0.4, -0.2]), jnp.array([-0.5, 0.1]))
    keys = jax.random.split(KEY, 20_000)
    actions, log_probs = jax.vmap(lambda key: distribution.sample_with_log_prob(key=key))(keys)
    assert jnp.all(jnp.abs(actions) <= 1)
    direct = jax.vmap(lambda action: distribution.log_prob_of_tanh(jnp.arctanh(action)))(actions)
    np.testing.assert_allclose(log_probs, direct, atol=2e-2)
    # The share of actions in a box, and the mean of 1 / density there, which is the box's area.
    inside = jnp.all((actions > -0.5) & (actions < 0.9), axis=1)
    assert jnp.mean(jnp.where(inside, jnp.exp(-log_probs), 0)) == pytest.approx(1.4**2, rel=0.05)


def test_the_mode_is_always_the_same_action():
    distribution = TanhGaussian(jnp.array([0.4]), jnp.array([-0.5])).mode()
    for seed in range(3):
        assert distribution.sample(key=jax.random.key(seed)) == pytest.approx(math.tanh(0.4))


def train(method, batch_of, *, steps, tasks=1):
    """Networks after so many updates on batches of one fixed distribution."""
    context = jax.tree.map(lambda leaf: jnp.stack([leaf] * tasks), transitions())

    def step(state, key):
        batch_key, update_key = jax.random.split(key)
        return method.update(state, batch_of(batch_key), context, jnp.ones((tasks, 8), bool), update_key)

    run = jax.jit(lambda state: jax.lax.scan(step, state, jax.random.split(KEY, steps)))
    state, metrics = run(method.init(3, 1, key=KEY))
    return state, jax.tree.map(lambda leaf: leaf[-steps // 4 :].mean(), metrics)


def test_value_of_a_world_where_nothing_matters():
    """Reward 1 whatever one does: the best policy is uniform, its soft value (1 + log 2) / (1 - discount)."""

    def batch_of(key):
        actions = jax.random.uniform(key, (1, 64, 1), minval=-1)
        here = jnp.zeros((1, 64, 3))
        return Transitions(here, actions, jnp.ones((1, 64)), here, jnp.zeros((1, 64), bool))

    rates = dict.fromkeys(("policy_lr", "qf_lr", "vf_lr", "context_lr"), 2e-3)
    method = sac(discount=0.8, soft_target_tau=0.05, **rates)
    state, metrics = train(method, batch_of, steps=1500)
    expected = (1 + math.log(2)) / (1 - 0.8)
    assert metrics["Critic/Q"] == pytest.approx(expected - math.log(2), rel=0.03)
    value = state.networks.value(jnp.zeros(3), jnp.zeros(2))[0]
    assert value == pytest.approx(expected, rel=0.05)
    assert metrics["Policy/Entropy"] == pytest.approx(math.log(2), abs=0.05)


def test_best_action_of_a_world_of_one_step():
    """Reward -10 (a - 0.5)², then the end: critics learn the reward itself, and the policy the density exp(reward)."""

    def batch_of(key):
        actions = jax.random.uniform(key, (1, 64, 1), minval=-1)
        here = jnp.zeros((1, 64, 3))
        return Transitions(here, actions, -10 * (actions[..., 0] - 0.5) ** 2, here, jnp.ones((1, 64), bool))

    rates = dict.fromkeys(("policy_lr", "qf_lr", "vf_lr", "context_lr"), 2e-3)
    state, _ = train(sac(discount=0.99, **rates), batch_of, steps=1500)
    grid, latent = np.linspace(-1, 1, 2001), jnp.zeros(2)
    weight = np.exp(-10 * (grid - 0.5) ** 2)
    mean = integrate.simpson(grid * weight, grid) / integrate.simpson(weight, grid)
    distribution = state.networks.act(jnp.zeros(3), latent)
    samples = jax.vmap(lambda key: distribution.sample(key=key))(jax.random.split(KEY, 2000))
    assert jnp.mean(samples) == pytest.approx(mean, abs=0.05)
    for critic in state.networks.critics:
        values = [float(critic(jnp.zeros(3), jnp.array([action]), latent)[0]) for action in (-0.5, 0.0, 0.5)]
        np.testing.assert_allclose(values, [-10, -2.5, 0], atol=0.5)
    value = state.networks.value(jnp.zeros(3), latent)[0]
    assert value == pytest.approx(math.log(integrate.simpson(weight, grid)), abs=0.15)


def test_rewards_are_scaled_and_targets_follow_slowly():
    method = sac(reward_scale=5.0, soft_target_tau=0.1, vf_lr=0.01)
    before = method.init(3, 1, key=KEY)
    batch, context = (jax.tree.map(lambda leaf: leaf[None], transitions(seed=seed)) for seed in (1, 2))
    after, metrics = jax.jit(method.update)(before, batch, context, jnp.ones((1, 8), bool), KEY)
    expected = 0.9 * before.target_value.layers[0].weight + 0.1 * after.networks.value.layers[0].weight
    np.testing.assert_allclose(after.target_value.layers[0].weight, expected, rtol=1e-5, atol=1e-7)
    # Both critics start near 0, so that each one's squared error is that of the scaled reward and the first value.
    assert float(metrics["Critic/Loss"]) == pytest.approx(2 * 25 * float(jnp.mean(batch.rewards**2)), rel=0.05)


def test_rates_belong_to_their_networks():
    rates = {"context_lr": 1e-1, "policy_lr": 1e-2, "qf_lr": 1e-3, "vf_lr": 1e-4}
    method = sac(**rates)
    before = method.init(3, 1, key=KEY)
    batch, context = (jax.tree.map(lambda leaf: leaf[None], transitions(seed=seed)) for seed in (1, 2))
    after, _ = jax.jit(method.update)(before, batch, context, jnp.ones((1, 8), bool), KEY)
    for name, rate in zip(("encoder", "policy", "critics", "value"), rates.values()):
        here, there = (jax.tree.leaves(getattr(state.networks, name)) for state in (before, after))
        # The first step of Adam is as long as its rate wherever there is a gradient.
        moved = max(float(jnp.abs(a - b).max()) for a, b in zip(here, there))
        assert moved == pytest.approx(rate, rel=0.05), name


def test_an_update_that_is_not_finite_is_left_out():
    method = sac()
    before = method.init(3, 1, key=KEY)
    batch = jax.tree.map(lambda leaf: leaf[None], transitions())
    poisoned = Transitions(
        batch.observations, batch.actions, batch.rewards.at[0, 3].set(jnp.nan), batch.next_observations, batch.terminals
    )
    after, metrics = jax.jit(method.update)(before, poisoned, batch, jnp.ones((1, 8), bool), KEY)
    assert metrics["Refused"]
    for here, there in zip(jax.tree.leaves(before), jax.tree.leaves(after)):
        np.testing.assert_array_equal(here, there)
    assert not jax.jit(method.update)(before, batch, batch, jnp.ones((1, 8), bool), KEY)[1]["Refused"]


def test_parameters_survive_a_change_of_names():
    network, other = (Perceptron(3, 2, width=5, key=jax.random.key(seed)) for seed in (1, 2))
    named = named_parameters("policy", network)
    assert named["policy.layer1.weight"].shape == (5, 3)
    assert list(named)[-1] == "policy.layer4.bias"
    restored = with_parameters("policy", other, named)
    for here, there in zip(jax.tree.leaves(restored), jax.tree.leaves(network)):
        np.testing.assert_array_equal(here, there)
