"""What the library asks of an environment written in JAX."""

from functools import cached_property
from typing import Any

import jax
import numpy as np
from gymnasium.experimental.functional import FuncEnv
from jaxtyping import Array, Bool, PRNGKeyArray

from mime.envs.environment import Environment
from mime.envs.grid import Grid


class TaskEnvironment(Environment, FuncEnv):
    """A Gymnasium functional environment whose `params` are the task.

    Subclasses add to `FuncEnv` a horizon and two task distributions. All functions act on one state of one task and
    are pure, so that the caller can `vmap` and `jit` them. A task is any pytree of arrays; `get_default_params` gives
    the one that keyword arguments describe, each of which has a default. `mime check` says what is wrong with one.

    Attributes:
        horizon: Steps of an episode.
        grid: Cells of the plane of the first two observations, in which exploration is measured; None for no measure.
    """

    grid: Grid | None = None

    def sample_tasks(self, key: PRNGKeyArray, num_tasks: int) -> Any:
        """A batch of training tasks: the task pytree with a leading `tasks` axis.

        Environments with a fixed set of training tasks may return fewer than `num_tasks`, but always the same number.
        """
        raise NotImplementedError

    def test_tasks(self) -> Any:
        """The held-out tasks, with a leading `tasks` axis."""
        raise NotImplementedError

    def test_batch(self, batch: int) -> Any:
        """The held-out tasks of a test's batch of that number, counted from 0: all of them, in every batch."""
        return self.test_tasks()

    def success(self, state: Any, task: Any) -> Bool[Array, ""]:
        """Whether a step that ended in `state` solved the task; not to be written where nothing is ever solved."""
        return jax.numpy.zeros((), bool)

    @property
    def reports_success(self) -> bool:
        """Whether `success` is written."""
        return type(self).success is not TaskEnvironment.success

    def __init__(self):
        """Not Gymnasium's, which asks for the default task before a subclass is made."""

    @cached_property
    def default_params(self) -> Any:
        """The task that is meant where none is given."""
        return self.get_default_params()

    def get_default_params(self, **options: Any) -> Any:
        """The first held-out task."""
        return jax.tree.map(lambda leaf: jax.numpy.asarray(leaf)[0], self.test_tasks())

    def terminal(self, state: Any, rng: PRNGKeyArray, params: Any = None) -> Bool[Array, ""]:
        """Never: an episode lasts `horizon` steps."""
        return jax.numpy.zeros((), bool)

    def transition_info(self, state: Any, action: Array, next_state: Any, params: Any = None) -> dict[str, Array]:
        """`{"success": ...}` of the step."""
        return {"success": self.success(next_state, params)}


def numbers(name: str, values: Any, shape: tuple[int, ...], *, low: float = -np.inf, high: float = np.inf) -> Array:
    """Numbers that describe a task, as an array of that shape.

    Raises:
        ValueError: If they have another shape, are not finite, or not between `low` and `high`.
    """
    try:
        array = np.asarray(values, np.float32)
    except (ValueError, TypeError):
        array = np.full(shape, np.nan)
    if array.shape != shape or not np.all(np.isfinite(array) & (array >= low) & (array <= high)):
        size = "a number" if shape == () else f"{' x '.join(map(str, shape))} numbers"
        bounds = "" if np.isinf([low, high]).all() else f" from {low:g} to {high:g}"
        raise ValueError(f"{name}: {values!r} must be {size}{bounds}, all finite")
    return jax.numpy.asarray(array)


def count_tasks(tasks: Any) -> int:
    """The length of the leading `tasks` axis."""
    return jax.tree.leaves(tasks)[0].shape[0]


def repeat_evenly(key: PRNGKeyArray, tasks: Any, num_tasks: int) -> Any:
    """`num_tasks` of a finite set of tasks, each occurring equally often or once more, in random order."""
    available = count_tasks(tasks)
    order = jax.random.permutation(key, available)
    chosen = order[jax.numpy.arange(num_tasks) % available]
    return jax.tree.map(lambda leaf: leaf[chosen], tasks)
