"""Stochastic policies: multilayer perceptrons for Gaussian and categorical actions, and what a latent adds to them."""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from mime.policies.distributions import Categorical, Gaussian

NONLINEARITIES = {"tanh": jnp.tanh, "relu": jax.nn.relu, "elu": jax.nn.elu, "sigmoid": jax.nn.sigmoid}
MIN_LOG_STD = math.log(1e-6)


class GaussianPolicy(eqx.Module):
    """Tanh network for the mean of the action; the standard deviation is learned but does not depend on the state.

    The environment clips actions, the policy does not: log-probabilities are those of the unclipped action. The
    network's numbers are in units of `unit` around `centre`: 1 around 0, or half the box of actions around its middle.

    Args:
        observation_size: Numbers in an observation.
        action_size: Numbers in an action.
        hidden_sizes: Width of each hidden layer.
        nonlinearity: A key of `NONLINEARITIES`.
        box: Of actions, whose half is to be the unit; None for 1 around 0.
        initial_std: Standard deviation of the actions at first, in units.
        key: For the Xavier-uniform initial weights. Biases start at 0.
    """

    layers: tuple[eqx.nn.Linear, ...]
    mu: eqx.nn.Linear
    sigma: Float[Array, "action"]
    nonlinearity: str = eqx.field(static=True)
    centre: tuple[float, ...] | None = eqx.field(static=True)
    unit: tuple[float, ...] | None = eqx.field(static=True)

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        *,
        hidden_sizes: Sequence[int] = (64, 64),
        nonlinearity: str = "tanh",
        box: gymnasium.spaces.Box | None = None,
        initial_std: float = 1.0,
        key: PRNGKeyArray,
    ):
        *hidden, self.mu = xavier_layers([observation_size, *hidden_sizes, action_size], key=key)
        self.layers = tuple(hidden)
        self.sigma = jnp.zeros(action_size) + math.log(initial_std)  # `full` would be weakly typed, the next one not.
        self.nonlinearity = nonlinearity
        self.centre = None if box is None else tuple(((box.high + box.low) / 2).tolist())
        self.unit = None if box is None else tuple(((box.high - box.low) / 2).tolist())

    def __call__(self, observation: Float[Array | np.ndarray, "observation"]) -> Gaussian:
        """The distribution of the action in one state. `sigma` is the logarithm of the standard deviation, in units."""
        mean = _affine(self.mu, _hidden_features(self.layers, self.nonlinearity, observation))
        log_std = jnp.maximum(self.sigma, MIN_LOG_STD)
        if self.unit is None:
            return Gaussian(mean, log_std)
        unit = jnp.array(self.unit)
        return Gaussian(jnp.array(self.centre) + unit * mean, jnp.log(unit) + log_std)


class CategoricalPolicy(eqx.Module):
    """Tanh network for the logits of discrete actions.

    Args:
        observation_size: Numbers in an observation.
        num_actions: Number of actions to choose from.
        hidden_sizes: Width of each hidden layer.
        nonlinearity: A key of `NONLINEARITIES`.
        key: For the Xavier-uniform initial weights. Biases start at 0.
    """

    layers: tuple[eqx.nn.Linear, ...]
    nonlinearity: str = eqx.field(static=True)

    def __init__(
        self,
        observation_size: int,
        num_actions: int,
        *,
        hidden_sizes: Sequence[int] = (64, 64),
        nonlinearity: str = "tanh",
        key: PRNGKeyArray,
    ):
        self.layers = tuple(xavier_layers([observation_size, *hidden_sizes, num_actions], key=key))
        self.nonlinearity = nonlinearity

    def __call__(self, observation: Float[Array | np.ndarray, "observation"]) -> Categorical:
        """The distribution of the action in one state."""
        return Categorical(logits=perceptron(self.layers, self.nonlinearity, observation))


