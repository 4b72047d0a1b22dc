"""One task of an environment written in JAX, as everybody's Gymnasium environment.

Gymnasium's own adapters for functional environments know nothing of `params`, and their autoreset asks for states that
are arrays; so a step is compiled here as a whole, which is also faster.
"""

import inspect
import os
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from jaxtyping import Array, Bool, Float, Int, Shaped, UInt8, UInt32

from mime.envs import registration
from mime.envs.scenes import Trajectories, picture
from mime.envs.task_environment import TaskEnvironment, count_tasks

FORKED = (
    "JAX does not work in a process that was forked from one that uses it: for many episodes at a time use"
    " gymnasium.make_vec(id, num_envs), which steps them as one compiled program, or start the processes with"
    ' vector_kwargs={"context": "spawn"}'
)


class Process:
    """Whether this process can use JAX."""

    uses_jax = False
    is_forked = False

    @classmethod
    def after_fork(cls) -> None:
        """Note that the parent's threads, which JAX waits for, are not here."""
        cls.is_forked = cls.uses_jax


os.register_at_fork(after_in_child=Process.after_fork)


class Arrival(NamedTuple):
    """What a step, or a reset, leads to."""

    state: Any
    observation: Shaped[Array, "*envs observation"]
    reward: Float[Array, "*envs"]
    terminated: Bool[Array, "*envs"]
    success: Bool[Array, "*envs"]


@dataclass(frozen=True, eq=False)
class Dynamics:
    """An environment's resets and steps, compiled. All randomness is that of the episode's number and the step's."""

    environment: TaskEnvironment

    @partial(jax.jit, static_argnums=0)
    def begin(self, task: Any, episode: UInt32[Array, ""]) -> Arrival:
        """The start of an episode."""
        key = jax.random.key(episode)
        state = self.environment.initial(key, task)
        no = jnp.zeros((), bool)
        return Arrival(state, self.environment.observation(state, key, task), jnp.zeros(()), no, no)

    @partial(jax.jit, static_argnums=0)
    def advance(
        self, state: Any, action: Shaped[Array, "*action"], task: Any, episode: UInt32[Array, ""], step: Int[Array, ""]
    ) -> Arrival:
        """A step, counted from 1."""
        key = jax.random.fold_in(jax.random.key(episode), step)
        after = self.environment.transition(state, action, key, task)
        return Arrival(
            after,
            self.environment.observation(after, key, task),
            self.environment.reward(state, action, after, key, task),
            self.environment.terminal(after, key, task),
            self.environment.success(after, task),
        )

    @partial(jax.jit, static_argnums=0)
    def begin_all(self, task: Any, episodes: UInt32[Array, "envs"]) -> Arrival:
        """The starts of episodes of one task."""
        return jax.vmap(self.begin, in_axes=(None, 0))(task, episodes)

    @partial(jax.jit, static_argnums=0)
    def advance_all(
        self,
        states: Any,
        actions: Shaped[Array, "envs *action"],
        task: Any,
        episodes: UInt32[Array, "envs"],
        steps: Int[Array, "envs"],
    ) -> Arrival:
        """A step of each episode; step 0 is the episode's start, whatever the state and the action."""

        def one(state: Any, action: Array, episode: Array, step: Array) -> Arrival:
            arrivals = self.begin(task, episode), self.advance(state, action, task, episode, step)
            return jax.tree.map(partial(jnp.where, step == 0), *arrivals)

        return jax.vmap(one)(states, actions, episodes, steps)


class SingleTask(gymnasium.Env):
    """One task of an environment written in JAX: `gymnasium.make("mime/2DNavigationSparse-v0", goal=(3.0, 4.0))`.

    `info["success"]` says whether the step solved the task. Like everybody's environments for meta-learning it also has
    `sample_tasks`, `sample_test_tasks` and `reset_task`.

    Args:
        env_name: A key of `mime.envs.registration.ENVIRONMENTS` that is written in JAX.
        render_mode: `rgb_array` for a picture of the episode so far, or None.
        **arguments: The task's, as `goal`, and those of the environment's constructor, as `sparse`.

    Raises:
        ValueError: If the environment has no such argument, or refuses its value.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012 (as Gymnasium declares it)

    def __init__(self, env_name: str, *, render_mode: str | None = None, **arguments: Any):
        if render_mode not in (None, "rgb_array"):
            raise ValueError(f"render_mode: {render_mode!r} must be rgb_array or None")
        self.environment, self.task = make(env_name, arguments)
        self.observation_space, self.action_space = self.environment.observation_space, self.environment.action_space
        self.render_mode = render_mode
        self._dynamics = Dynamics(self.environment)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """The first observation of a new episode."""
        super().reset(seed=seed)
        self._episode, self._step = draw_episodes(self.np_random, ())[()], 0
        start = self._dynamics.begin(self.task, self._episode)
        observation = np.asarray(start.observation)
        self._state, self._observations, self._outcomes = start.state, [observation], []
        return observation, {"success": False}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Observation, reward, whether the episode is over, False (Gymnasium limits the time), and `success`."""
        self._step += 1
        self._state, *numbers = self._dynamics.advance(
            self._state, np.asarray(action), self.task, self._episode, np.int32(self._step)
        )
        observation, reward, terminated, success = map(np.asarray, numbers)
        if self.render_mode is not None:
            self._observations.append(observation)
            self._outcomes.append((reward, success))
        return observation, float(reward), bool(terminated), False, {"success": bool(success)}

    def render(self) -> UInt8[np.ndarray, "height width 3"] | None:
        """The episode so far, drawn as in the pictures of a run."""
        if self.render_mode is None:
            return None
        # Before the first step, one that does not count.
        observations = self._observations if self._outcomes else 2 * self._observations
        rewards, success = map(np.stack, zip(*(self._outcomes or [(np.float32(0), False)])))
        valid = np.full(len(success), bool(self._outcomes))
        arrays = np.stack(observations), rewards, success, valid
        tasks = jax.tree.map(lambda leaf: np.asarray(leaf)[None], self.task)
        trajectories = Trajectories(*(array[None, None] for array in arrays))
        return picture(self.environment, tasks, trajectories, f"step {len(self._outcomes)}")

    def sample_tasks(self, num_tasks: int) -> list[Any]:
        """Training tasks, for `reset_task`; environments with a fixed set of them may return fewer."""
        return _listed(self.environment.sample_tasks(jax.random.key(draw_episodes(self.np_random, ())), num_tasks))

    def sample_test_tasks(self, num_tasks: int) -> list[Any]:
        """The first of the held-out tasks."""
        return _listed(self.environment.test_tasks())[:num_tasks]

    def reset_task(self, task: Any) -> None:
        """Set the task. The next episode is the first one of it."""
        self.task = task


