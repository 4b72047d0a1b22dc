"""Harder variants of training tasks, in which actions count for less."""

from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from mime.envs.task_environment import TaskEnvironment, count_tasks


class Weakened(NamedTuple):
    """A task and how strong actions are in it, between 0 and 1."""

    task: Any
    strength: Float[Array, "*tasks"]


# Not among the numbers that `jax.random.split` folds in: factors do not depend on which tasks the key draws.
FACTORS = 0x3EA4


class WeakenedActions(TaskEnvironment):
    """An environment, half of whose training tasks, rounded down, are made harder in every batch.

    In those an action counts for less: it is clipped to the box and drawn towards its middle by a factor, which is
    the task's and drawn anew for every batch. Who only ever meets tasks that are within easy reach learns nothing that
    would help with one that is not; what weak actions take is learned from the training tasks alone. The environment's
    own tasks mean what they do there, held-out ones too. What is out of reach of the weak is not told apart.

    Args:
        environment: With a bounded box of actions.
        weakest: The least factor.

    Raises:
        ValueError: If actions have no bounds.

    References:
        Rajendran et al. 2020, Meta-Learning Requires Meta-Augmentation, arXiv 2007.05549.
    """

    def __init__(self, environment: TaskEnvironment, weakest: float):
        space = environment.action_space
        if not isinstance(space, gymnasium.spaces.Box) or not space.is_bounded():
            raise ValueError(f"weakest-actions: {weakest:g} needs a bounded box of actions, not {space}")
        self.environment, self.weakest = environment, weakest
        self.low, self.high = space.low, space.high
        self.observation_space, self.action_space = environment.observation_space, space
        self.horizon, self.grid, self.places = environment.horizon, environment.grid, environment.places
        super().__init__()

    def sample_tasks(self, key: PRNGKeyArray, num_tasks: int) -> Weakened:
        """The environment's training tasks; half of them, in a row, with factors uniform from `weakest` to 1."""
        tasks = self.environment.sample_tasks(key, num_tasks)
        count = count_tasks(tasks)
        first_key, factors_key = jax.random.split(jax.random.fold_in(key, FACTORS))
        # Not always the same ones: some environments have an order. In a row, because others repeat theirs.
        weak = jnp.roll(jnp.arange(count) < count // 2, jax.random.randint(first_key, (), 0, count))
        factors = jax.random.uniform(factors_key, (count,), minval=self.weakest)
        return Weakened(tasks, jnp.where(weak, factors, 1))

    def test_tasks(self) -> Any:
        """The environment's own."""
        return self.environment.test_tasks()

    def unseen_batch(self, batch: int) -> Any:
        """The environment's own."""
        return self.environment.unseen_batch(batch)

    def test_batch(self, batch: int) -> Any:
        """The environment's own."""
        return self.environment.test_batch(batch)

    def get_default_params(self, **options: Any) -> Any:
        """The environment's own task."""
        return self.environment.get_default_params(**options)

    def initial(self, rng: PRNGKeyArray, params: Any = None) -> Any:
        """As in the environment."""
        return self.environment.initial(rng, plain(params))

    def observation(self, state: Any, rng: PRNGKeyArray, params: Any = None) -> Array:
        """As in the environment."""
        return self.environment.observation(state, rng, plain(params))

    def transition(self, state: Any, action: Array, rng: PRNGKeyArray, params: Any) -> Any:
        """The environment's, of what is left of the action."""
        return self.environment.transition(state, self._left(action, params), rng, plain(params))

    def reward(self, state: Any, action: Array, next_state: Any, rng: PRNGKeyArray, params: Any) -> Array:
        """The environment's, of what is left of the action."""
        return self.environment.reward(state, self._left(action, params), next_state, rng, plain(params))

    def terminal(self, state: Any, rng: PRNGKeyArray, params: Any = None) -> Bool[Array, ""]:
        """As in the environment."""
        return self.environment.terminal(state, rng, plain(params))

    def success(self, state: Any, task: Any) -> Bool[Array, ""]:
        """As in the environment."""
        return self.environment.success(state, plain(task))

    def _left(self, action: Array, task: Any) -> Array:
        if not isinstance(task, Weakened):
            return action
        middle = (self.low + self.high) / 2
        less = middle + task.strength * (jnp.clip(action, self.low, self.high) - middle)
        return jnp.where(task.strength == 1, action, less)


def weakened(environment: Any, weakest: float) -> Any:
    """The environment in which training takes place, with the least factor of actions; itself if that is 1.

    Raises:
        ValueError: If its actions cannot be weakened.
    """
    if weakest == 1:
        return environment
    if not isinstance(environment, TaskEnvironment):
        raise ValueError(f"weakest-actions: {weakest:g} needs an environment written in JAX; leave it out")
    return WeakenedActions(environment, weakest)


def plain(task: Any) -> Any:
    """The environment's own task, whether it is weakened or not."""
    return task.task if isinstance(task, Weakened) else task
