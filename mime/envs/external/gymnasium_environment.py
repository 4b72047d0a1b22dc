"""Anyone's environment: a Gymnasium environment with tasks, named in the configuration."""

import inspect
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from mime.configuration.named_classes import import_class, is_class_name
from mime.envs.external.hosted_environment import NUM_TEST_TASKS, HostedEnvironment, Tasks, as_tasks, seed_globally

REQUIRED = ("sample_tasks", "reset_task")
TEST_WORDS = (0x7E57,)


class GymnasiumEnvironment(HostedEnvironment):
    """A Gymnasium environment whose unwrapped self has `sample_tasks(n)` and `reset_task(task)`.

    It may also have `sample_test_tasks(n)`, for tasks that training never sees, and report `success` in a step's
    information. Its random numbers should come from its `np_random`, or from NumPy's global generator.

    Args:
        name: `package.module:Class`, or a Gymnasium id.
        max_episode_steps: Steps of an episode; by default those of the registered id.
        normalization_scale: If given, actions are rescaled from [-scale, scale] to the environment's box. They are
            clipped to it in any case.
        **arguments: Of the environment's constructor.

    Raises:
        ValueError: If there is no such environment, it lacks the methods, or it has no such arguments.
    """

    def __init__(
        self,
        name: str,
        *,
        max_episode_steps: int | None = None,
        normalization_scale: float | None = None,
        **arguments: Any,
    ):
        self.name, self._arguments, self._scale = name, arguments, normalization_scale
        self._blueprint = find(name)
        horizon = max_episode_steps or self._blueprint.steps
        if not isinstance(horizon, int) or horizon < 1:
            raise ValueError(f"max_episode_steps: {max_episode_steps!r} must be the steps of an episode, 1 or more")
        self.horizon = horizon
        if normalization_scale is not None and not normalization_scale > 0:
            raise ValueError(f"normalization_scale: {normalization_scale!r} must be greater than 0")
        try:
            inspect.signature(self._blueprint.kind).bind(**self._blueprint.defaults | arguments)
        except TypeError as error:
            raise ValueError(f"{name}: {error}") from None

    @staticmethod
    def check(name: str) -> None:
        """Check that there is such an environment, with the methods of one for meta-learning.

        Raises:
            ValueError: If not. The message goes on after the name.
        """
        find(name)

    @cached_property
    def env(self) -> gymnasium.Env:
        """The environment itself, built on first use."""
        rendering = {} if self.render_mode is None else {"render_mode": self.render_mode}
        env = self._blueprint.build(**self._arguments, **rendering)
        require_methods(env.unwrapped)
        if isinstance(env.action_space, gymnasium.spaces.Box):
            if self._scale is not None:
                env = gymnasium.wrappers.RescaleAction(env, np.float32(-self._scale), np.float32(self._scale))
            env = gymnasium.wrappers.ClipAction(env)
        return env

    @property
    def observation_space(self) -> gymnasium.Space:
        """Of the environment."""
        return self.env.observation_space

    @property
    def action_space(self) -> gymnasium.Space:
        """Of the environment."""
        return self.env.action_space

    def draw_tasks(self, words: Sequence[int], num_tasks: int) -> Tasks:
        """The environment's `sample_tasks`, its random numbers seeded by the words."""
        return self._draw("sample_tasks", words, num_tasks)

    def test_batch(self, batch: int) -> Tasks:
        """Twenty of the environment's test tasks, or of its training tasks if it knows no others; always the same."""
        method = "sample_test_tasks" if hasattr(self._unwrapped, "sample_test_tasks") else "sample_tasks"
        return self._draw(method, TEST_WORDS, NUM_TEST_TASKS)

    def enter(self, task: Any) -> gymnasium.Env:
        """The one environment of this process, set to the task."""
        self._unwrapped.reset_task(task)
        return self.env

    def drawing(self) -> HostedEnvironment:
        """With an environment of its own: how it is drawn is decided when it is built."""
        twin = super().drawing()
        vars(twin).pop("env", None)
        return twin

    @property
    def _unwrapped(self) -> Any:
        """The environment without wrappers, which has the methods that `env` asked for."""
        return self.env.unwrapped

    def _draw(self, method: str, words: Sequence[int], num_tasks: int) -> Tasks:
        seed = int(np.random.SeedSequence(words).generate_state(1)[0])
        seed_globally(seed)
        self._unwrapped.np_random = np.random.default_rng(seed)
        tasks = as_tasks(getattr(self._unwrapped, method)(num_tasks))
        if len(tasks) == 0:
            raise ValueError(f"{self.name}: {method}({num_tasks}) gave no tasks")
        return tasks


class Blueprint(NamedTuple):
    """How to build an environment.

    Attributes:
        build: Takes keyword arguments.
        kind: The class, or the function, behind it.
        defaults: Arguments it is built with anyway.
        steps: Of an episode, if it is registered with Gymnasium.
    """

    build: Callable[..., gymnasium.Env]
    kind: Callable[..., Any]
    defaults: dict[str, Any]
    steps: int | None


def find(name: str) -> Blueprint:
    """The environment of a name.

    Args:
        name: `package.module:Class`, or a Gymnasium id, for which `package.module:id` imports the module first.

    Raises:
        ValueError: If there is none, or it lacks the methods of an environment for meta-learning.
    """
    blueprint = _imported(name) if is_class_name(name) else _registered(name)
    # A function's environments can only be checked when they are built.
    if inspect.isclass(blueprint.kind):
        require_methods(blueprint.kind)
    return blueprint


def require_methods(environment: Any) -> None:
    """Check that a class or an object can set tasks.

    Raises:
        ValueError: Naming the methods it lacks.
    """
    missing = [f"{method}()" for method in REQUIRED if not callable(getattr(environment, method, None))]
    if missing:
        raise ValueError(
            f"has no {' and no '.join(missing)}: an environment for meta-learning needs sample_tasks(n), which returns"
            " n tasks, and reset_task(task)"
        )


def _imported(name: str) -> Blueprint:
    kind = import_class(name)
    if not (inspect.isclass(kind) and issubclass(kind, gymnasium.Env)):
        raise ValueError("is neither a subclass of gymnasium.Env nor of mime.TaskEnvironment")
    return Blueprint(kind, kind, {}, None)


def _registered(name: str) -> Blueprint:
    try:
        spec = gymnasium.spec(name)
        entry = spec.entry_point
        kind = gymnasium.envs.registration.load_env_creator(entry) if isinstance(entry, str) else entry
    except (gymnasium.error.Error, ImportError) as error:
        raise ValueError(f"is not an environment that Gymnasium can make: {error}") from None
    if kind is None:
        raise ValueError("is not an environment that Gymnasium can make: it makes vectors of it alone")
    build = partial(gymnasium.make, spec, max_episode_steps=-1, disable_env_checker=True)
    return Blueprint(build, kind, spec.kwargs, spec.max_episode_steps)
