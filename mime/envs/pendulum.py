"""Swing-up pendulum: a rod of unknown mass and length, too heavy to be lifted in one go."""

from itertools import product
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mime.envs.task_environment import TaskEnvironment, numbers, repeat_evenly

Scalar = Float[Array, ""]


class Rod(NamedTuple):
    """Task: mass (kg) and length (m) of the pendulum, a uniform rod."""

    mass: Float[Array, "*tasks"]
    length: Float[Array, "*tasks"]


class Swing(NamedTuple):
    """State of the pendulum.

    Attributes:
        angle: From upright, in radians, kept in [-π, π]: float32 is finest near 0, where success is decided.
        speed: Radians per second.
    """

    angle: Scalar
    speed: Scalar


class Pendulum(TaskEnvironment):
    """A pendulum that hangs down and is to be swung up by a torque clipped to [-2, 2] N m.

    The mechanics are those of Gymnasium's Pendulum-v1, with other bounds and without its cost of speed and torque.
    The observation is (cos angle, sin angle, speed); the task is the rod. Success is a step that ends with the tip
    within 0.0005 lengths of the upright position.

    Args:
        sparse: If true, the reward is 1 for success and else 0; if false, it is minus the tip's distance from upright.
    """

    observation_space = gymnasium.spaces.Box(np.array([-1, -1, -20], np.float32), np.array([1, 1, 20], np.float32))
    action_space = gymnasium.spaces.Box(-2, 2, (1,), np.float32)
    horizon = 50
    places = (0, 1)
    gravity = 10.0
    dt = 0.1
    max_torque = 2.0
    max_speed = 20.0
    tolerance = 0.0005

    def __init__(self, *, sparse: bool = False):
        self.sparse = sparse
        super().__init__()

    def get_default_params(self, *, mass: Any = 0.6, length: Any = 0.5) -> Rod:
        """The rod; by default one amid the training ones."""
        return Rod(numbers("mass", mass, (), low=0.01), numbers("length", length, (), low=0.01))

    def initial(self, rng: PRNGKeyArray, params: Rod | None = None) -> Swing:
        """Hanging down, almost at rest."""
        angle_key, speed_key = jax.random.split(rng)
        angle = jax.random.uniform(angle_key, minval=3.0, maxval=3.28)
        return Swing(wrap(angle), jax.random.uniform(speed_key, minval=-0.01, maxval=0.01))

    def observation(self, state: Swing, rng: PRNGKeyArray, params: Rod | None = None) -> Float[Array, "3"]:
        """Cosine and sine of the angle, and the speed."""
        return jnp.stack([jnp.cos(state.angle), jnp.sin(state.angle), state.speed])

    def transition(self, state: Swing, action: Float[Array, "1"], rng: PRNGKeyArray, params: Rod) -> Swing:
        """One semi-implicit Euler step of a rod's motion. The speed is clipped after it has moved the angle."""
        torque = jnp.clip(action[0], -self.max_torque, self.max_torque)
        weight = 3 * self.gravity / (2 * params.length) * jnp.sin(state.angle)
        speed = state.speed + (weight + 3 * torque / (params.mass * params.length**2)) * self.dt
        angle = wrap(state.angle + speed * self.dt)
        return Swing(angle, jnp.clip(speed, -self.max_speed, self.max_speed))

    def tip_distance(self, state: Swing, task: Rod) -> Scalar:
        """Distance of the tip from where it is when upright.

        The half-angle form: the law of cosines, l √(2 - 2 cos angle), loses all digits near upright in float32.
        """
        return 2 * task.length * jnp.abs(jnp.sin(state.angle / 2))

    def success(self, state: Swing, task: Rod) -> Bool[Array, ""]:
        """Whether the tip is within 0.0005 lengths of upright."""
        return self.tip_distance(state, task) < self.tolerance * task.length

    def reward(
        self, state: Swing, action: Float[Array, "1"], next_state: Swing, rng: PRNGKeyArray, params: Rod
    ) -> Scalar:
        """1 for success and else 0, or minus the tip's distance from upright."""
        if self.sparse:
            return self.success(next_state, params).astype(jnp.float32)
        return -self.tip_distance(next_state, params)

    def sample_tasks(self, key: PRNGKeyArray, num_tasks: int) -> Rod:
        """The six training rods, each equally often or once more."""
        return repeat_evenly(key, _rods(masses=(0.5, 0.7), lengths=(0.4, 0.5, 0.7)), num_tasks)

    def test_tasks(self) -> Rod:
        """Four rods, one within the range of the training ones and three heavier or longer."""
        return _rods(masses=(0.6, 0.8), lengths=(0.6, 0.8))

    def unseen_batch(self, batch: int) -> Rod:
        """Four rods, lighter or heavier and shorter or longer than all others."""
        return _rods(masses=(0.4, 0.9), lengths=(0.3, 0.9))


def wrap(angle: Scalar) -> Scalar:
    """The same direction in [-π, π]."""
    return angle - 2 * jnp.pi * jnp.round(angle / (2 * jnp.pi))


def _rods(*, masses: tuple[float, ...], lengths: tuple[float, ...]) -> Rod:
    mass, length = zip(*product(masses, lengths))
    return Rod(jnp.array(mass), jnp.array(length))
