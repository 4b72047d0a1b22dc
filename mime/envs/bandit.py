"""Bernoulli bandits: arms that pay with unknown probabilities."""

from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from mime.envs.task_environment import TaskEnvironment, numbers

Arms = Float[Array, "arms"]
NUM_TEST_TASKS = 20


class BernoulliBandit(TaskEnvironment):
    """A bandit whose arms pay 1 with probabilities drawn uniformly from [0, 1], and else nothing.

    The task is the vector of probabilities (Duan et al. 2016, arXiv 1611.02779, section 3.1). The observation is always
    0: a policy without memory adapts by its parameters. The state is the arm pulled last and whether it paid; success
    is a pull of the best arm.

    Args:
        arms: Number of arms, 2 or more.
        pulls: Steps of an episode.

    Raises:
        ValueError: If there are fewer.
    """

    observation_space = gymnasium.spaces.Box(0, 0, (1,), np.float32)

    def __init__(self, *, arms: int = 5, pulls: int = 100):
        if arms < 2:
            raise ValueError(f"arms: {arms} must be 2 or more")
        if pulls < 1:
            raise ValueError(f"pulls: {pulls} must be 1 or more")
        self.arms, self.pulls, self.horizon = arms, pulls, pulls
        self.action_space = gymnasium.spaces.Discrete(arms)
        super().__init__()

    def get_default_params(self, *, probabilities: Any = None) -> Arms:
        """Each arm's probability; by default in equal steps."""
        equal_steps = np.linspace(0, 1, self.arms)
        return numbers(
            "probabilities", equal_steps if probabilities is None else probabilities, (self.arms,), low=0.0, high=1.0
        )

    def initial(self, rng: PRNGKeyArray, params: Arms | None = None) -> Int[Array, ""]:
        """The first arm, as if it had been pulled."""
        return jnp.zeros((), int)

    def observation(self, state: Int[Array, ""], rng: PRNGKeyArray, params: Arms | None = None) -> Float[Array, "1"]:
        """Nothing."""
        return jnp.zeros(1)

    def transition(
        self, state: Int[Array, ""], action: Int[Array, ""], rng: PRNGKeyArray, params: Arms
    ) -> Int[Array, ""]:
        """The arm pulled."""
        return action

    def reward(
        self, state: Int[Array, ""], action: Int[Array, ""], next_state: Int[Array, ""], rng: PRNGKeyArray, params: Arms
    ) -> Float[Array, ""]:
        """1 with the arm's probability."""
        return jax.random.bernoulli(rng, params[next_state]).astype(jnp.float32)

    def success(self, state: Int[Array, ""], task: Arms) -> Bool[Array, ""]:
        """Whether the arm is the best one."""
        return state == jnp.argmax(task)

    def sample_tasks(self, key: PRNGKeyArray, num_tasks: int) -> Float[Array, "tasks arms"]:
        """Independent uniform probabilities."""
        return jax.random.uniform(key, (num_tasks, self.arms))

    def test_tasks(self) -> Float[Array, "tasks arms"]:
        """Twenty bandits of the same distribution."""
        return self.sample_tasks(jax.random.key(0x7E57), NUM_TEST_TASKS)
