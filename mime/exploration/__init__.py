"""Intrinsic rewards, and the weight they get."""

import gymnasium

from mime.config import Experiment
from mime.exploration.bonus import Bonus
from mime.exploration.information_gain import InformationGain


def make_bonus(
    experiment: Experiment, observation_space: gymnasium.spaces.Box, action_space: gymnasium.Space, num_tasks: int
) -> Bonus | None:
    """The intrinsic reward that the configuration chooses, if any."""
    if not experiment.use_vime:
        return None
    return InformationGain(
        observation_size=observation_space.shape[0],
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
    )
