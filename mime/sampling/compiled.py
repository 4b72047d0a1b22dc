"""Sampling from environments written in JAX: all tasks and trajectories in one scan over the steps."""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PRNGKeyArray

from mime.envs.task_environment import TaskEnvironment, count_tasks
from mime.numerics.finite import select
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

    @partial(jax.jit, static_argnums=0, static_argnames="num_episodes")
    def trials(self, policies: Any, tasks: Any, key: PRNGKeyArray, *, num_episodes: int) -> Episodes:
        """Trials `[tasks trajectories episodes steps ...]` of recurrent policies."""
        keys = jax.random.split(key, (count_tasks(tasks), self.num_trajectories))

        def of_a_task(policy: Any, task: Any, keys: Key[Array, "trajectories"]) -> Episodes:
            return jax.vmap(lambda key: trial(self.environment, policy, task, key, num_episodes=num_episodes))(keys)

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
    return remembered_rollout(environment, Memoryless(behaviour), (), task, key, latent)[1]


def trial(environment: TaskEnvironment, behaviour: Any, task: Any, key: PRNGKeyArray, *, num_episodes: int) -> Episodes:
    """Episodes `[episodes steps ...]` of one task, all of which a recurrent behaviour remembers.

    Args:
        environment: Where they take place.
        behaviour: How to act: a `mime.policies.recurrent.RecurrentPolicy`, or anything like it.
        task: The environment's parameters.
        key: For everything random.
        num_episodes: How many.
    """

    def episode(carry: Any, key: PRNGKeyArray) -> tuple[Any, Episodes]:
        carry, steps = remembered_rollout(environment, behaviour, carry, task, key)
        return behaviour.next_episode(carry), steps

    return jax.lax.scan(episode, behaviour.start(), jax.random.split(key, num_episodes))[1]


@dataclass(frozen=True, eq=False)
class Memoryless:
    """A behaviour without a memory as one with a memory.

    Attributes:
        behaviour: Maps an observation to a distribution of actions.
    """

    behaviour: Behaviour

    def __call__(self, observation: Array, carry: Any) -> tuple[Any, Any]:
        """The distribution of the action."""
        return self.behaviour(observation), carry

    def remember(self, carry: Any, action: Array, reward: Array) -> Any:
        """Nothing."""
        return carry


def remembered_rollout(
    environment: TaskEnvironment,
    behaviour: Any,
    carry: Any,
    task: Any,
    key: PRNGKeyArray,
    latent: Array | None = None,
) -> tuple[Any, Episodes]:
    """`rollout` of a behaviour with a memory, which is a pytree: what it remembers before and after the trajectory."""
    initial_key, steps_key = jax.random.split(key)

    def step(carried, step_key):
        state, observation, alive, carry = carried
        action_key, environment_key = jax.random.split(step_key)
        distribution, acted = behaviour(observation, carry)
        action = distribution.sample(key=action_key)
        next_state = environment.transition(state, action, environment_key, task)
        next_observation = environment.observation(next_state, environment_key, task)
        reward = environment.reward(state, action, next_state, environment_key, task)
        transition = Episodes(
            observations=observation,
            actions=action,
            rewards=reward,
            next_observations=next_observation,
            success=environment.success(next_state, task),
            valid=alive,
            latents=latent,
        )
        # After the end nothing is remembered.
        carry = select(alive, behaviour.remember(acted, action, reward), carry)
        alive &= ~environment.terminal(next_state, environment_key, task)
        return (next_state, next_observation, alive, carry), transition

    state = environment.initial(initial_key, task)
    start = state, environment.observation(state, initial_key, task), jnp.ones((), bool), carry
    (*_, carry), episode = jax.lax.scan(step, start, jax.random.split(steps_key, environment.horizon))
    return carry, episode