class LatentPolicy(eqx.Module):
    """A policy that sees, besides the observation, a latent that is drawn once for a trajectory and held.

    Noise that is consistent over a trajectory explores further than noise that is drawn anew in every step, and an
    inner step on the latent's distribution turns whole trajectories.

    Args:
        policy: Whose inputs are observations and latent, concatenated.
        latent_size: Numbers in the latent. Its distribution starts as N(0, I).

    References:
        Gupta et al. 2018, MAESN, arXiv 1802.07245. Here the latent's distribution before adaptation is shared by all
        tasks, as the policy's other parameters are.
    """

    policy: GaussianPolicy | CategoricalPolicy
    latent_mean: Float[Array, "latent"]
    latent_log_std: Float[Array, "latent"]

    def __init__(self, policy: GaussianPolicy | CategoricalPolicy, latent_size: int):
        self.policy = policy
        self.latent_mean, self.latent_log_std = jnp.zeros(latent_size), jnp.zeros(latent_size)

    def __call__(
        self, observation: Float[Array | np.ndarray, "observation"], latent: Float[Array, "latent"] | None = None
    ) -> Gaussian | Categorical:
        """The distribution of the action in one state, given the latent; its mean by default."""
        latent = self.latent_mean if latent is None else latent
        return self.policy(jnp.concatenate([jnp.asarray(observation), latent]))

    @property
    def latent(self) -> Gaussian:
        """The latent's distribution."""
        return Gaussian(self.latent_mean, jnp.maximum(self.latent_log_std, MIN_LOG_STD))


Policy = GaussianPolicy | CategoricalPolicy | LatentPolicy
Behaviour = Callable[[Float[Array, "observation"]], Any]
"""A policy, or whatever else maps an observation to a distribution of actions with a method `sample(*, key)`."""


def begin(policy: Behaviour, *, key: PRNGKeyArray) -> tuple[Behaviour, Float[Array, "latent"] | None]:
    """How a policy behaves in a trajectory that begins, and the latent drawn for it; None without one."""
    if not isinstance(policy, LatentPolicy):
        return policy, None
    latent = policy.latent.sample(key=key)
    return lambda observation: policy(observation, latent), latent


def make_policy(
    observation_space: gymnasium.Space,
    action_space: gymnasium.Space,
    *,
    hidden_sizes: Sequence[int],
    nonlinearity: str,
    latent_size: int = 0,
    scale_actions: bool = False,
    initial_std: float = 1.0,
    key: PRNGKeyArray,
) -> Policy:
    """The policy that fits an environment's spaces: categorical for discrete actions, else Gaussian.

    Args:
        observation_space: Of the environment.
        action_space: Of the environment.
        hidden_sizes: Width of each hidden layer.
        nonlinearity: A key of `NONLINEARITIES`.
        latent_size: Numbers in the latent of a trajectory; 0 for a policy without one.
        scale_actions: Let half the box of actions be the unit of the policy.
        initial_std: Standard deviation of continuous actions at first, in units.
        key: For the initial weights.

    Raises:
        ValueError: For spaces that are neither vectors nor, for actions, discrete; for actions to be scaled to a box
            without bounds.
    """
    if not isinstance(observation_space, gymnasium.spaces.Box) or len(observation_space.shape) != 1:
        raise ValueError(f"observations must be a vector (a Box of one axis), not {observation_space}")
    size = observation_space.shape[0] + latent_size
    options = {"hidden_sizes": hidden_sizes, "nonlinearity": nonlinearity, "key": key}
    if isinstance(action_space, gymnasium.spaces.Discrete):
        policy = CategoricalPolicy(size, int(action_space.n), **options)
    elif isinstance(action_space, gymnasium.spaces.Box) and len(action_space.shape) == 1:
        if scale_actions and not action_space.is_bounded():
            raise ValueError(f"scale-actions: true needs a bounded box of actions, not {action_space}")
        box = action_space if scale_actions else None
        policy = GaussianPolicy(size, action_space.shape[0], box=box, initial_std=initial_std, **options)
    else:
        raise ValueError(f"actions must be Discrete or a Box of one axis, not {action_space}")
    return LatentPolicy(policy, latent_size) if latent_size else policy


