"""Bonuses of a configuration, for given spaces."""

from mime.configuration.gradients import Experiment
from mime.envs.task_environment import TaskEnvironment
from mime.exploration.bonus import Bonus
from mime.meta.method import method_of


class Spaces(TaskEnvironment):
    """An environment of which nothing is known but its spaces."""

    horizon = 50

    def __init__(self, observation_space, action_space, varying=None, places=None):
        self.observation_space, self.action_space = observation_space, action_space
        self.varying, self.places = varying, places


def make_bonus(experiment: Experiment, *spaces, num_tasks, **dimensions) -> Bonus:
    """The bonus that the configuration chooses."""
    return method_of(experiment, Spaces(*spaces, **dimensions), num_tasks).bonus
