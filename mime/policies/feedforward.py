"""Policies without memory: multilayer perceptrons for continuous and for discrete actions."""

import copy
import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PRNGKeyArray

from mime.envs.environment import ActionUnits
from mime.policies.distributions import Categorical, Distribution, Gaussian
from mime.policies.layers import affine, hidden_features, perceptron, xavier_layers
from mime.policies.policy import Behaviour, Policy

MIN_STD = 1e-6
MIN_LOG_STD = math.log(MIN_STD)


def sized(observation: Float[Array | np.ndarray, "*shape"], size: int) -> Float[Array, "observation"]:
    """The observation as an array, if it has that size.

    Raises:
        ValueError: If it has not.
    """
    seen = jnp.asarray(observation)
    if seen.shape != (size,):
        raise ValueError(
            f"the policy takes an observation of {size} numbers, but got one of shape {seen.shape}; with"
            " observe-reward, the last reward comes after the environment's own numbers, and is 0 at first"
        )
    return seen


class FeedforwardPolicy(Policy):
    """What the two kinds have in common: they draw nothing for an episode, and step down the gradient."""

    layers: eqx.AbstractVar[tuple[eqx.nn.Linear, ...]]
    input_scale: eqx.AbstractVar[tuple[float, ...] | None]

    @property
    @abstractmethod
    def input_size(self) -> int:
        """Numbers in an observation."""

    def draw(self, keys: Key[Array, "trajectories"]) -> None:
        """Nothing."""

    def given(self, latent: None) -> Behaviour:
        """Itself, whatever the episode."""
        return self

    def distributions(
        self, observations: Float[Array, "trajectories steps observation"], latents: None
    ) -> Distribution:
        """Of the action at every step of one task's episodes."""
        return jax.vmap(jax.vmap(self))(observations)

    def rates(self, fast_lr: float, latent_rate: float = 0.0) -> "FeedforwardPolicy":
        """`fast_lr` for each parameter."""
        return jax.tree.map(lambda leaf: jnp.full_like(leaf, fast_lr), self)

    def step(
        self,
        gradient: "FeedforwardPolicy",
        rates: "FeedforwardPolicy",
        latents: None,
        advantages: Float[Array, "trajectories steps"],
    ) -> "FeedforwardPolicy":
        """Each parameter minus its rate times its slope."""
        return jax.tree.map(lambda parameter, rate, slope: parameter - rate * slope, self, rates, gradient)

    def scaled(self, observation: Float[Array | np.ndarray, "observation"]) -> Float[Array, "observation"]:
        """The observation as the first layer sees it.

        Raises:
            ValueError: If it has another size.
        """
        seen = sized(observation, self.input_size)
        return seen if self.input_scale is None else seen * jnp.asarray(self.input_scale, seen.dtype)

    def named_layers(self) -> dict[str, Array]:
        """The arrays of the hidden layers: layer1.weight, layer1.bias, ..."""
        named = {f"layer{number}": layer for number, layer in enumerate(self.layers, start=1)}
        return {f"{name}.{part}": getattr(layer, part) for name, layer in named.items() for part in ("weight", "bias")}

    def _with(self, **fixed: Any) -> Any:
        """The policy with other values of fields that are no arrays."""
        twin = copy.copy(self)
        for name, value in fixed.items():
            object.__setattr__(twin, name, value)  # It is frozen, and nobody else has it yet.
        return twin

    def _unscaled(self, named: dict[str, Array], power: int = 1) -> dict[str, Array]:
        """The named arrays of a network of unscaled inputs; with a power of -1, of scaled ones."""
        if self.input_scale is None:
            return named
        first = "layer1.weight" if "layer1.weight" in named else "mu.weight"
        scale = jnp.asarray(self.input_scale, named[first].dtype) ** power
        return named | {first: named[first] * scale}

    def _replaced(self, named: dict[str, Array]) -> Any:
        named = self._unscaled(named, power=-1)
        # They are named in the order of the pytree's leaves.
        return jax.tree.unflatten(jax.tree.structure(self), [named[name] for name in self.named_parameters()])


