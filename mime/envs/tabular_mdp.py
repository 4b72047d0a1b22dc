"""Random tabular Markov decision processes: a handful of states and actions, everything else unknown."""

from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from mime.envs.task_environment import TaskEnvironment, numbers

State = Int[Array, ""]
NUM_TEST_TASKS = 20


class Tables(NamedTuple):
    """Task: a decision process.

    Attributes:
        transitions: Probability of the next state, for each state and action.
        rewards: Mean reward of each state and action.
    """

    transitions: Float[Array, "*tasks states actions states"]
    rewards: Float[Array, "*tasks states actions"]


class TabularMDP(TaskEnvironment):
    """A decision process with random transitions and rewards (Duan et al. 2016, arXiv 1611.02779, section 3.2).

    Transition probabilities are flat Dirichlet and mean rewards N(1, 1) distributed; a reward is normal with variance 1
    around the mean. An episode starts in the first state; the observation is the state, one-hot. There is no success.

    Args:
        states: Number of states.
        actions: Number of actions.

    Raises:
        ValueError: If there are fewer than two of either.
    """

    horizon = 10

    def __init__(self, *, states: int = 10, actions: int = 5):
        if min(states, actions) < 2:
            raise ValueError(f"states: {states} and actions: {actions} must be 2 or more")
        self.states, self.actions = states, actions
        self.observation_space = gymnasium.spaces.Box(0, 1, (states,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(actions)
        super().__init__()

    def get_default_params(self, *, transitions: Any = None, rewards: Any = None) -> Tables:
        """The tables, of which transition probabilities are normalised; by default one draw."""
        draw = jax.tree.map(lambda leaf: leaf[0], self.sample_tasks(jax.random.key(0), 1))
        shape = self.states, self.actions
        chances = numbers(
            "transitions", draw.transitions if transitions is None else transitions, (*shape, self.states)
        )
        means = numbers("rewards", draw.rewards if rewards is None else rewards, shape)
        return Tables(chances / jnp.sum(chances, axis=-1, keepdims=True), means)

    def initial(self, rng: PRNGKeyArray, params: Tables | None = None) -> State:
        """The first state."""
        return jnp.zeros((), int)

    def observation(self, state: State, rng: PRNGKeyArray, params: Tables | None = None) -> Float[Array, "states"]:
        """The state, one-hot."""
        return jax.nn.one_hot(state, self.states)

    def transition(self, state: State, action: State, rng: PRNGKeyArray, params: Tables) -> State:
        """A draw of the next state."""
        return jax.random.categorical(jax.random.fold_in(rng, 0), jnp.log(params.transitions[state, action]))

    def reward(
        self, state: State, action: State, next_state: State, rng: PRNGKeyArray, params: Tables
    ) -> Float[Array, ""]:
        """Normal around the mean of the state and the action."""
        return params.rewards[state, action] + jax.random.normal(jax.random.fold_in(rng, 1))

    def success(self, state: State, task: Tables) -> Bool[Array, ""]:
        """Never: there is nothing to be reached."""
        return jnp.zeros((), bool)

    def sample_tasks(self, key: PRNGKeyArray, num_tasks: int) -> Tables:
        """Independent decision processes."""
        transitions_key, rewards_key = jax.random.split(key)
        shape = num_tasks, self.states, self.actions
        return Tables(
            transitions=jax.random.dirichlet(transitions_key, jnp.ones(self.states), shape),
            rewards=1 + jax.random.normal(rewards_key, shape),
        )

    def test_tasks(self) -> Tables:
        """Twenty decision processes of the same distribution."""
        return self.sample_tasks(jax.random.key(0x7E57), NUM_TEST_TASKS)
