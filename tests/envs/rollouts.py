"""Episodes to be drawn: in every environment that has a scene of its own, and in one without."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from mime.envs.dog_house import DogHouse
from mime.envs.navigation import DenseNavigation, Navigation, RingNavigation
from mime.envs.pendulum import Pendulum
from mime.envs.task_environment import count_tasks
from mime.sampling.episodes import Episodes

KEY = jax.random.key(0)


class Unknown(Navigation):
    """An environment for which no picture was designed."""

    def reward(self, state, action, next_state, rng, params):
        return -jnp.linalg.norm(next_state - params)

    def success(self, state, task):
        return jnp.linalg.norm(state - task) < 1


GOALS = jnp.array([[3.0, 0.0], [0.0, 3.0]])
ENVIRONMENTS = {
    "ring": (RingNavigation(low=2.0, high=4.0), GOALS),
    "square": (DenseNavigation(), jnp.array([[0.4, 0.0], [0.0, 0.4]])),
    "house": (DogHouse(), DogHouse().test_tasks()),
    "pendulum": (Pendulum(), Pendulum().sample_tasks(KEY, 6)),
    "unknown": (Unknown(), GOALS),
}


@partial(jax.jit, static_argnums=(0, 2))
def rollouts(environment, tasks, num_trajectories, actions, scale):
    """Episodes of constant actions `[tasks action]` and noise of that scale."""

    def rollout(task, action, key):
        def step(carry, noise_key):
            state, alive = carry
            chosen = action + scale * jax.random.normal(noise_key, action.shape)
            after = environment.transition(state, chosen, key, task)
            transition = Episodes(
                observations=environment.observation(state, key, task),
                actions=chosen,
                rewards=environment.reward(state, chosen, after, key, task),
                next_observations=environment.observation(after, key, task),
                success=environment.success(after, task),
                valid=alive,
            )
            return (after, alive & ~environment.terminal(after, key, task)), transition

        start = environment.initial(key, task), jnp.ones((), bool)
        return jax.lax.scan(step, start, jax.random.split(key, environment.horizon))[1]

    keys = jax.random.split(KEY, (len(actions), num_trajectories))
    return jax.vmap(jax.vmap(rollout, in_axes=(None, None, 0)))(tasks, actions, keys)


def play(environment, tasks, *, num_trajectories=3, actions=None, scale=1.0):
    """Episodes as NumPy arrays that can be written to; of random actions, if none are given."""
    if actions is None:
        actions = jnp.zeros((count_tasks(tasks), *environment.action_space.shape))
    return jax.tree.map(np.array, rollouts(environment, tasks, num_trajectories, actions, scale))