class GaussianPolicy(FeedforwardPolicy):
    """Tanh network for the mean of the action; the standard deviation is learned but does not depend on the state.

    The environment clips actions, the policy does not: log-probabilities are those of the unclipped action. The
    network's numbers are in units of `unit` around `centre`: 1 around 0, or half the box of actions around its middle.

    Args:
        observation_size: Numbers in an observation.
        action_size: Numbers in an action.
        hidden_sizes: Width of each hidden layer.
        nonlinearity: A key of `mime.policies.layers.NONLINEARITIES`.
        box: Of actions, whose half is to be the unit; None for 1 around 0.
        input_scale: Factors of the inputs, before the first layer; None for 1.
        initial_std: Standard deviation of the actions at first, in units.
        min_std: The least that it counts as; below that, its slope is 0.
        key: For the Xavier-uniform initial weights. Biases start at 0.
    """

    layers: tuple[eqx.nn.Linear, ...]
    mu: eqx.nn.Linear
    sigma: Float[Array, "action"]
    nonlinearity: str = eqx.field(static=True)
    centre: tuple[float, ...] | None = eqx.field(static=True)
    unit: tuple[float, ...] | None = eqx.field(static=True)
    input_scale: tuple[float, ...] | None = eqx.field(static=True)
    min_log_std: float = eqx.field(static=True)

    def __init__(
        self,
        observation_size: int,
        action_size: int,
        *,
        hidden_sizes: Sequence[int] = (64, 64),
        nonlinearity: str = "tanh",
        box: gymnasium.spaces.Box | None = None,
        input_scale: Sequence[float] | None = None,
        initial_std: float = 1.0,
        min_std: float = MIN_STD,
        key: PRNGKeyArray,
    ):
        *hidden, self.mu = xavier_layers([observation_size, *hidden_sizes, action_size], key=key)
        self.layers = tuple(hidden)
        self.sigma = jnp.zeros(action_size) + math.log(initial_std)  # `full` would be weakly typed, the next one not.
        self.nonlinearity, self.input_scale = nonlinearity, None if input_scale is None else tuple(input_scale)
        self.min_log_std = math.log(min_std)
        self.centre = None if box is None else tuple(((box.high + box.low) / 2).tolist())
        self.unit = None if box is None else tuple(((box.high - box.low) / 2).tolist())

    @property
    def input_size(self) -> int:
        """Of the first layer, which without hidden ones is the last."""
        return (*self.layers, self.mu)[0].weight.shape[1]

    def __call__(self, observation: Float[Array | np.ndarray, "observation"]) -> Gaussian:
        """The distribution of the action in one state. `sigma` is the logarithm of the standard deviation, in units."""
        mean = affine(self.mu, hidden_features(self.layers, self.nonlinearity, self.scaled(observation)))
        log_std = jnp.maximum(self.sigma, self.min_log_std)
        if self.unit is None:  # Without a box nothing is computed: 0 + 1 x costs time, and changes how sums round.
            return Gaussian(mean, log_std)
        unit = jnp.array(self.unit)
        return Gaussian(jnp.array(self.centre) + unit * mean, jnp.log(unit) + log_std)

    def named_parameters(self) -> dict[str, Array]:
        """layer1.weight, layer1.bias, ..., mu.weight, mu.bias, sigma; actions in the environment's units."""
        weight, bias, sigma = self.mu.weight, self.mu.bias, self.sigma
        assert bias is not None
        if self.unit is not None:
            unit = jnp.array(self.unit)
            weight, bias, sigma = unit[:, None] * weight, jnp.array(self.centre) + unit * bias, jnp.log(unit) + sigma
        return self._unscaled(self.named_layers() | {"mu.weight": weight, "mu.bias": bias, "sigma": sigma})

    def in_units(self, units: ActionUnits) -> "GaussianPolicy":
        """With another centre and another unit."""
        centre, unit = (0.0, 1.0) if self.unit is None else (np.array(self.centre), np.array(self.unit))
        centre, unit = units.offset + units.gain * centre, units.gain * unit
        return self._with(centre=tuple(centre.tolist()), unit=tuple(unit.tolist()))

    def acting(self) -> "GaussianPolicy":
        """The policy with a standard deviation of at least min_std."""
        return eqx.tree_at(lambda p: p.sigma, self, jnp.maximum(self.sigma, self.min_log_std))

    def with_parameters(self, named: dict[str, Array]) -> "GaussianPolicy":
        """The policy with its arrays replaced by those of the same names."""
        if self.unit is not None:
            unit = jnp.array(self.unit)
            named = named | {
                "mu.weight": named["mu.weight"] / unit[:, None],
                "mu.bias": (named["mu.bias"] - jnp.array(self.centre)) / unit,
                "sigma": named["sigma"] - jnp.log(unit),
            }
        return self._replaced(named)


class CategoricalPolicy(FeedforwardPolicy):
    """Tanh network for the logits of discrete actions.

    Args:
        observation_size: Numbers in an observation.
        num_actions: Number of actions to choose from.
        hidden_sizes: Width of each hidden layer.
        nonlinearity: A key of `mime.policies.layers.NONLINEARITIES`.
        input_scale: Factors of the inputs, before the first layer; None for 1.
        key: For the Xavier-uniform initial weights. Biases start at 0.
    """

    layers: tuple[eqx.nn.Linear, ...]
    nonlinearity: str = eqx.field(static=True)
    input_scale: tuple[float, ...] | None = eqx.field(static=True)
    start: int = eqx.field(static=True)

    def __init__(
        self,
        observation_size: int,
        num_actions: int,
        *,
        hidden_sizes: Sequence[int] = (64, 64),
        nonlinearity: str = "tanh",
        input_scale: Sequence[float] | None = None,
        key: PRNGKeyArray,
    ):
        self.layers = tuple(xavier_layers([observation_size, *hidden_sizes, num_actions], key=key))
        self.start = 0
        self.nonlinearity, self.input_scale = nonlinearity, None if input_scale is None else tuple(input_scale)

    @property
    def input_size(self) -> int:
        """Of the first layer."""
        return self.layers[0].weight.shape[1]

    def __call__(self, observation: Float[Array | np.ndarray, "observation"]) -> Categorical:
        """The distribution of the action in one state."""
        return Categorical(perceptron(self.layers, self.nonlinearity, self.scaled(observation)), self.start)

    def in_units(self, units: ActionUnits) -> "CategoricalPolicy":
        """With another number of the first action."""
        return self._with(start=int(units.offset))

    def named_parameters(self) -> dict[str, Array]:
        """layer1.weight, layer1.bias, ...; the last layer gives the logits."""
        return self._unscaled(self.named_layers())

    def with_parameters(self, named: dict[str, Array]) -> "CategoricalPolicy":
        """The policy with its arrays replaced by those of the same names."""
        return self._replaced(named)
