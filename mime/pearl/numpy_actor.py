"""PEARL's policy in NumPy: what a worker acts with, which imports no JAX."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mime.policies.numpy_policy import NumpyPolicy, Vector

MIN_LOG_STD, MAX_LOG_STD = -20.0, 2.0


class NumpyActor(NamedTuple):
    """The policy of one z: a squashed normal distribution that fills the box of actions.

    Attributes:
        network: From an observation to mean and log standard deviation before squashing.
        middle, unit: Of the box: its middle, and half its width.
        greedy: Always act with the mean.
    """

    network: NumpyPolicy
    middle: Vector
    unit: Vector
    greedy: bool

    @classmethod
    def named(cls, parameters: dict[str, np.ndarray], middle: Vector, unit: Vector, *, greedy: bool) -> "NumpyActor":
        """Of the named parameters, z among them as `latent`."""
        layers = {name: array for name, array in parameters.items() if name != "latent"}
        return cls(NumpyPolicy.named(layers, "relu").given(parameters["latent"]), middle, unit, greedy)

    def given(self, latent: Vector | None) -> "NumpyActor":
        """The same for every episode."""
        return self

    def noise(self, generator: np.random.Generator, num_steps: int) -> Float[np.ndarray, "steps numbers"]:
        """Normal numbers, one row a step."""
        return generator.standard_normal((num_steps, self.middle.size), np.float32)

    def act(self, observation: Vector, noise: Vector) -> Vector:
        """The action in one state, inside the box."""
        mean, log_std = np.split(self.network.output(observation), 2)
        std = 0.0 if self.greedy else np.exp(np.clip(log_std, MIN_LOG_STD, MAX_LOG_STD))
        return (self.middle + self.unit * np.tanh(mean + std * noise)).astype(np.float32)

    def remember(self, action: Vector | np.integer, reward: float) -> None:
        """Nothing: it has no memory."""
