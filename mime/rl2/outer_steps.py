"""How the recurrent policy improves on a batch of trials: by PPO, or by TRPO."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray, Shaped

from mime.numerics.parallel import mean_over_tasks, over_tasks
from mime.numerics.statistics import masked_mean
from mime.numerics.trpo import Trpo
from mime.policies.distributions import Categorical, Gaussian
from mime.policies.recurrent import RecurrentPolicy
from mime.rl2.descent import Descent

Metrics = dict[str, Array]


class Decided(NamedTuple):
    """What the policy saw and did in trials, and what it was worth; steps of all episodes in one row.

    Attributes:
        inputs: Of its network.
        actions: As drawn.
        valid: False for steps that did not take place.
        advantages: Of the actions.
        old: The distributions that they were drawn from.
    """

    inputs: Float[Array, "*tasks trials steps inputs"]
    actions: Shaped[Array, "..."]
    valid: Bool[Array, "*tasks trials steps"]
    advantages: Float[Array, "*tasks trials steps"]
    old: Any


@runtime_checkable
class PolicyStep(Protocol):
    """Improves the policy."""

    def init(self, policy: RecurrentPolicy) -> Any:
        """What it keeps from one iteration to the next, before the first."""
        ...

    def __call__(
        self, policy: RecurrentPolicy, kept: Any, batch: Decided, key: PRNGKeyArray
    ) -> tuple[RecurrentPolicy, Any, Metrics]:
        """The new policy, what is kept, and metrics."""
        ...


@dataclass(frozen=True)
class Ppo:
    """Proximal policy optimisation with the clipped objective (Schulman et al. 2017, arXiv 1707.06347, equation 7).

    Attributes:
        descent: Of the loss.
        clip_ratio: Distance from 1 beyond which a ratio of probabilities earns nothing more.
        entropy_coefficient: Weight of the policy's mean entropy.
        bptt_steps: See `mime.policies.recurrent.GRU.unroll`.
    """

    descent: Descent
    clip_ratio: float
    entropy_coefficient: float
    bptt_steps: int | None

    def init(self, policy: RecurrentPolicy) -> Any:
        """Adam's moments."""
        return self.descent.init(policy)

    def __call__(
        self, policy: RecurrentPolicy, kept: Any, batch: Decided, key: PRNGKeyArray
    ) -> tuple[RecurrentPolicy, Any, Metrics]:
        """After some epochs on the batch; `KL` is that of the policies before and after them."""
        policy, kept, metrics = self.descent(self.loss, policy, kept, batch, key)
        new = distributions(policy, batch, self.bptt_steps)
        entropy = mean_over_tasks(masked_mean)(new.entropy(), batch.valid)
        return policy, kept, {"KL": mean_kl(new, batch), "Entropy": entropy} | metrics

    def loss(self, policy: RecurrentPolicy, trials: Decided) -> Float[Array, ""]:
        """Minus the clipped objective on trials of one task."""
        new = of_a_task(policy, trials, bptt_steps=self.bptt_steps)
        ratio = jnp.exp(new.log_prob(trials.actions) - trials.old.log_prob(trials.actions))
        clipped = jnp.clip(ratio, 1 - self.clip_ratio, 1 + self.clip_ratio)
        gain = jnp.minimum(ratio * trials.advantages, clipped * trials.advantages)
        return -masked_mean(gain + self.entropy_coefficient * new.entropy(), trials.valid)


@dataclass(frozen=True)
class TrustRegion:
    """TRPO on whole trials, as in the paper.

    Attributes:
        trpo: The step.
        bptt_steps: See `mime.policies.recurrent.GRU.unroll`.
    """

    trpo: Trpo
    bptt_steps: int | None

    def init(self, policy: RecurrentPolicy) -> tuple[()]:
        """Nothing is kept."""
        return ()

    def __call__(
        self, policy: RecurrentPolicy, kept: tuple[()], batch: Decided, key: PRNGKeyArray
    ) -> tuple[RecurrentPolicy, tuple[()], Metrics]:
        """After one step; nothing about it is random."""
        policy, report = self.trpo(policy, Surrogate(batch, self.bptt_steps))
        return policy, (), report.metrics()


@dataclass(frozen=True, eq=False)
class Surrogate:
    """What TRPO improves: the mean over tasks of importance-weighted advantages (a `mime.numerics.trpo.Problem`).

    Attributes:
        batch: Of trials.
        bptt_steps: See `mime.policies.recurrent.GRU.unroll`.
    """

    batch: Decided
    bptt_steps: int | None

    def outputs(self, parameters: RecurrentPolicy) -> Gaussian | Categorical:
        """The policy's distributions at all steps of the batch."""
        return distributions(parameters, self.batch, self.bptt_steps)

    @property
    def surrogate(self) -> Callable[[Any, Any], Float[Array, ""]]:
        """To be maximised."""
        batch = self.batch

        def gain(new: Gaussian | Categorical, old: Gaussian | Categorical) -> Float[Array, ""]:
            ratio = jnp.exp(new.log_prob(batch.actions) - old.log_prob(batch.actions))
            return mean_over_tasks(masked_mean)(ratio * batch.advantages, batch.valid)

        return gain

    @property
    def divergence(self) -> Callable[[Any, Any], Float[Array, ""]]:
        """Mean KL(new || old) over tasks and their steps, in nats."""
        return lambda new, old: mean_kl(new, self.batch._replace(old=old))

    def restricted(self, trajectories: int) -> "Surrogate":
        """The same on so many trials of each task."""
        return Surrogate(jax.tree.map(lambda leaf: leaf[:, :trajectories], self.batch), self.bptt_steps)


def of_a_task(policy: RecurrentPolicy, trials: Decided, *, bptt_steps: int | None) -> Gaussian | Categorical:
    """The policy's distributions at all steps of the trials of one task."""
    unroll = jax.vmap(lambda inputs, valid: policy.network.unroll(inputs, valid, bptt_steps=bptt_steps))
    return policy.actions.distribution(unroll(trials.inputs, trials.valid))


def distributions(policy: RecurrentPolicy, batch: Decided, bptt_steps: int | None) -> Gaussian | Categorical:
    """The policy's distributions at all steps of the trials of all tasks."""
    return over_tasks(partial(of_a_task, bptt_steps=bptt_steps), shared=policy)(batch)


def mean_kl(new: Gaussian | Categorical, batch: Decided) -> Float[Array, ""]:
    """Mean over tasks and their steps of KL(new || old), in nats."""
    return mean_over_tasks(masked_mean)(new.kl(batch.old), batch.valid)
