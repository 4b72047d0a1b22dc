"""Reward proximity: reward for coming near to places where the task's trajectories have found a reward."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from mime.configuration.gradients import Experiment
from mime.envs.environment import Environment
from mime.exploration.bonus import Bonus
from mime.exploration.neighbours import distances, drawn, units
from mime.exploration.spaces import dimensions
from mime.numerics.statistics import above_least
from mime.sampling.episodes import Episodes


@dataclass(frozen=True, eq=False)
class RewardProximity(Bonus):
    """The bonus: minus the distance to the nearest of 64 places where the task's trajectories were rewarded.

    A reward that is found by chance says where it is. The trajectories that missed it learn by how much, and those
    that stay near it learn that too, where the reward itself tells all of them the same: nothing. It is meant for
    sparse rewards that depend on the place, and as long as they are rare: nearest in a straight line is not always
    nearest, and near is not there. Coordinates are measured in their standard deviations over 64 states of the task's
    batch. The 64 places are drawn with replacement: of more than a dozen, some are missed.

    It does not look for what no trajectory has found: there it is 0 everywhere.

    Attributes:
        places: The observation's dimensions that count; None for all.

    References:
        Andrychowicz et al. 2017, Hindsight Experience Replay, arXiv 1707.01495, and Trott et al. 2019, Keeping Your
        Distance, arXiv 1911.01417, for learning from distances to goals, which are given there and found here.
    """

    places: Sequence[int] | None = None
    num_samples: ClassVar[int] = 64

    @classmethod
    def configured(cls, experiment: Experiment, environment: Environment, num_tasks: int) -> "RewardProximity":
        """Of the environment's places; where it names none, of all that varies."""
        return cls(environment.varying if environment.places is None else environment.places)

    def rewards(self, state: tuple[()], episodes: Episodes, *, key: PRNGKeyArray) -> Float[Array, "trajectories steps"]:
        """Minus each step's distance, where it arrives, to the nearest of 64 drawn rewarded arrivals."""
        units_key, goals_key = jax.random.split(key)
        arrived = dimensions(episodes.next_observations, self.places)
        points, valid = arrived.reshape(-1, arrived.shape[-1]), episodes.valid.reshape(-1)
        rewarded = above_least(episodes.rewards.reshape(-1), valid)
        found = jnp.any(rewarded)
        unit = units(drawn(points, valid, self.num_samples, key=units_key))
        goals = drawn(points, jnp.where(found, rewarded, valid), self.num_samples, key=goals_key)
        away = distances(points * unit, goals * unit, 1).reshape(episodes.rewards.shape)
        return jnp.where(found, -away, 0)