def named_parameters(policy: Policy) -> dict[str, Array]:
    """The policy's arrays under the names of the PyTorch state dict: layer1.weight [out, in], ..., mu.weight, sigma.

    Those of a latent are called latent.mean and latent.log_std. Actions are in the environment's units: a network with
    these arrays needs to know of no other.
    """
    if isinstance(policy, LatentPolicy):
        latent = {"latent.mean": policy.latent_mean, "latent.log_std": policy.latent_log_std}
        return named_parameters(policy.policy) | latent
    layers = {f"layer{number}": layer for number, layer in enumerate(policy.layers, start=1)}
    named = {f"{name}.{part}": getattr(layer, part) for name, layer in layers.items() for part in ("weight", "bias")}
    if isinstance(policy, CategoricalPolicy):
        return named
    weight, bias, sigma = policy.mu.weight, policy.mu.bias, policy.sigma
    assert bias is not None
    if policy.unit is not None:
        unit = jnp.array(policy.unit)
        weight, bias, sigma = unit[:, None] * weight, jnp.array(policy.centre) + unit * bias, jnp.log(unit) + sigma
    return named | {"mu.weight": weight, "mu.bias": bias, "sigma": sigma}


def with_parameters(policy: Policy, named: dict[str, Array]) -> Policy:
    """The policy with its arrays replaced by those of the same names."""
    if isinstance(policy, LatentPolicy):
        inner = with_parameters(policy.policy, named)
        parts = inner, named["latent.mean"], named["latent.log_std"]
        return eqx.tree_at(lambda p: (p.policy, p.latent_mean, p.latent_log_std), policy, parts)
    if isinstance(policy, GaussianPolicy) and policy.unit is not None:
        unit = jnp.array(policy.unit)
        named = named | {
            "mu.weight": named["mu.weight"] / unit[:, None],
            "mu.bias": (named["mu.bias"] - jnp.array(policy.centre)) / unit,
            "sigma": named["sigma"] - jnp.log(unit),
        }
    # They are named in the order of the pytree's leaves.
    return jax.tree.unflatten(jax.tree.structure(policy), [named[name] for name in named_parameters(policy)])


def xavier_layers(sizes: Sequence[int], *, key: PRNGKeyArray) -> list[eqx.nn.Linear]:
    """Linear layers between consecutive `sizes`, Xavier-uniform weights and zero biases (Glorot & Bengio 2010)."""
    layers = []
    for layer_key, (fan_in, fan_out) in zip(jax.random.split(key, len(sizes) - 1), pairwise(sizes)):
        weight = jax.nn.initializers.xavier_uniform(in_axis=1, out_axis=0)(layer_key, (fan_out, fan_in))
        layer = eqx.nn.Linear(fan_in, fan_out, key=layer_key)
        layers.append(eqx.tree_at(lambda linear: (linear.weight, linear.bias), layer, (weight, jnp.zeros(fan_out))))
    return layers


def perceptron(layers: Sequence[eqx.nn.Linear], nonlinearity: str, inputs: Array | np.ndarray) -> Array:
    """The output of linear layers with the nonlinearity, a key of `NONLINEARITIES`, between them, for one example."""
    return _affine(layers[-1], _hidden_features(layers[:-1], nonlinearity, inputs))


def _hidden_features(layers: Sequence[eqx.nn.Linear], nonlinearity: str, observation: Array | np.ndarray) -> Array:
    features = jnp.asarray(observation)
    for layer in layers:
        features = NONLINEARITIES[nonlinearity](_affine(layer, features))
    return features


def _affine(layer: eqx.nn.Linear, features: Array) -> Array:
    # The features come first, so that a batch of them stays the rows of every matrix product: nothing is transposed.
    assert layer.bias is not None
    return features @ layer.weight.T + layer.bias
