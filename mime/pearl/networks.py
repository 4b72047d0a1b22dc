"""Multilayer perceptrons as PEARL initialises them."""

from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

HIDDEN_LAYERS = 3
HIDDEN_BIAS, FINAL_BOUND = 0.1, 3e-3


class Perceptron(eqx.Module):
    """Three hidden layers with rectified units, and a linear one.

    Args:
        inputs: Numbers that go in.
        outputs: Numbers that come out.
        width: Of each hidden layer.
        key: For the weights: uniform within 1 / sqrt(width), in the last layer within 0.003, so that all outputs are
            near 0 before training.
    """

    layers: tuple[eqx.nn.Linear, ...]

    def __init__(self, inputs: int, outputs: int, *, width: int, key: PRNGKeyArray):
        sizes = [inputs, *[width] * HIDDEN_LAYERS, outputs]
        keys = jax.random.split(key, len(sizes) - 1)
        layers = [eqx.nn.Linear(*pair, key=layer_key) for pair, layer_key in zip(pairwise(sizes), keys)]
        *hidden, last = zip(layers, keys)
        hidden = [_initialised(layer, width**-0.5, HIDDEN_BIAS, key=layer_key) for layer, layer_key in hidden]
        self.layers = (*hidden, _initialised(last[0], FINAL_BOUND, 0.0, key=last[1]))

    def __call__(self, *parts: Float[Array, "_"]) -> Float[Array, "outputs"]:
        """The outputs for one example, whose inputs may come in several parts."""
        features = jnp.concatenate(parts)
        for layer in self.layers[:-1]:
            features = jax.nn.relu(layer(features))
        return self.layers[-1](features)


def named_parameters(name: str, network: Perceptron) -> dict[str, Array]:
    """The network's arrays under names of the form policy.layer1.weight [out, in]."""
    return dict(zip(_names(name, network), _arrays(network)))


def with_parameters(name: str, network: Perceptron, named: dict[str, Array]) -> Perceptron:
    """The network with its arrays replaced by those of the same names."""
    return eqx.tree_at(_arrays, network, [named[key] for key in _names(name, network)])


def _names(name: str, network: Perceptron) -> list[str]:
    numbers = range(1, len(network.layers) + 1)
    return [f"{name}.layer{number}.{part}" for number in numbers for part in ("weight", "bias")]


def _arrays(network: Perceptron) -> list:
    return [array for layer in network.layers for array in (layer.weight, layer.bias)]


def _initialised(layer: eqx.nn.Linear, bound: float, bias: float, *, key: PRNGKeyArray) -> eqx.nn.Linear:
    weight = jax.random.uniform(key, layer.weight.shape, minval=-bound, maxval=bound)
    biases = jnp.full(len(weight), bias, weight.dtype)
    return eqx.tree_at(lambda linear: (linear.weight, linear.bias), layer, (weight, biases))
