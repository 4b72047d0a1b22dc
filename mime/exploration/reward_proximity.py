"""Reward proximity: look for a reward by information gain; once it is found, come near to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mime.configuration.gradients import Experiment
from mime.envs.environment import Environment
from mime.exploration.bonus import Bonus
from mime.exploration.fourier import FourierFeatures
from mime.exploration.linear_gain import LinearInformationGain
from mime.exploration.neighbours import distances, drawn, units
from mime.exploration.spaces import count_of, dimensions, places_of
from mime.numerics.statistics import above_least
from mime.sampling.episodes import Episodes


@dataclass(frozen=True, eq=False)
class RewardProximity(Bonus):
    """The bonus: minus the distance to the nearest of 64 places where the task's trajectories were rewarded.

    As long as they have found no reward, the bonus is their information gain about an unknown function of the place,
    exact as of `LinearInformationGain`: they then look for it where the task's other trajectories do not.

    A reward that is found by chance says where it is. The trajectories that missed it learn by how much, and those
    that stay near it learn that too, where the reward itself tells all of them the same: nothing. It is meant for
    sparse rewards that depend on the place, and as long as they are rare: nearest in a straight line is not always
    nearest, and near is not there. Coordinates are measured in their standard deviations over 64 states of the task's
    batch. The 64 places are drawn with replacement: of more than a dozen, some are missed.

    Attributes:
        gain: Of information about a function of the place.
        places: The observation's dimensions that count; None for all.

    References:
        Andrychowicz et al. 2017, Hindsight Experience Replay, arXiv 1707.01495, and Trott et al. 2019, Keeping Your
        Distance, arXiv 1911.01417, for learning from distances to goals, which are given there and found here.
    """

    gain: LinearInformationGain
    places: Sequence[int] | None = None
    num_samples: ClassVar[int] = 64

    @classmethod
    def configured(cls, experiment: Experiment, environment: Environment, num_tasks: int) -> "RewardProximity":
        """Of the environment's places; where it names none, of all that varies."""
        places = places_of(environment)
        # About a hundred steps of a trajectory are enough to say where it has been.
        thinning = max(1, environment.horizon // 100)
        gain = LinearInformationGain(
            count_of(environment, places),
            environment.action_space,
            inputs="arrival",
            thinning=thinning,
            varying=places,
        )
        return cls(gain, places)

    def init(self, *, key: PRNGKeyArray) -> FourierFeatures:
        """The features of the gain, which stay as drawn."""
        return self.gain.init(key=key)

    def rewards(
        self, state: FourierFeatures, episodes: Episodes, *, key: PRNGKeyArray
    ) -> Float[Array, "trajectories steps"]:
        """Minus each step's distance, where it arrives, to the nearest of 64 drawn rewarded arrivals; or its gain."""
        rewarded = above_least(episodes.rewards, episodes.valid)
        return jax.lax.cond(
            jnp.any(rewarded),
            lambda: -self._distances(episodes, rewarded, key),
            lambda: self.gain.rewards(state, episodes, key=key),
        )

    def _distances(
        self, episodes: Episodes, rewarded: Bool[Array, "trajectories steps"], key: PRNGKeyArray
    ) -> Float[Array, "trajectories steps"]:
        units_key, goals_key = jax.random.split(key)
        arrived = dimensions(episodes.next_observations, self.places)
        points = arrived.reshape(-1, arrived.shape[-1])
        unit = units(drawn(points, episodes.valid.reshape(-1), self.num_samples, key=units_key))
        goals = drawn(points, rewarded.reshape(-1), self.num_samples, key=goals_key)
        return distances(points * unit, goals * unit, 1).reshape(episodes.rewards.shape)
