"""Environments as PEARL sees them: actions in [-1, 1], and a horizon of its own."""

from typing import Any

import gymnasium
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mime.envs.task_environment import TaskEnvironment


class UnitActions(TaskEnvironment):
    """Another environment, its box of actions stretched from [-1, 1] in each coordinate.

    Args:
        environment: The other environment.
        horizon: Steps of an episode.

    Raises:
        ValueError: Unless actions are vectors from a bounded box.
    """

    def __init__(self, environment: TaskEnvironment, *, horizon: int):
        box = bounded(environment.action_space)
        self.environment, self.box, self.horizon = environment, box, horizon
        self.observation_space, self.grid = environment.observation_space, environment.grid
        self.action_space = gymnasium.spaces.Box(-1, 1, box.shape, np.float32)
        super().__init__()

    def stretched(self, action: Float[Array, "action"]) -> Float[Array, "action"]:
        """The action of the other environment."""
        return jnp.asarray((self.box.high + self.box.low) / 2 + action * (self.box.high - self.box.low) / 2)

    def initial(self, rng: PRNGKeyArray, params: Any = None) -> Any:
        """As in the other environment."""
        return self.environment.initial(rng, params)

    def observation(self, state: Any, rng: PRNGKeyArray, params: Any = None) -> Float[Array, "observation"]:
        """As in the other environment."""
        return self.environment.observation(state, rng, params)

    def transition(self, state: Any, action: Float[Array, "action"], rng: PRNGKeyArray, params: Any = None) -> Any:
        """The state after the stretched action."""
        return self.environment.transition(state, self.stretched(action), rng, params)

    def reward(
        self, state: Any, action: Float[Array, "action"], next_state: Any, rng: PRNGKeyArray, params: Any = None
    ) -> Float[Array, ""]:
        """The reward of the stretched action."""
        return jnp.asarray(self.environment.reward(state, self.stretched(action), next_state, rng, params))

    def terminal(self, state: Any, rng: PRNGKeyArray, params: Any = None) -> Bool[Array, ""]:
        """As in the other environment."""
        return self.environment.terminal(state, rng, params)

    def success(self, state: Any, task: Any) -> Bool[Array, ""]:
        """As in the other environment."""
        return self.environment.success(state, task)


def bounded(space: gymnasium.Space) -> gymnasium.spaces.Box:
    """The space, if its actions are vectors from a bounded box.

    Raises:
        ValueError: If they are not.
    """
    if not isinstance(space, gymnasium.spaces.Box) or len(space.shape) != 1 or not space.is_bounded():
        raise ValueError(f"PEARL needs actions from a bounded box of one axis, not {space}")
    return space
