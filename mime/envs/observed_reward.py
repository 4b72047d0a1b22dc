"""Environments whose last reward is part of the observation, as in RL2 (Duan et al. 2016, arXiv 1611.02779)."""

from typing import Any, NamedTuple

import gymnasium
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mime.envs.task_environment import TaskEnvironment


class RewardedState(NamedTuple):
    """A state, and the reward of the step that led to it; 0 at the start."""

    state: Any
    reward: Float[Array, ""]


class ObservedReward(TaskEnvironment):
    """Another environment, with the last step's reward as the observation's last number.

    A policy that sees it can stay where it was rewarded, without having adapted to the task. Places and what varies
    are the other environment's, so that bonuses do not see the reward.

    Args:
        environment: The other environment.
    """

    def __init__(self, environment: TaskEnvironment):
        self.environment, space = environment, environment.observation_space
        self.observation_space = gymnasium.spaces.Box(
            np.append(space.low, -np.inf).astype(np.float32), np.append(space.high, np.inf).astype(np.float32)
        )
        self.action_space, self.horizon, self.grid = environment.action_space, environment.horizon, environment.grid
        self.varying = environment.varying or tuple(range(space.shape[0]))
        self.places = environment.places or self.varying
        super().__init__()

    def sample_tasks(self, key: PRNGKeyArray, num_tasks: int) -> Any:
        """The other environment's."""
        return self.environment.sample_tasks(key, num_tasks)

    def test_tasks(self) -> Any:
        """The other environment's."""
        return self.environment.test_tasks()

    def unseen_batch(self, batch: int) -> Any:
        """The other environment's."""
        return self.environment.unseen_batch(batch)

    def get_default_params(self, **options: Any) -> Any:
        """The other environment's."""
        return self.environment.get_default_params(**options)

    def initial(self, rng: PRNGKeyArray, params: Any = None) -> RewardedState:
        """The other environment's, before any reward."""
        return RewardedState(self.environment.initial(rng, params), jnp.zeros(()))

    def observation(self, state: RewardedState, rng: PRNGKeyArray, params: Any = None) -> Float[Array, "observation"]:
        """The other environment's, and the last reward."""
        return jnp.append(self.environment.observation(state.state, rng, params), state.reward)

    def transition(self, state: RewardedState, action: Array, rng: PRNGKeyArray, params: Any = None) -> RewardedState:
        """The other environment's, with its reward."""
        after = self.environment.transition(state.state, action, rng, params)
        reward = self.environment.reward(state.state, action, after, rng, params)
        return RewardedState(after, jnp.asarray(reward, jnp.float32))

    def reward(
        self, state: RewardedState, action: Array, next_state: RewardedState, rng: PRNGKeyArray, params: Any = None
    ) -> Float[Array, ""]:
        """The other environment's."""
        return next_state.reward

    def terminal(self, state: RewardedState, rng: PRNGKeyArray, params: Any = None) -> Bool[Array, ""]:
        """As in the other environment."""
        return self.environment.terminal(state.state, rng, params)

    def success(self, state: RewardedState, task: Any) -> Bool[Array, ""]:
        """As in the other environment."""
        return self.environment.success(state.state, task)


def with_observed_reward(environment: Any) -> ObservedReward:
    """The environment with its last reward observed.

    Raises:
        ValueError: If it is not written in JAX.
    """
    if not isinstance(environment, TaskEnvironment):
        raise ValueError("observe-reward: true needs an environment written in JAX; leave it out")
    return ObservedReward(environment)
