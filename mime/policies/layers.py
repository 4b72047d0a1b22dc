"""Linear layers and the multilayer perceptrons that they make up."""

from collections.abc import Sequence
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

NONLINEARITIES = {"tanh": jnp.tanh, "relu": jax.nn.relu, "elu": jax.nn.elu, "sigmoid": jax.nn.sigmoid}


def xavier_layers(sizes: Sequence[int], *, key: PRNGKeyArray) -> list[eqx.nn.Linear]:
    """Linear layers between consecutive `sizes`, Xavier-uniform weights and zero biases (Glorot & Bengio 2010)."""
    layers = []
    for layer_key, (fan_in, fan_out) in zip(jax.random.split(key, len(sizes) - 1), pairwise(sizes)):
        weight = jax.nn.initializers.xavier_uniform(in_axis=1, out_axis=0)(layer_key, (fan_out, fan_in))
        # Of its shapes alone: to draw numbers that are replaced would take seconds of compilation.
        layer = eqx.filter_eval_shape(eqx.nn.Linear, fan_in, fan_out, key=layer_key)
        layers.append(eqx.tree_at(lambda linear: (linear.weight, linear.bias), layer, (weight, jnp.zeros(fan_out))))
    return layers


def perceptron(layers: Sequence[eqx.nn.Linear], nonlinearity: str, inputs: Array | np.ndarray) -> Array:
    """The output of linear layers with the nonlinearity, a key of `NONLINEARITIES`, between them, for one example."""
    return affine(layers[-1], hidden_features(layers[:-1], nonlinearity, inputs))


def hidden_features(layers: Sequence[eqx.nn.Linear], nonlinearity: str, inputs: Array | np.ndarray) -> Array:
    """The output of linear layers, each followed by the nonlinearity, for one example."""
    features = jnp.asarray(inputs)
    for layer in layers:
        features = NONLINEARITIES[nonlinearity](affine(layer, features))
    return features


def affine(layer: eqx.nn.Linear, features: Array) -> Array:
    """The output of one linear layer."""
    # The features come first, so that a batch of them stays the rows of every matrix product: nothing is transposed.
    assert layer.bias is not None
    return features @ layer.weight.T + layer.bias
