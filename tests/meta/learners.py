"""Learners of a configuration in a small environment, and the outer half of their iteration."""

import dataclasses

from mime.configuration.gradients import Experiment
from mime.meta.learner import Learner
from mime.meta.method import method_of
from mime.meta.state import Eta, LearnerState, Trial
from mime.sampling.compiled import CompiledSampler


def learner_of(keys, environment, *, trajectories=3, bonus=None, eta_rule=None):
    """The learner of a configuration; `bonus` and `eta_rule` take the place of those it would have.

    Args:
        keys: Of the configuration, with underscores.
    """
    experiment = Experiment(**keys)
    method = method_of(experiment, environment, num_tasks=2)
    later = bonus if experiment.bonus_credit == "mixed" else None
    others = {"bonus": bonus, "later_bonus": later, "eta_rule": eta_rule}
    method = dataclasses.replace(method, **{name: value for name, value in others.items() if value is not None})
    return Learner(method, CompiledSampler(environment, trajectories))


def improve(learner, state, trial, key):
    """The state after a trial, and what it changed."""
    shared, policy_metrics = learner.improve_policy(state, trial)
    bonus, bonus_metrics = learner.improve_bonus(state, trial, key)
    eta, eta_metrics = learner.improve_eta(state, trial)
    return LearnerState(shared, bonus, eta, state.iteration + 1), policy_metrics | bonus_metrics | eta_metrics


def trial_of(learner, state, inner, after):
    """A trial made by hand, under the mixture of the state."""
    return Trial(inner, after, learner.mixture(state))


def with_logit(state, logit):
    """The state with another weight of the bonus."""
    return dataclasses.replace(state, eta=Eta(logit, state.eta.optimiser))


def past_the_warm_up(learner, state):
    """The state when the bonus has just come into use."""
    return dataclasses.replace(state, iteration=state.iteration + learner.method.warm_up)
