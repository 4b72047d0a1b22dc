"""What a network's outputs say about an action, and how a network sees actions: continuous ones and discrete ones."""

import math

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from mime.policies.distributions import Categorical, Gaussian
from mime.policies.numpy_recurrent import NumpyCategorical, NumpyGaussian


class GaussianActions(eqx.Module):
    """Continuous actions: normal, with a learned standard deviation that does not depend on the state.

    Means and standard deviations are in units of half the box around its middle; of 1 where it has no end.

    Args:
        box: Of actions.
        initial_std: Standard deviation at first, in units.
        min_std: The least that it counts as.
    """

    sigma: Float[Array, "action"]
    low: tuple[float, ...] = eqx.field(static=True)
    high: tuple[float, ...] = eqx.field(static=True)
    min_log_std: float = eqx.field(static=True)

    def __init__(self, box: gymnasium.spaces.Box, *, initial_std: float, min_std: float):
        self.sigma = jnp.zeros(box.shape) + math.log(initial_std)
        self.low, self.high = tuple(box.low.tolist()), tuple(box.high.tolist())
        self.min_log_std = math.log(min_std)

    @property
    def size(self) -> int:
        """Numbers that describe an action."""
        return len(self.low)

    @property
    def _box(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array(self.low, np.float32), np.array(self.high, np.float32)

    @property
    def _middle_and_unit(self) -> tuple[np.ndarray, np.ndarray]:
        bounded = np.isfinite(self._box).all(axis=0)
        low, high = (np.where(bounded, *ends).astype(np.float32) for ends in zip(self._box, (-1, 1)))
        return (high + low) / 2, (high - low) / 2

    def numbers(self, actions: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
        """Actions as a network sees them: clipped to the box, in units."""
        middle, unit = self._middle_and_unit
        return (jnp.clip(actions, *self._box) - middle) / unit

    def distribution(self, outputs: Float[Array, "*batch action"]) -> Gaussian:
        """Of the action, in the environment's units, given a network's outputs."""
        middle, unit = self._middle_and_unit
        log_std = jnp.log(unit) + jnp.maximum(self.sigma, self.min_log_std)
        return Gaussian(jnp.asarray(middle) + unit * outputs, jnp.broadcast_to(log_std, outputs.shape))

    def in_numpy(self, named: dict[str, np.ndarray]) -> NumpyGaussian:
        """The same for a worker, given the policy's named parameters."""
        log_std = np.maximum(named["sigma"], np.float32(self.min_log_std))
        return NumpyGaussian(*self._box, *self._middle_and_unit, log_std)


class CategoricalActions(eqx.Module):
    """Discrete actions.

    Attributes:
        size: How many there are.
    """

    size: int = eqx.field(static=True)

    def numbers(self, actions: Shaped[Array, "*batch"]) -> Float[Array, "*batch action"]:
        """Actions as a network sees them: one-hot."""
        return jax.nn.one_hot(actions, self.size)

    def distribution(self, outputs: Float[Array, "*batch action"]) -> Categorical:
        """Of the action, given a network's outputs: the logits."""
        return Categorical(outputs)

    def in_numpy(self, named: dict[str, np.ndarray]) -> NumpyCategorical:
        """The same for a worker."""
        return NumpyCategorical(self.size)
