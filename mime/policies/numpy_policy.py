"""Policies in NumPy: what a worker acts with. Ten times faster than a compiled call for one observation at a time."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Vector = Float[np.ndarray, "_numbers"]
ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


class NumpyPolicy(NamedTuple):
    """The weights of a `mime.policies.policy.Policy`.

    Attributes:
        layers: Weight `[out, in]` and bias `[out]` of each layer; the last gives the mean action, or the logits.
        log_std: Logarithm of the actions' standard deviations; None for discrete actions.
        nonlinearity: A key of `ACTIVATIONS`.
    """

    layers: tuple[tuple[Float[np.ndarray, "out in"], Vector], ...]
    log_std: Vector | None
    nonlinearity: str

    def given(self, latent: Vector | None) -> "NumpyPolicy":
        """How the policy acts in an episode for which that was drawn."""
        if latent is None:
            return self
        # A constant part of the input is a part of the first layer's bias.
        (weight, bias), *others = self.layers
        seen, held = np.split(weight, [-latent.size], axis=1)
        return self._replace(layers=((seen, bias + held @ latent), *others))

    @classmethod
    def named(cls, parameters: dict[str, np.ndarray], nonlinearity: str) -> "NumpyPolicy":
        """Of the named parameters of a policy without memory."""
        layers = [name.removesuffix(".weight") for name in parameters if name.endswith(".weight")]
        weights = tuple((parameters[f"{layer}.weight"], parameters[f"{layer}.bias"]) for layer in layers)
        return cls(weights, parameters.get("sigma"), nonlinearity)

    def noise(self, generator: np.random.Generator, num_steps: int) -> Float[np.ndarray, "steps numbers"]:
        """What makes the actions of a trajectory random: normal numbers or, for discrete actions, Gumbel ones."""
        size = self.layers[-1][1].size
        if self.log_std is None:
            return generator.gumbel(size=(num_steps, size))
        return generator.standard_normal((num_steps, size), np.float32)

    def act(self, observation: Vector, noise: Vector) -> Vector | np.integer:
        """The action in one state: mean plus scaled noise, unclipped; or the choice of the largest noisy logit."""
        output = self.output(observation)
        if self.log_std is None:
            return np.argmax(output + noise)
        return output + np.exp(self.log_std) * noise

    def remember(self, action: Vector | np.integer, reward: float) -> None:
        """Nothing: it has no memory."""

    def output(self, observation: Vector) -> Vector:
        """The mean of the action, or the logits."""
        activation = ACTIVATIONS[self.nonlinearity]
        for weight, bias in self.layers[:-1]:
            observation = activation(weight @ observation + bias)
        weight, bias = self.layers[-1]
        return weight @ observation + bias
