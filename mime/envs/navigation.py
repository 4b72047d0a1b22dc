"""2D navigation: a point robot that must find a goal it is not told."""

import math
from collections.abc import Sequence
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mime.envs.grid import disc
from mime.envs.task_environment import TaskEnvironment, numbers

Vector = Float[Array, "2"]
Goals = Float[Array, "tasks 2"]

COMPASS = np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], axis=1)
UNSEEN_RADII = (3.0, 7.0, 11.0)
MAX_DISPLACEMENT = 0.1


class Navigation(TaskEnvironment):
    """A point in the plane, started at the origin and moved by displacements clipped to [-0.1, 0.1].

    The state and the observation are the position (x, y); the task is the goal's position.
    """

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-MAX_DISPLACEMENT, MAX_DISPLACEMENT, (2,), np.float32)
    horizon = 100

    def initial(self, rng: PRNGKeyArray, params: Vector | None = None) -> Vector:
        """The origin."""
        return jnp.zeros(2)

    def observation(self, state: Vector, rng: PRNGKeyArray, params: Vector | None = None) -> Vector:
        """The position itself."""
        return state

    def transition(self, state: Vector, action: Vector, rng: PRNGKeyArray, params: Vector | None = None) -> Vector:
        """The position after the clipped displacement."""
        return state + jnp.clip(action, -MAX_DISPLACEMENT, MAX_DISPLACEMENT)


class RingNavigation(Navigation):
    """Sparse navigation to goals on a ring around the start.

    Training goals follow N(0, high² I) conditioned on low < |goal| < high. Success, and the reward +1, come with every
    step that ends within distance 1 of the goal. Exploration is measured in cells of width 1 whose centres are within
    `high` + 1, from where every goal can be seen, and within what `horizon` steps can reach.

    Args:
        low: Smallest distance of a training goal.
        high: Largest distance of a training goal, and the standard deviation of its distribution.
        sparse: If false, the reward is minus the distance to the goal.
        horizon: Steps of an episode.

    Raises:
        ValueError: Unless 0 <= low < high < infinity and horizon >= 1.
    """

    success_radius = 1.0

    def __init__(self, *, low: float = 5.0, high: float = 9.0, sparse: bool = True, horizon: int = 100):
        if not 0 <= low < high < math.inf:
            raise ValueError(f"low: {low} and high: {high} must satisfy 0 <= low < high and be finite")
        if horizon < 1:
            raise ValueError(f"horizon: {horizon} must be 1 or more")
        self.low, self.high, self.sparse, self.horizon = low, high, sparse, horizon
        self.grid = disc(high + self.success_radius, within=horizon * MAX_DISPLACEMENT)
        super().__init__()

    def get_default_params(self, *, goal: Any = None) -> Vector:
        """The goal; by default to the east, on the middle of the ring."""
        return numbers("goal", ((self.low + self.high) / 2, 0.0) if goal is None else goal, (2,))

    def success(self, state: Vector, task: Vector) -> Bool[Array, ""]:
        """Whether the position is within distance 1 of the goal."""
        return jnp.linalg.norm(state - task) <= self.success_radius

    def reward(
        self, state: Vector, action: Vector, next_state: Vector, rng: PRNGKeyArray, params: Vector
    ) -> Float[Array, ""]:
        """1 within reach of the goal and 0 elsewhere, or minus the distance."""
        if self.sparse:
            return self.success(next_state, params).astype(jnp.float32)
        return -jnp.linalg.norm(next_state - params)

    def sample_tasks(self, key: PRNGKeyArray, num_tasks: int) -> Goals:
        """Goals of the truncated normal distribution.

        The radius of a 2D normal vector is Rayleigh distributed; inverting its truncated distribution function needs
        no rejection loop.
        """
        radius_key, angle_key = jax.random.split(key)
        tail_low, tail_high = (jnp.exp(-((r / self.high) ** 2) / 2) for r in (self.low, self.high))
        tail = jax.random.uniform(radius_key, (num_tasks,), minval=tail_high, maxval=tail_low)
        radius = jnp.clip(self.high * jnp.sqrt(-2 * jnp.log(tail)), self.low, self.high)
        angle = jax.random.uniform(angle_key, (num_tasks,), maxval=2 * jnp.pi)
        return radius[:, None] * jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=1)

    def test_tasks(self) -> Goals:
        """The eight compass directions, half a unit inside a wide ring's edges or in the middle of a narrow one."""
        wide = self.high - self.low > 1
        return _compass([self.low + 0.5, self.high - 0.5] if wide else [(self.low + self.high) / 2])

    def unseen_batch(self, batch: int) -> Goals:
        """The eight compass directions at distances 3, 7 and 11, whatever the ring's."""
        return _compass(UNSEEN_RADII)


def _compass(radii: Sequence[float]) -> Goals:
    return jnp.concatenate([jnp.asarray(radius * COMPASS, jnp.float32) for radius in radii])


class DenseNavigation(Navigation):
    """Navigation with reward minus distance to goals drawn uniformly from [-0.5, 0.5]².

    The episode ends, successfully, within 0.01 of the goal in both coordinates (the point robot of MAML,
    arXiv 1703.03400, section 5.3).
    """

    tolerance = 0.01
    test_radius = 0.4

    def get_default_params(self, *, goal: Any = (0.3, 0.3)) -> Vector:
        """The goal; by default to the north-east."""
        return numbers("goal", goal, (2,))

    def success(self, state: Vector, task: Vector) -> Bool[Array, ""]:
        """Whether both coordinates are within 0.01 of the goal's."""
        return jnp.all(jnp.abs(state - task) < self.tolerance)

    def terminal(self, state: Vector, rng: PRNGKeyArray, params: Vector) -> Bool[Array, ""]:
        """The goal has been reached."""
        return self.success(state, params)

    def reward(
        self, state: Vector, action: Vector, next_state: Vector, rng: PRNGKeyArray, params: Vector
    ) -> Float[Array, ""]:
        """Minus the distance to the goal after the step."""
        return -jnp.linalg.norm(next_state - params)

    def sample_tasks(self, key: PRNGKeyArray, num_tasks: int) -> Goals:
        """Goals uniform in the square."""
        return jax.random.uniform(key, (num_tasks, 2), minval=-0.5, maxval=0.5)

    def test_tasks(self) -> Goals:
        """The eight compass directions at distance 0.4."""
        return jnp.asarray(self.test_radius * COMPASS, jnp.float32)
