"""What a policy is, to everything outside this package."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float, Key

from mime.envs.environment import ActionUnits
from mime.policies.distributions import Distribution
from mime.policies.numpy_policy import NumpyPolicy

Behaviour = Callable[[Float[Array, "observation"]], Any]
"""Maps an observation to a distribution of actions with a method `sample(*, key)`."""


class Policy(eqx.Module):
    """Maps an observation to a distribution of actions. It knows what it draws for an episode, and its inner step.

    Attributes:
        nonlinearity: Between its layers: a key of `mime.policies.layers.NONLINEARITIES`.
    """

    nonlinearity: eqx.AbstractVar[str]

    @abstractmethod
    def __call__(self, observation: Float[Array | np.ndarray, "observation"]) -> Any:
        """The distribution of the action in one state."""

    @abstractmethod
    def draw(self, keys: Key[Array, "trajectories"]) -> Float[Array, "trajectories latent"] | None:
        """What it draws for the episodes of one task, given their keys; None if it draws nothing."""

    @abstractmethod
    def given(self, latent: Float[Array, "latent"] | None) -> Behaviour:
        """How it acts in one episode, given the latent that `draw` gave it."""

    @abstractmethod
    def distributions(
        self,
        observations: Float[Array, "trajectories steps observation"],
        latents: Float[Array, "trajectories steps latent"] | None,
    ) -> Distribution:
        """Of its decision at every step of one task's episodes, `[trajectories steps ...]`."""

    @abstractmethod
    def rates(self, fast_lr: float, latent_rate: float) -> "Policy":
        """A rate of the inner step for each of its parameters, before any is learned.

        Args:
            fast_lr: Of those that follow the gradient.
            latent_rate: Of a latent's distribution.
        """

    @abstractmethod
    def step(
        self,
        gradient: "Policy",
        rates: "Policy",
        latents: Float[Array, "trajectories steps latent"] | None,
        advantages: Float[Array, "trajectories steps"],
    ) -> "Policy":
        """The policy after an inner step on one task.

        Args:
            gradient: Of the inner loss in its parameters.
            rates: Of its parameters, as `rates` gives them.
            latents: That its episodes held.
            advantages: Of the episodes' steps.
        """

    def acting(self) -> "Policy":
        """The policy with its parameters as they act: what leaves the learner needs to know of no bounds."""
        return self

    def in_numpy(self, named: dict[str, np.ndarray]) -> NumpyPolicy:
        """What a worker acts with, given its named parameters as they act."""
        return NumpyPolicy.named(named, self.nonlinearity)

    @abstractmethod
    def in_units(self, units: ActionUnits) -> "Policy":
        """The policy with the same parameters whose actions are this one's in other units."""

    @abstractmethod
    def named_parameters(self) -> dict[str, Array]:
        """Its arrays under the names of the PyTorch state dict: layer1.weight [out, in], layer1.bias, ...

        Actions are in the environment's units: a network with these arrays needs to know of no other.
        """

    @abstractmethod
    def with_parameters(self, named: dict[str, Array]) -> "Policy":
        """The policy with its arrays replaced by those of the same names."""
