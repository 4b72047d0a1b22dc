"""Recurrent policies in NumPy: what a worker acts with, which imports no JAX."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from mime.policies.numpy_policy import ACTIVATIONS, Vector

Weights = dict[str, np.ndarray]


class NumpyGaussian(NamedTuple):
    """Continuous actions, in units of half their box around its middle.

    Attributes:
        low, high: Ends of the box.
        middle, unit: Of the box.
        log_std: Logarithm of the standard deviations, in units.
    """

    low: Vector
    high: Vector
    middle: Vector
    unit: Vector
    log_std: Vector

    def noise(self, generator: np.random.Generator, num_steps: int) -> Float[np.ndarray, "steps numbers"]:
        """Normal numbers, one row a step."""
        return generator.standard_normal((num_steps, len(self.unit)), np.float32)

    def choice(self, outputs: Vector, noise: Vector) -> Vector:
        """The action, unclipped."""
        return self.middle + self.unit * (outputs + np.exp(self.log_std) * noise)

    def translated(self, gain: Vector, offset: Vector) -> "NumpyGaussian":
        """The same actions in units in which each is offset + gain * action."""
        low, high, middle = (offset + gain * numbers for numbers in (self.low, self.high, self.middle))
        return NumpyGaussian(low, high, middle, gain * self.unit, self.log_std)

    def numbers(self, action: Vector | np.integer) -> Vector:
        """The action as the network sees it."""
        return (np.clip(action, self.low, self.high) - self.middle) / self.unit


class NumpyCategorical(NamedTuple):
    """So many discrete actions."""

    size: int

    def noise(self, generator: np.random.Generator, num_steps: int) -> Float[np.ndarray, "steps numbers"]:
        """Gumbel numbers, one row a step."""
        return generator.gumbel(size=(num_steps, self.size))

    def choice(self, outputs: Vector, noise: Vector) -> np.integer:
        """The action of the largest noisy logit."""
        return np.argmax(outputs + noise)

    def numbers(self, action: Vector | np.integer) -> Vector:
        """The action, one-hot."""
        return np.eye(self.size, dtype=np.float32)[action]


class RecurrentNumpyPolicy:
    """The weights of a `mime.policies.recurrent.RecurrentPolicy`, and its memory: for one trial, in which it acts.

    Args:
        weights: Under the names of the policy's parameters.
        actions: What its outputs describe.
        observation_scale, reward_scale: Of its inputs.
    """

    def __init__(
        self,
        weights: Weights,
        actions: NumpyGaussian | NumpyCategorical,
        *,
        observation_scale: float,
        reward_scale: float,
    ):
        self.weights, self.actions = weights, actions
        self.observation_scale, self.reward_scale = observation_scale, reward_scale
        self.hidden = np.zeros(weights["gru.weight_hh"].shape[1], np.float32)
        self.last_action = np.zeros(len(weights["mu.bias"]), np.float32)
        self.last_reward, self.done, self.started = 0.0, 0.0, False

    def given(self, latent: None) -> "RecurrentNumpyPolicy":
        """How it acts in the next episode of its trial: with all that it remembers."""
        self.done, self.started = float(self.started), True
        return self

    def noise(self, generator: np.random.Generator, num_steps: int) -> Float[np.ndarray, "steps numbers"]:
        """What makes the actions of an episode random, one row a step."""
        return self.actions.noise(generator, num_steps)

    def act(self, observation: Vector, noise: Vector) -> Vector | np.integer:
        """The action in one state."""
        told = np.array([self.reward_scale * self.last_reward, self.done], np.float32)
        self._step(np.concatenate([self.observation_scale * observation, self.last_action, told]))
        return self.actions.choice(self.weights["mu.weight"] @ self.hidden + self.weights["mu.bias"], noise)

    def remember(self, action: Vector | np.integer, reward: float) -> None:
        """What was done and what came of it."""
        self.last_action, self.last_reward, self.done = self.actions.numbers(action), float(reward), 0.0

    def _step(self, inputs: Vector) -> None:
        """The gated recurrent unit, as PyTorch names its arrays."""
        sigmoid, weights = ACTIVATIONS["sigmoid"], self.weights
        read = np.split(weights["gru.weight_ih"] @ inputs + weights["gru.bias_ih"], 3)
        kept = np.split(weights["gru.weight_hh"] @ self.hidden + weights["gru.bias_hh"], 3)
        reset, update = sigmoid(read[0] + kept[0]), sigmoid(read[1] + kept[1])
        new = np.tanh(read[2] + reset * kept[2])
        self.hidden = new + update * (self.hidden - new)
