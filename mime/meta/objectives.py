"""Outer objectives: what makes shared parameters good for adaptation.

An objective is a sum of terms. A term sees a trial, and gives a function of what new and old parameters lead to.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mime.meta.adaptation import InnerStep, distributions
from mime.meta.rewards import Gae, Reward, normalised_bonus
from mime.meta.state import Shared, Steps, Trial, some_trajectories
from mime.numerics.parallel import over_tasks
from mime.numerics.statistics import masked_mean, standardise
from mime.policies.distributions import Distribution
from mime.sampling.episodes import Episodes

Number = Float[Array, ""]


class Outcome(eqx.Module):
    """What shared parameters theta lead to: the distributions of all actions taken, as functions of theta.

    Attributes:
        after: Of the adapted policies, at the post-adaptation episodes; `[tasks trajectories steps ...]`.
        before: Of the policies at each inner step, at the episodes that step learned from. Empty if not needed.
    """

    after: Distribution
    before: tuple[Distribution, ...] = ()


Comparison = Callable[[Outcome, Outcome], Number]
"""A number computed from the outcomes of new and of old parameters."""


@runtime_checkable
class Term(Protocol):
    """A part of the outer objective.

    Attributes:
        credits_before: Whether it credits decisions before adaptation.
    """

    credits_before: ClassVar[bool]

    def surrogate(self, trial: Trial) -> Comparison:
        """What is to be maximised, to first order around the old parameters."""
        ...

    def divergences(self, trial: Trial) -> list[Comparison]:
        """The mean KL(new || old) of each stage, in nats; the trust region bounds their sum."""
        ...


@dataclass(frozen=True)
class Maml:
    """Advantage after adaptation, averaged over tasks (arXiv 1703.03400 with arXiv 1502.05477).

    Attributes:
        reward: What the policy learns from.
        gae: How its advantages are estimated.
    """

    reward: Reward
    gae: Gae
    credits_before: ClassVar[bool] = False

    def surrogate(self, trial: Trial) -> Comparison:
        """Importance-weighted advantages of the later episodes."""
        advantages = self.gae(trial.after, self.reward(trial.after, trial.mixture))
        return lambda new, old: jnp.mean(weighted_by_ratio(new.after, old.after, trial.after.episodes, advantages))

    def divergences(self, trial: Trial) -> list[Comparison]:
        """Of the adapted policies."""
        return [lambda new, old: mean_kl(new.after, old.after, trial.after.episodes)]


@dataclass(frozen=True)
class EMamlCredit:
    """Credit of pre-adaptation actions for the return after adaptation (Stadie et al. 2018, arXiv 1803.01118).

    As in the 2020 code a mean over a task's trajectories, where the likelihood of all of them together has a sum, and
    without a bound of its own: the trust region sees the policies before adaptation through what they adapt to.
    """

    credits_before: ClassVar[bool] = True

    def surrogate(self, trial: Trial) -> Comparison:
        """Importance-weighted mean return of each task after adaptation, standardised over the tasks."""
        returns = jnp.mean(trial.after.episodes.returns(), axis=1)
        credit = standardise(returns, jnp.ones_like(returns, bool))[:, None, None]
        inner = [experience.episodes for experience in trial.inner]
        weights = [jnp.broadcast_to(credit, episodes.valid.shape) for episodes in inner]
        return lambda new, old: credit_before(new, old, inner, weights)

    def divergences(self, trial: Trial) -> list[Comparison]:
        """None of its own."""
        return []


@dataclass(frozen=True)
class Exploration:
    """Advantage of the bonus before adaptation, averaged over tasks, times the bonus's weight.

    Attributes:
        gae: How advantages are estimated.
    """

    gae: Gae
    credits_before: ClassVar[bool] = True

    def surrogate(self, trial: Trial) -> Comparison:
        """Importance-weighted advantages of the normalised bonus; 0 during the warm-up."""
        first, weight = trial.inner[0], trial.mixture.intrinsic_weight
        novelty = [self.gae(first, normalised_bonus(first))]
        return lambda new, old: weight * credit_before(new, old, [first.episodes], novelty)

    def divergences(self, trial: Trial) -> list[Comparison]:
        """Of the policy before adaptation."""
        return [lambda new, old: mean_kl(new.before[0], old.before[0], trial.inner[0].episodes)]


@dataclass(frozen=True, eq=False)
class Objective:
    """The sum of some terms, for one trial: what the outer step improves (a `mime.numerics.trpo.Problem`).

    Attributes:
        terms: Of the sum.
        inner_step: The inner loop's.
        trial: What the inner loop learns from.
        inner_advantages: Of its inner episodes.
        seen: The trial, or for the Fisher matrix a part of it, at whose steps the distributions are taken.
    """

    terms: tuple[Term, ...]
    inner_step: InnerStep
    trial: Trial
    inner_advantages: Sequence[Steps]
    seen: Trial

    def outputs(self, shared: Shared) -> Outcome:
        """What shared parameters lead to: the inner loop repeated on recorded experience."""
        credits_before = any(term.credits_before for term in self.terms)

        def of_a_task(shared: Shared, trial: Trial, inner_advantages: Sequence[Steps], seen: Trial) -> Outcome:
            policy, before = shared.policy, []
            for earlier, (experience, advantages, seen_before) in enumerate(
                zip(trial.inner, inner_advantages, seen.inner)
            ):
                if credits_before:
                    before.append(distributions(policy, seen_before.episodes))
                policy = self.inner_step(shared, policy, experience.episodes, advantages, earlier)
            return Outcome(after=distributions(policy, seen.after.episodes), before=tuple(before))

        # The mixture has no tasks axis to map over, and is not needed.
        learned_from, seen = (trial._replace(mixture=None) for trial in (self.trial, self.seen))
        return over_tasks(of_a_task, shared=shared)(learned_from, list(self.inner_advantages), seen)

    @property
    def surrogate(self) -> Comparison:
        """What is to be maximised."""
        return _summed([term.surrogate(self.seen) for term in self.terms])

    @property
    def divergence(self) -> Comparison:
        """What the trust region bounds."""
        return _summed([part for term in self.terms for part in term.divergences(self.seen)])

    def restricted(self, trajectories: int) -> "Objective":
        """The same seen at only so many trajectories of each task; adaptation still learns from all."""
        return Objective(
            self.terms,
            self.inner_step,
            self.trial,
            self.inner_advantages,
            some_trajectories(self.trial, trajectories),
        )


def _summed(parts: Sequence[Comparison]) -> Comparison:
    return lambda new, old: sum((part(new, old) for part in parts[1:]), parts[0](new, old))


def mean_kl(new: Distribution, old: Distribution, episodes: Episodes) -> Number:
    """Mean over tasks and their steps of KL(new || old), in nats."""
    return jnp.mean(jax.vmap(masked_mean)(new.kl(old), episodes.valid))


def credit_before(new: Outcome, old: Outcome, inner: Sequence[Episodes], weights: Sequence[Steps]) -> Number:
    """Importance-weighted credit of the decisions before adaptation.

    The sum over inner steps of the mean, over tasks and their environment steps, of ratio times weight.

    Args:
        new: Of the new parameters.
        old: Of the parameters that collected the episodes.
        inner: Episodes of each inner step.
        weights: What each of their steps is worth.
    """
    stages = zip(new.before, old.before, inner, weights)
    return jnp.mean(sum(weighted_by_ratio(*stage) for stage in stages))


def weighted_by_ratio(
    new: Distribution, old: Distribution, episodes: Episodes, weights: Float[Array, "tasks trajectories steps"]
) -> Float[Array, "tasks"]:
    """Each task's mean over steps of pi_new(a|o) / pi_old(a|o) * weight."""
    ratio = jnp.exp(new.log_prob(episodes.decisions) - old.log_prob(episodes.decisions))
    return jax.vmap(masked_mean)(ratio * weights, episodes.valid)
