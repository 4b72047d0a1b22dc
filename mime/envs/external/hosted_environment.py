"""What the library asks of an environment outside JAX. Worker processes import this module, and no JAX with it."""

import copy
import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Shaped

from mime.envs.environment import Environment

Tasks = Shaped[np.ndarray, "tasks"]
NUM_TEST_TASKS = 20


class HostedEnvironment(Environment, ABC):
    """A family of tasks whose episodes are collected in worker processes.

    Every worker holds one instance, built from the same name and arguments as the learner's. A task is any Python
    object that can be pickled; a batch of them is an array of objects, `[tasks]`.

    Attributes:
        classes, test_classes: Names of the kinds of training and of test tasks, of which metrics are reported one by
            one; empty if there is one kind.
        render_mode: Of the Gymnasium environments that `enter` builds, if any.
        remarks: What the user should know about how this environment takes its arguments and actions.
    """

    classes: tuple[str, ...] = ()
    test_classes: tuple[str, ...] = ()
    render_mode: str | None = None
    remarks: tuple[str, ...] = ()

    @staticmethod
    def check(name: str) -> None:
        """Check that there is what a name, the first argument of the constructor, stands for; by default there is.

        Raises:
            ValueError: If not. The message goes on after the environment's name.
        """

    @abstractmethod
    def draw_tasks(self, words: Sequence[int], num_tasks: int) -> Tasks:
        """A batch of training tasks that depends on nothing but the words and the number."""

    @abstractmethod
    def test_batch(self, batch: int) -> Tasks:
        """The held-out tasks of a test's batch of that number, counted from 0. They depend on no seed of a run."""

    @abstractmethod
    def enter(self, task: Any) -> gymnasium.Env:
        """An environment set to the task, ready for `reset`. The next call may return the same one, set to another."""

    def drawing(self) -> "HostedEnvironment":
        """The same family of tasks, from which `enter` builds environments that draw pictures."""
        twin = copy.copy(self)
        twin.render_mode = "rgb_array"
        return twin

    def close(self) -> None:
        """Close the Gymnasium environments that were built here; what is needed again is built again."""

    def describe(self, task: Any) -> str:
        """The task in a few words, for messages."""
        text = repr(task)
        return text if len(text) <= 80 else f"{text[:77]}..."

    def class_of(self, task: Any) -> str:
        """The name of the task's class, if there are several."""
        raise NotImplementedError

    def sample_tasks(self, key: Any, num_tasks: int) -> Tasks:
        """A batch of training tasks that depends on nothing but the key and the number."""
        return self.draw_tasks(words_of(key), num_tasks)

    def test_tasks(self) -> Tasks:
        """The held-out tasks of a test's first batch."""
        return self.test_batch(0)


def words_of(key: Any) -> tuple[int, ...]:
    """The numbers in a JAX key."""
    import jax  # Not above: workers do without.

    return tuple(int(word) for word in np.ravel(jax.random.key_data(key)))


def as_tasks(tasks: Iterable[Any]) -> Tasks:
    """An array of objects, whatever the objects are: NumPy would turn a list of vectors into a matrix."""
    tasks = list(tasks)
    array = np.empty(len(tasks), object)
    for place, task in enumerate(tasks):
        array[place] = task
    return array


def seed_globally(seed: int) -> None:
    """Seed the generators that belong to nobody, for environments that draw from them."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
