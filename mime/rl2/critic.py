"""The critic: a recurrent network that reads what the policy reads, and estimates what is still to come of a trial."""

from dataclasses import dataclass

import jax
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mime.numerics.statistics import masked_mean
from mime.policies.recurrent import GRU
from mime.rl2.descent import Descent

Seen = tuple[Array, Array, Array]
"""The critic's inputs, which steps took place, and what it is to estimate: `[tasks trials steps ...]`."""


@dataclass(frozen=True)
class CriticStep:
    """Regression on the targets of a batch of trials.

    Attributes:
        descent: Of the mean squared error.
        bptt_steps: See `mime.policies.recurrent.GRU.unroll`.
    """

    descent: Descent
    bptt_steps: int | None

    def init(self, critic: GRU) -> optax.OptState:
        """Adam's moments."""
        return self.descent.init(critic)

    def __call__(
        self, critic: GRU, moments: optax.OptState, batch: Seen, key: PRNGKeyArray
    ) -> tuple[GRU, optax.OptState, dict[str, Array]]:
        """The critic after some epochs on the batch."""
        return self.descent(self.loss, critic, moments, batch, key)

    def loss(self, critic: GRU, trials: Seen) -> Float[Array, ""]:
        """On trials of one task."""
        inputs, valid, targets = trials
        return masked_mean((values(critic, inputs, valid, bptt_steps=self.bptt_steps) - targets) ** 2, valid)


def values(
    critic: GRU,
    inputs: Float[Array, "trials steps inputs"],
    valid: Bool[Array, "trials steps"],
    *,
    bptt_steps: int | None = None,
) -> Float[Array, "trials steps"]:
    """The critic's estimates in trials of one task."""
    return jax.vmap(lambda inputs, valid: critic.unroll(inputs, valid, bptt_steps=bptt_steps))(inputs, valid)[..., 0]
