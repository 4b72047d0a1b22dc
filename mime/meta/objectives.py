"""Outer objectives: what makes shared parameters good for adaptation."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mime.numerics.statistics import masked_mean
from mime.policies.distributions import Distribution
from mime.sampling.episodes import Episodes


class Outcome(eqx.Module):
    """What shared parameters theta lead to: the distributions of all actions taken, as functions of theta.

    Attributes:
        after: Of the adapted policies, at the post-adaptation episodes; `[tasks trajectories steps ...]`.
        before: Of the policies at each inner step, at the episodes that step learned from. Empty if not needed.
    """

    after: Distribution
    before: tuple[Distribution, ...] = ()


def mean_kl(outcome: Outcome, old: Outcome, episodes: Episodes, inner: Sequence[Episodes] = ()) -> Float[Array, ""]:
    """Mean over tasks and their post-adaptation steps of KL(new || old), in nats.

    With the episodes of inner steps, the same of their steps is added.
    """
    pairs = [(outcome.after, old.after, episodes), *zip(outcome.before, old.before, inner)]
    return sum(jnp.mean(jax.vmap(masked_mean)(new.kl(before), e.valid)) for new, before, e in pairs)


def maml_surrogate(
    outcome: Outcome, old: Outcome, episodes: Episodes, advantages: Float[Array, "tasks trajectories steps"]
) -> Float[Array, ""]:
    """Importance-weighted advantage after adaptation, averaged over tasks (arXiv 1703.03400 with arXiv 1502.05477)."""
    return jnp.mean(weighted_by_ratio(outcome.after, old.after, episodes, advantages))


def e_maml_credit(
    outcome: Outcome, old: Outcome, inner: Sequence[Episodes], returns: Float[Array, "tasks"]
) -> Float[Array, ""]:
    """Credit of pre-adaptation actions for the return after adaptation (Stadie et al. 2018, arXiv 1803.01118).

    Args:
        outcome: Of the new parameters.
        old: Of the parameters that collected the episodes.
        inner: Episodes of each inner step.
        returns: Mean post-adaptation return of each task, standardised over the tasks.
    """
    weights = [jnp.broadcast_to(returns[:, None, None], episodes.valid.shape) for episodes in inner]
    return _credit_before(outcome, old, inner, weights)


def exploration(
    outcome: Outcome,
    old: Outcome,
    inner: Sequence[Episodes],
    novelty: Sequence[Float[Array, "tasks trajectories steps"]],
) -> Float[Array, ""]:
    """Importance-weighted advantage of the bonus before each inner step, averaged over tasks and steps.

    Args:
        outcome: Of the new parameters.
        old: Of the parameters that collected the episodes.
        inner: Episodes of each inner step.
        novelty: Advantages of their bonus.
    """
    return _credit_before(outcome, old, inner, novelty) / len(inner)


def _credit_before(
    outcome: Outcome,
    old: Outcome,
    inner: Sequence[Episodes],
    weights: Sequence[Float[Array, "tasks trajectories steps"]],
) -> Float[Array, ""]:
    stages = zip(outcome.before, old.before, inner, weights)
    return jnp.mean(sum(weighted_by_ratio(*stage) for stage in stages))


def weighted_by_ratio(
    new: Distribution, old: Distribution, episodes: Episodes, weights: Float[Array, "tasks trajectories steps"]
) -> Float[Array, "tasks"]:
    """Each task's mean over steps of pi_new(a|o) / pi_old(a|o) * weight."""
    ratio = jnp.exp(new.log_prob(episodes.decisions) - old.log_prob(episodes.decisions))
    return jax.vmap(masked_mean)(ratio * weights, episodes.valid)
