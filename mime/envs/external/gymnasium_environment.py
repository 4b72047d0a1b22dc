"""Anyone's environment: a Gymnasium environment with tasks, named in the configuration."""

import inspect
import logging
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from mime.configuration.named_classes import import_class, is_class_name
from mime.envs.environment import ActionUnits
from mime.envs.external.checks import EnvironmentMistake, cause, listed, space_of
from mime.envs.external.fitted_actions import FittedActions
from mime.envs.external.hosted_environment import NUM_TEST_TASKS, HostedEnvironment, Tasks, as_tasks, seed_globally
from mime.errors import UserError

REQUIRED = ("sample_tasks", "reset_task")
TEST_WORDS = (0x7E57,)
logger = logging.getLogger(__name__)


class GymnasiumEnvironment(HostedEnvironment):
    """A Gymnasium environment that has `sample_tasks(n)` and `reset_task(task)`, itself or by one of its wrappers.

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
        self._env: gymnasium.Env | None = None
        self._close: Callable[[], Any] | None = None
        self._num_tasks: dict[int, int] = {}
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

    @property
    def env(self) -> gymnasium.Env:
        """The environment itself, built on first use and after `close`."""
        if self._env is None:
            rendering = {} if self.render_mode is None else {"render_mode": self.render_mode}
            env = self._blueprint.build(**self._arguments, **rendering)
            # However this object ends, the environment is closed.
            self._close = weakref.finalize(self, _close, env, self.name)
            require_methods(env)
            space_of(env)
            self._env = FittedActions(env, self._scale)
        return self._env

    def close(self) -> None:
        """Close the environment."""
        self._env = None
        if self._close is not None:
            self._close()

    @property
    def observation_space(self) -> gymnasium.Space:
        """Of the environment."""
        return self.env.observation_space

    @property
    def action_space(self) -> gymnasium.Space:
        """Of the learner's actions: the environment's in its own units, or in those of `normalization_scale`."""
        return self.env.action_space

    @property
    def action_units(self) -> ActionUnits | None:
        """What the learner's actions are in the environment's units; None if they are the same."""
        return self._fitted.units

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the user should know about how it takes actions and gives tasks."""
        others = [(asked, given) for asked, given in self._num_tasks.items() if asked != given]
        return self._fitted.remarks + tuple(f"sample_tasks({asked}) gave {given} tasks" for asked, given in others)

    def draw_tasks(self, words: Sequence[int], num_tasks: int) -> Tasks:
        """The environment's `sample_tasks`, its random numbers seeded by the words."""
        tasks = self._draw("sample_tasks", words, num_tasks)
        before = self._num_tasks.setdefault(num_tasks, len(tasks))
        if len(tasks) != before:
            raise UserError(
                f"{self.name}: sample_tasks({num_tasks}) gave {before} tasks, and then {len(tasks)}; it must give the"
                " same number every time"
            )
        return tasks

    def test_batch(self, batch: int) -> Tasks:
        """Twenty of the environment's test tasks, or of its training tasks if it knows no others; always the same."""
        method = "sample_test_tasks" if has_method(self.env, "sample_test_tasks") else "sample_tasks"
        return self._draw(method, TEST_WORDS, NUM_TEST_TASKS)

    def enter(self, task: Any) -> gymnasium.Env:
        """The one environment of this process, set to the task."""
        self.env.get_wrapper_attr("reset_task")(task)
        return self.env

    def drawing(self) -> HostedEnvironment:
        """With an environment of its own: how it is drawn is decided when it is built.

        Raises:
            UserError: If the environment takes no render_mode.
        """
        parameters = inspect.signature(self._blueprint.kind).parameters
        if "render_mode" not in parameters and not any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
            raise UserError(
                f"{self.name}: cannot be drawn: it takes no render_mode; add the argument to its constructor, and a"
                " method render() that returns a picture [height width 3]"
            )
        twin = super().drawing()
        vars(twin).update(_env=None, _close=None)
        return twin

    @property
    def _fitted(self) -> FittedActions:
        env = self.env
        assert isinstance(env, FittedActions)
        return env

    def _draw(self, method: str, words: Sequence[int], num_tasks: int) -> Tasks:
        seed = int(np.random.SeedSequence(words).generate_state(1)[0])
        seed_globally(seed)
        self.env.np_random = np.random.default_rng(seed)
        try:
            return as_tasks(listed(self.env.get_wrapper_attr(method)(num_tasks), method, num_tasks))
        except EnvironmentMistake as mistake:
            raise UserError(f"{self.name}: {mistake}") from None
        except Exception as error:  # Whatever the environment raises.
            raise UserError(f"{self.name}: {method}({num_tasks}) raised {cause(error)}") from error


def _close(env: gymnasium.Env, name: str) -> None:
    try:
        env.close()
    except Exception as error:  # Whatever the environment raises; what was collected stays as it is.
        logger.warning("%s: close() raised %s", name, cause(error))


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
    # What a function builds, and what is in a wrapper, can only be checked when it is built.
    if inspect.isclass(blueprint.kind) and not issubclass(blueprint.kind, gymnasium.Wrapper):
        require_methods(blueprint.kind)
    return blueprint


def has_method(environment: Any, name: str) -> bool:
    """Whether a class has a method, or an object or one of the environments that it wraps."""
    if isinstance(environment, gymnasium.Env):
        return environment.has_wrapper_attr(name) and callable(environment.get_wrapper_attr(name))
    return callable(getattr(environment, name, None))


def require_methods(environment: Any) -> None:
    """Check that a class or an object can set tasks.

    Raises:
        ValueError: Naming the methods it lacks.
    """
    missing = [f"{method}()" for method in REQUIRED if not has_method(environment, method)]
    if missing:
        raise ValueError(
            f"has no {' and no '.join(missing)}: an environment for meta-learning needs sample_tasks(n), which returns"
            " n tasks, and reset_task(task)"
        )


def _imported(name: str) -> Blueprint:
    kind = import_class(name)
    if inspect.isclass(kind) and issubclass(kind, gymnasium.vector.VectorEnv):
        raise ValueError("is a vector of environments: name the class of a single one; workers run many side by side")
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
        raise ValueError("is registered with Gymnasium as vectors alone: register a single environment")
    build = partial(gymnasium.make, spec, max_episode_steps=-1, disable_env_checker=True)
    return Blueprint(build, kind, spec.kwargs, spec.max_episode_steps)
