"""Stochastic policies: multilayer perceptrons over Gaussian and categorical actions."""

import math
from collections.abc import Sequence
from itertools import pairwise

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

NONLINEARITIES = {"tanh": jnp.tanh, "relu": jax.nn.relu, "elu": jax.nn.elu, "sigmoid": jax.nn.sigmoid}
MIN_LOG_STD = math.log(1e-6)


class Gaussian(eqx.Module):
    """A normal distribution with independent coordinates."""

    mean: Float[Array, "*batch action"]
    log_std: Float[Array, "*batch action"]

    def sample(self, *, key: PRNGKeyArray) -> Float[Array, "*batch action"]:
        """One action, unclipped."""
        return self.mean + jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape)

    def log_prob(self, action: Float[Array, "*batch action"]) -> Float[Array, "*batch"]:
        """Logarithm of the density at `action`."""
        standardised = (action - self.mean) * jnp.exp(-self.log_std)
        return -jnp.sum(0.5 * standardised**2 + self.log_std + 0.5 * math.log(2 * math.pi), axis=-1)

    def kl(self, other: "Gaussian") -> Float[Array, "*batch"]:
        """Kullback-Leibler divergence KL(self || other), in nats."""
        log_ratio = self.log_std - other.log_std
        distance = (self.mean - other.mean) * jnp.exp(-other.log_std)
        return jnp.sum(0.5 * (jnp.exp(2 * log_ratio) + distance**2 - 1) - log_ratio, axis=-1)


class Categorical(eqx.Module):
    """A distribution over discrete actions."""

    logits: Float[Array, "*batch choices"]

    def sample(self, *, key: PRNGKeyArray) -> Int[Array, "*batch"]:
        """One action."""
        return jax.random.categorical(key, self.logits)

    def log_prob(self, action: Int[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Logarithm of the probability of `action`."""
        log_probabilities = jax.nn.log_softmax(self.logits)
        return jnp.take_along_axis(log_probabilities, action[..., None], axis=-1)[..., 0]

    def kl(self, other: "Categorical") -> Float[Array, "*batch"]:
        """Kullback-Leibler divergence KL(self || other), in nats."""
        ours, theirs = jax.nn.log_softmax(self.logits), jax.nn.log_softmax(other.logits)
        return jnp.sum(jnp.exp(ours) * (ours - theirs), axis=-1)


Distribution = Gaussian | Categorical


class GaussianPolicy(eqx.Module):
    """Tanh network for the mean of the action; the standard deviation is learned but does not depend on the state.

    The environment clips actions, the policy does not: log-probabilities are those of the unclipped action.

    Args:
        observation_size: Numbers in an observation.
        action_size: Numbers in an action.
        hidden_sizes: Width of each hidden layer.
        nonlinearity: A key of `NONLINEARITIES`.
        key: For the Xavier-uniform initial weights. Biases start at 0, standard deviations at 1.
    """

    layers: tuple[eqx.nn.Linear, ...]
    mu: eqx.nn.Linear
    sigma: Float[Array, "action"]
    nonlinearity: str = eqx.field(static=True)

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        *,
        hidden_sizes: Sequence[int] = (64, 64),
        nonlinearity: str = "tanh",
        key: PRNGKeyArray,
    ):
        *hidden, self.mu = xavier_layers([observation_size, *hidden_sizes, action_size], key=key)
        self.layers = tuple(hidden)
        self.sigma = jnp.zeros(action_size)
        self.nonlinearity = nonlinearity

    def __call__(self, observation: Float[Array | np.ndarray, "observation"]) -> Gaussian:
        """The distribution of the action in one state. `sigma` is the logarithm of the standard deviation."""
        features = _hidden_features(self.layers, self.nonlinearity, observation)
        return Gaussian(mean=_affine(self.mu, features), log_std=jnp.maximum(self.sigma, MIN_LOG_STD))


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
        features = _hidden_features(self.layers[:-1], self.nonlinearity, observation)
        return Categorical(logits=_affine(self.layers[-1], features))


Policy = GaussianPolicy | CategoricalPolicy


def make_policy(
    observation_space: gymnasium.Space,
    action_space: gymnasium.Space,
    *,
    hidden_sizes: Sequence[int],
    nonlinearity: str,
    key: PRNGKeyArray,
) -> Policy:
    """The policy that fits an environment's spaces: categorical for discrete actions, else Gaussian.

    Raises:
        ValueError: For spaces that are neither vectors nor, for actions, discrete.
    """
    if not isinstance(observation_space, gymnasium.spaces.Box) or len(observation_space.shape) != 1:
        raise ValueError(f"observations must be a vector (a Box of one axis), not {observation_space}")
    size = observation_space.shape[0]
    options = {"hidden_sizes": hidden_sizes, "nonlinearity": nonlinearity, "key": key}
    if isinstance(action_space, gymnasium.spaces.Discrete):
        return CategoricalPolicy(size, int(action_space.n), **options)
    if isinstance(action_space, gymnasium.spaces.Box) and len(action_space.shape) == 1:
        return GaussianPolicy(size, action_space.shape[0], **options)
    raise ValueError(f"actions must be Discrete or a Box of one axis, not {action_space}")


def named_parameters(policy: Policy) -> dict[str, Array]:
    """The policy's arrays under the names of the PyTorch state dict: layer1.weight [out, in], ..., mu.weight, sigma."""
    layers = {f"layer{number}": layer for number, layer in enumerate(policy.layers, start=1)}
    if isinstance(policy, GaussianPolicy):
        layers["mu"] = policy.mu
    named = {f"{name}.{part}": getattr(layer, part) for name, layer in layers.items() for part in ("weight", "bias")}
    return named | ({"sigma": policy.sigma} if isinstance(policy, GaussianPolicy) else {})


def with_parameters(policy: Policy, named: dict[str, Array]) -> Policy:
    """The policy with its arrays replaced by those of the same names."""
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


def _hidden_features(layers: Sequence[eqx.nn.Linear], nonlinearity: str, observation: Array | np.ndarray) -> Array:
    features = jnp.asarray(observation)
    for layer in layers:
        features = NONLINEARITIES[nonlinearity](_affine(layer, features))
    return features


def _affine(layer: eqx.nn.Linear, features: Array) -> Array:
    # The features come first, so that a batch of them stays the rows of every matrix product: nothing is transposed.
    assert layer.bias is not None
    return features @ layer.weight.T + layer.bias