class SingleTaskVector(gymnasium.vector.VectorEnv):
    """Independent episodes of one task, stepped as one compiled program: `gymnasium.make_vec("mime/...", num_envs=64)`.

    An episode that has ended starts anew with the next step, whose action is ignored and whose reward is 0 (Gymnasium's
    `AutoresetMode.NEXT_STEP`). `info["success"]` has a number for every episode.

    Args:
        env_name: A key of `mime.envs.registration.ENVIRONMENTS` that is written in JAX.
        num_envs: Number of episodes at a time.
        max_episode_steps: Steps after which an episode is truncated; by default the environment's horizon.
        **arguments: As of `SingleTask`.

    Raises:
        ValueError: If the environment has no such argument, or refuses its value.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, env_name: str, *, num_envs: int = 1, max_episode_steps: int | None = None, **arguments: Any):
        self.environment, self.task = make(env_name, arguments)
        self.num_envs = num_envs
        self.single_observation_space = self.environment.observation_space
        self.single_action_space = self.environment.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._limit = max_episode_steps or self.environment.horizon
        self._dynamics = Dynamics(self.environment)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """The first observations of new episodes, `[envs observation]`."""
        super().reset(seed=seed)
        self._episodes = draw_episodes(self.np_random, (self.num_envs,))
        self._steps, self._done = np.zeros(self.num_envs, np.int32), np.zeros(self.num_envs, bool)
        start = self._dynamics.begin_all(self.task, self._episodes)
        self._states = start.state
        return np.asarray(start.observation), {"success": np.asarray(start.success)}

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Observations, rewards, which episodes are over, which ran out of time, and `success`, each `[envs ...]`."""
        if self._done.any():
            self._episodes = np.where(self._done, draw_episodes(self.np_random, (self.num_envs,)), self._episodes)
        self._steps = np.where(self._done, 0, self._steps + 1).astype(np.int32)
        self._states, *numbers = self._dynamics.advance_all(
            self._states, np.asarray(actions), self.task, self._episodes, self._steps
        )
        observations, rewards, terminated, success = map(np.asarray, numbers)
        truncated = self._steps >= self._limit
        self._done = terminated | truncated
        return observations, rewards, terminated, truncated, {"success": success}


def make(env_name: str, arguments: dict[str, Any]) -> tuple[TaskEnvironment, Any]:
    """An environment, and the task described by those of the arguments that its constructor does not have.

    Raises:
        ValueError: If there is no such argument, or its value is refused.
        RuntimeError: In a process that was forked from one that has made environments.
    """
    if Process.is_forked:
        raise RuntimeError(FORKED)
    Process.uses_jax = True
    if "horizon" in arguments:
        raise ValueError("horizon: is called max_episode_steps in Gymnasium")
    blueprint = registration.make(env_name, {})
    assert isinstance(blueprint, TaskEnvironment)
    named = inspect.signature(blueprint.get_default_params).parameters
    description = {name: value for name, value in arguments.items() if name in named}
    rest = {name: value for name, value in arguments.items() if name not in named}
    try:
        environment = registration.make(env_name, rest)
        assert isinstance(environment, TaskEnvironment)
    except ValueError as error:
        raise ValueError(f"{error}; its task has {', '.join(named)}") from None
    return environment, environment.get_default_params(**description)


def draw_episodes(generator: np.random.Generator, shape: tuple[int, ...]) -> UInt32[np.ndarray, "..."]:
    """Numbers of episodes, which decide all that is random in them."""
    return np.asarray(generator.integers(2**32, size=shape, dtype=np.uint32))


def _listed(tasks: Any) -> list[Any]:
    return [jax.tree.map(lambda leaf, place=place: leaf[place], tasks) for place in range(count_tasks(tasks))]
