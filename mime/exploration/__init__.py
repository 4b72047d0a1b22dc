"""Intrinsic rewards, and the weight they get."""

from collections.abc import Sequence

import gymnasium

from mime.configuration.gradients import Experiment
from mime.exploration.bonus import Bonus
from mime.exploration.disagreement import EnsembleDisagreement
from mime.exploration.information_gain import InformationGain
from mime.exploration.reward_proximity import RewardProximity
from mime.exploration.rnd import RandomNetworkDistillation
from mime.exploration.state_entropy import StateEntropy

STATELESS = {"state-entropy": StateEntropy, "reward-proximity": RewardProximity}


def make_bonus(
    experiment: Experiment,
    observation_space: gymnasium.spaces.Box,
    action_space: gymnasium.Space,
    num_tasks: int,
    varying: Sequence[int] | None = None,
    places: Sequence[int] | None = None,
) -> Bonus | None:
    """The intrinsic reward that the configuration chooses, if any.

    Args:
        experiment: The configuration.
        observation_space: Of the environment.
        action_space: Of the environment.
        num_tasks: Tasks per meta-iteration.
        varying: The observation's dimensions that are worth modelling; None for all.
        places: Those that say where the agent is; None for all that vary.
    """
    if not experiment.use_vime:
        return None
    if experiment.bonus in STATELESS:
        return STATELESS[experiment.bonus](varying if places is None else places)
    size = observation_space.shape[0] if varying is None else len(varying)
    if experiment.bonus == "rnd":
        return RandomNetworkDistillation(size, action_space, experiment.dyn_hidden, varying)
    if experiment.bonus == "ensemble-disagreement":
        return EnsembleDisagreement(size, action_space, experiment.dyn_hidden, varying)
    return InformationGain(
        observation_size=size,
        action_space=action_space,
        num_tasks=num_tasks,
        warm_up=experiment.pre_epochs,
        normalize_spaces=experiment.normalize_spaces,
        hidden_sizes=experiment.dyn_hidden,
        prior_sd=experiment.dyn_prior_sd,
        kl_scale=experiment.dyn_kl_scale,
        rate=experiment.dyn_lr or experiment.dyn_fast_lr,
        outer_rate=experiment.dyn_fast_lr,
        first_order=experiment.first_order,
        closed_form=experiment.dyn_second_order,
        memory=experiment.dyn_memory,
        within_task=experiment.dyn_within_task,
        varying=varying,
    )
