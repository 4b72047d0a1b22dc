"""Sampling from environments written in JAX: all tasks and trajectories in one scan over the steps."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PRNGKeyArray

from mime.envs.task_environment import TaskEnvironment, count_tasks
from mime.numerics.parallel import over_tasks
from mime.policies.policy import Behaviour, Policy
from mime.sampling.episodes import Episodes


@dataclass(frozen=True, eq=False)
class CompiledSampler:
    """A `Sampler` that is itself a JAX program.

    Attributes:
        environment: The environment; its `horizon` is the number of steps.
        num_trajectories: Trajectories per task.
    """

    environment: TaskEnvironment
    num_trajectories: int
    compiled: ClassVar[bool] = True

    @partial(jax.jit, static_argnums=0)
    def __call__(self, policies: Policy, tasks: Any, key: PRNGKeyArray) -> Episodes:
        """Episodes `[tasks trajectories steps ...]` of `policies` and `tasks`, both with a leading `tasks` axis."""
        keys = jax.random.split(key, (count_tasks(tasks), self.num_trajectories))

        def of_a_task(policy: Policy, task: Any, keys: Key[Array, "trajectories"]) -> Episodes:
            def trajectory(key: PRNGKeyArray, latent: Array | None) -> Episodes:
                return rollout(self.environment, policy.given(latent), task, key, latent)

            return jax.vmap(trajectory)(keys, policy.draw(keys))

        return over_tasks(of_a_task, vectorised=True)(policies, tasks, keys)

    def close(self) -> None:
        """Nothing to release."""


def rollout(
    environment: TaskEnvironment, behaviour: Behaviour, task: Any, key: PRNGKeyArray, latent: Array | None = None
) -> Episodes:
    """One trajectory of one task: `Episodes` with the `steps` axis alone.

    Args:
        environment: Where it takes place.
        behaviour: How to act in it.
        task: The environment's parameters.
        key: For everything random.
        latent: What was drawn for it, for the record; None if nothing was.
    """
    initial_key, steps_key = jax.random.split(key)

    def step(carry, step_key):
        state, observation, alive = carry
        action_key, environment_key = jax.random.split(step_key)
        action = behaviour(observation).sample(key=action_key)
        next_state = environment.transition(state, action, environment_key, task)
        next_observation = environment.observation(next_state, environment_key, task)
        transition = Episodes(
            observations=observation,
            actions=action,
            rewards=environment.reward(state, action, next_state, environment_key, task),
            next_observations=next_observation,
            success=environment.success(next_state, task),
            valid=alive,
            latents=latent,
        )
        alive &= ~environment.terminal(next_state, environment_key, task)
        return (next_state, next_observation, alive), transition

    state = environment.initial(initial_key, task)
    start = state, environment.observation(state, initial_key, task), jnp.ones((), bool)
    return jax.lax.scan(step, start, jax.random.split(steps_key, environment.horizon))[1]
