"""What the policy of RL2 learns from."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mime.exploration.mixing import mix

Steps = Float[Array, "tasks trials episodes steps"]


@runtime_checkable
class RewardOfTrials(Protocol):
    """The rewards of learning, of the task's own and the bonus, both in their own units."""

    @property
    def logit(self) -> Float[Array, ""]:
        """Of the bonus's share."""
        ...

    def __call__(self, extrinsic: Steps, intrinsic: Steps) -> Steps:
        """In every step."""
        ...


@dataclass(frozen=True)
class Scaled:
    """The task's rewards, scaled.

    Attributes:
        scale: Their factor.
        share: Of a bonus, if there were one.
    """

    scale: float
    share: float

    @property
    def logit(self) -> Float[Array, ""]:
        """Of the share."""
        return jax.scipy.special.logit(jnp.asarray(self.share))

    def __call__(self, extrinsic: Steps, intrinsic: Steps) -> Steps:
        """Without the bonus."""
        return self.scale * extrinsic


@dataclass(frozen=True)
class ScaledAndMixed(Scaled):
    """The task's rewards, scaled, and the bonus in nats."""

    def __call__(self, extrinsic: Steps, intrinsic: Steps) -> Steps:
        """By their weights in the mixture."""
        return mix(self.scale * extrinsic, intrinsic, self.logit)
