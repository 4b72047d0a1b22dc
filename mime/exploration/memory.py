"""Transitions of earlier meta-iterations, for a dynamics model to learn from again."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

ITERATIONS = 20
"""Iterations after which all of a memory is new: each replaces so many-th of it."""


class Memory(eqx.Module):
    """Examples of a dynamics model, the oldest of which are overwritten.

    Attributes:
        inputs: Observation and action.
        targets: Next observation.
        written: Examples ever written.
    """

    inputs: Float[Array, "size in"]
    targets: Float[Array, "size out"]
    written: Int[Array, ""]

    @classmethod
    def empty(cls, size: int, in_size: int, out_size: int) -> "Memory":
        """Room for `size` examples, rounded up to a multiple of what an iteration writes."""
        size = -(-size // ITERATIONS) * ITERATIONS
        return cls(jnp.zeros((size, in_size)), jnp.zeros((size, out_size)), jnp.zeros((), int))

    @property
    def valid(self) -> Bool[Array, "size"]:
        """Which places hold an example."""
        return jnp.arange(len(self.inputs)) < self.written

    def including(
        self,
        inputs: Float[Array, "examples in"],
        targets: Float[Array, "examples out"],
        valid: Bool[Array, "examples"],
        *,
        key: PRNGKeyArray,
    ) -> "Memory":
        """With a share of the memory overwritten by examples drawn from the valid ones."""
        count = len(self.inputs) // ITERATIONS
        chosen = jax.random.choice(key, len(inputs), (count,), p=valid / jnp.sum(valid))
        places = (self.written + jnp.arange(count)) % len(self.inputs)
        return Memory(
            self.inputs.at[places].set(inputs[chosen]),
            self.targets.at[places].set(targets[chosen]),
            self.written + count,
        )
