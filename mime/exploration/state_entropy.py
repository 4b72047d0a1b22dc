"""State entropy: reward for being where a task's other states are sparse."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Array, Float, PRNGKeyArray

from mime.configuration.gradients import Experiment
from mime.envs.environment import Environment
from mime.exploration.bonus import Bonus
from mime.exploration.neighbours import distances, drawn, units
from mime.exploration.spaces import dimensions, places_of
from mime.sampling.episodes import Episodes


@dataclass(frozen=True, eq=False)
class StateEntropy(Bonus):
    """The bonus: distance to the 3rd nearest of 256 states of the task's batch, with nothing to learn.

    In d > 1 dimensions the distance falls with the density of states as density^(-1/d), so that its mean over the
    states of a policy estimates the integral of density^(1 - 1/d). That grows with their Rényi entropy of order
    1 - 1/d: it is greatest for trajectories that spread evenly. The logarithm of the distance, for Shannon's entropy,
    gives less to the few who come where nobody else does. Coordinates are measured in their standard deviations over
    the task's batch.

    Attributes:
        places: The observation's dimensions that count; None for all.

    References:
        Leonenko et al. 2008, Annals of Statistics 36(5), for the estimate; Seo et al. 2021, RE3, arXiv 2102.09430, and
        Liu & Abbeel 2021, APT, arXiv 2103.04551, for the bonus, there with logarithms and features of images.
    """

    places: Sequence[int] | None = None
    num_samples: ClassVar[int] = 256
    neighbour: ClassVar[int] = 3

    @classmethod
    def configured(cls, experiment: Experiment, environment: Environment, num_tasks: int) -> "StateEntropy":
        """Of the environment's places; where it names none, of all that varies."""
        return cls(places_of(environment))

    def rewards(self, state: tuple[()], episodes: Episodes, *, key: PRNGKeyArray) -> Float[Array, "trajectories steps"]:
        """Each step's distance, where it arrives, to the 3rd nearest sample."""
        arrived = dimensions(episodes.next_observations, self.places)
        points = arrived.reshape(-1, arrived.shape[-1])
        samples = drawn(points, episodes.valid.reshape(-1), self.num_samples, key=key)
        unit = units(samples)
        return distances(points * unit, samples * unit, self.neighbour).reshape(episodes.rewards.shape)
