"""HalfCheetah and Ant on Gymnasium's MuJoCo: which way to run, how fast, or where to.

The task distributions and rewards are those of MAML (arXiv 1703.03400, section 5.3).
"""

from typing import Any

import numpy as np
from gymnasium.envs.mujoco.ant_v5 import AntEnv
from gymnasium.envs.mujoco.half_cheetah_v5 import HalfCheetahEnv

Step = tuple[np.ndarray, float, bool, bool, dict[str, Any]]


class Directions:
    """Tasks: forward (1.0) or backward (-1.0), in turn."""

    direction = 1.0

    def sample_tasks(self, n: int) -> list[float]:
        """Both directions, equally often if `n` is even."""
        return [1.0, -1.0] * (n // 2) + [1.0] * (n % 2)

    def reset_task(self, task: float) -> None:
        """Set the direction to be rewarded."""
        self.direction = task


class Velocities:
    """Tasks: a forward velocity in metres per second, uniform up to `fastest`."""

    fastest: float
    velocity = 0.0
    np_random: np.random.Generator  # Gymnasium's.

    def sample_tasks(self, n: int) -> list[float]:
        """Independent velocities."""
        return self.np_random.uniform(0, self.fastest, n).tolist()

    def reset_task(self, task: float) -> None:
        """Set the velocity to be rewarded."""
        self.velocity = task


class CheetahDirection(Directions, HalfCheetahEnv):
    """HalfCheetah rewarded for its velocity in the task's direction, less 0.05 times the squared action."""

    def step(self, action: np.ndarray) -> Step:
        """Gymnasium's step, with the task's reward."""
        observation, _, terminated, truncated, info = super().step(action)
        reward = self.direction * info["x_velocity"] - 0.05 * np.sum(np.square(action))
        return observation, reward, terminated, truncated, info


class CheetahVelocity(Velocities, HalfCheetahEnv):
    """HalfCheetah rewarded for running at the task's velocity; success is within 0.1 m/s of it."""

    fastest = 2.0

    def step(self, action: np.ndarray) -> Step:
        """Gymnasium's step, with the task's reward."""
        observation, _, terminated, truncated, info = super().step(action)
        error = abs(info["x_velocity"] - self.velocity)
        reward = -error - 0.05 * np.sum(np.square(action))
        return observation, reward, terminated, truncated, info | {"success": error < 0.1}


class AntDirection(Directions, AntEnv):
    """Ant rewarded for its velocity in the task's direction, and for staying upright."""

    def step(self, action: np.ndarray) -> Step:
        """Gymnasium's step, with the task's reward."""
        observation, _, terminated, truncated, info = super().step(action)
        reward = self.direction * info["x_velocity"] + _ant_upkeep(info, action)
        return observation, reward, terminated, truncated, info


class AntVelocity(Velocities, AntEnv):
    """Ant rewarded for running at the task's velocity; success is within 0.1 m/s of it."""

    fastest = 3.0

    def step(self, action: np.ndarray) -> Step:
        """Gymnasium's step, with the task's reward."""
        observation, _, terminated, truncated, info = super().step(action)
        error = abs(info["x_velocity"] - self.velocity)
        reward = 1.0 - error + _ant_upkeep(info, action)
        return observation, reward, terminated, truncated, info | {"success": error < 0.1}


class AntGoal(AntEnv):
    """Ant rewarded for being near a goal in [-3, 3]²; success is within 0.5 m of it. It observes its own position."""

    def __init__(self, **arguments: Any):
        self.goal = np.zeros(2)
        arguments = {"exclude_current_positions_from_observation": False} | arguments
        super().__init__(**arguments)

    def sample_tasks(self, n: int) -> list[np.ndarray]:
        """Independent goals."""
        return list(self.np_random.uniform(-3, 3, (n, 2)))

    def reset_task(self, task: np.ndarray) -> None:
        """Set the goal."""
        self.goal = task

    def step(self, action: np.ndarray) -> Step:
        """Gymnasium's step, with the task's reward."""
        observation, _, terminated, truncated, info = super().step(action)
        offset = np.array([info["x_position"], info["y_position"]]) - self.goal
        reward = 4.0 - np.sum(np.abs(offset)) + _ant_upkeep(info, action)
        return observation, reward, terminated, truncated, info | {"success": np.linalg.norm(offset) < 0.5}


def _ant_upkeep(info: dict[str, Any], action: np.ndarray) -> float:
    """0.05 for every step upright, less the costs of the action and, as Gymnasium has it, of contacts."""
    return 0.05 - 0.005 * np.sum(np.square(action)) + info["reward_contact"]
