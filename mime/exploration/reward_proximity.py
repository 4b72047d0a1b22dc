"""Reward proximity: reward for coming near to places where trajectories have found a reward."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from mime.configuration.gradients import Experiment
from mime.envs.environment import Environment
from mime.exploration.bonus import Bonus, Metrics
from mime.exploration.neighbours import distances, drawn, units
from mime.exploration.spaces import dimensions
from mime.numerics.statistics import above_least
from mime.sampling.episodes import Episodes


class Found(eqx.Module):
    """Places where training tasks were rewarded.

    Attributes:
        places: Of the newest iteration in which there were any.
        some: Whether there have been any.
    """

    places: Float[Array, "samples coordinates"]
    some: Bool[Array, ""]


@dataclass(frozen=True, eq=False)
class RewardProximity(Bonus):
    """The bonus: minus the distance to the nearest of 64 places where the task's trajectories were rewarded.

    A reward that is found by chance says where it is. The trajectories that missed it learn by how much, and those
    that stay near it learn that too, where the reward itself tells all of them the same: nothing. It is meant for
    sparse rewards that depend on the place, and as long as they are rare: nearest in a straight line is not always
    nearest, and near is not there. Coordinates are measured in their standard deviations over 64 states of the task's
    batch. The 64 places are drawn with replacement: of more than a dozen, some are missed.

    A task that has found none looks where other tasks found theirs in training: 64 places of the newest iteration in
    which any did. As long as no task ever has, the bonus is 0 everywhere.

    Attributes:
        observation_size: Numbers of an observation.
        places: The observation's dimensions that count; None for all.

    References:
        Andrychowicz et al. 2017, Hindsight Experience Replay, arXiv 1707.01495, and Trott et al. 2019, Keeping Your
        Distance, arXiv 1911.01417, for learning from distances to goals, which are given there and found here.
    """

    observation_size: int
    places: Sequence[int] | None = None
    num_samples: ClassVar[int] = 64

    @classmethod
    def configured(cls, experiment: Experiment, environment: Environment, num_tasks: int) -> "RewardProximity":
        """Of the environment's places; where it names none, of all that varies."""
        places = environment.varying if environment.places is None else environment.places
        return cls(environment.observation_space.shape[0], places)

    def init(self, *, key: PRNGKeyArray) -> Found:
        """Nothing found yet."""
        size = self.observation_size if self.places is None else len(self.places)
        return Found(jnp.zeros((self.num_samples, size)), jnp.zeros((), bool))

    def rewards(self, state: Found, episodes: Episodes, *, key: PRNGKeyArray) -> Float[Array, "trajectories steps"]:
        """Minus each step's distance, where it arrives, to the nearest of 64 rewarded arrivals."""
        units_key, goals_key = jax.random.split(key)
        points, valid = self._arrivals(episodes), episodes.valid.reshape(-1)
        rewarded = above_least(episodes.rewards.reshape(-1), valid)
        found = jnp.any(rewarded)
        unit = units(drawn(points, valid, self.num_samples, key=units_key))
        own = drawn(points, jnp.where(found, rewarded, valid), self.num_samples, key=goals_key)
        goals = jnp.where(found, own, state.places)
        away = distances(points * unit, goals * unit, 1).reshape(episodes.rewards.shape)
        return jnp.where(found | state.some, -away, 0)

    def update(
        self, state: Found, inner: Sequence[Episodes], after: Episodes, *, iteration: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Found, Metrics]:
        """The state with places of this iteration, if there were any."""
        stages = [*inner, after]
        points = jnp.concatenate([self._arrivals(episodes) for episodes in stages])
        rewarded = [jax.vmap(above_least)(episodes.rewards, episodes.valid) for episodes in stages]
        rewarded = jnp.concatenate([each.reshape(-1) for each in rewarded])
        some = jnp.any(rewarded)
        places = drawn(points, rewarded | ~some, self.num_samples, key=key)
        return Found(jnp.where(some, places, state.places), state.some | some), {}

    def _arrivals(self, episodes: Episodes) -> Float[Array, "points coordinates"]:
        arrived = dimensions(episodes.next_observations, self.places)
        return arrived.reshape(-1, arrived.shape[-1])
