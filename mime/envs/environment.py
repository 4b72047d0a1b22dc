"""What the library asks of any environment. Worker processes import this module, and no JAX with it."""

from typing import Any, NamedTuple

import gymnasium
import numpy as np
from jaxtyping import Float

from mime.errors import UserError


class ActionUnits(NamedTuple):
    """What the learner's actions are in the environment's units: offset + gain * action.

    Attributes:
        gain, offset: Of each number of an action; for discrete ones 1 and the first action's number.
    """

    gain: Float[np.ndarray, "*action"]
    offset: Float[np.ndarray, "*action"]


class Environment:
    """A family of tasks; either a `TaskEnvironment`, written in JAX, or a `HostedEnvironment`, outside JAX.

    Attributes:
        observation_space: A Box of one axis.
        action_space: Discrete, or a Box of one axis.
        horizon: Most steps of an episode.
        varying: The observation's dimensions that are not the same number in all tasks at all times; None for all.
        places: Those that say where the agent is; None for all that vary.
        action_units: What the learner's actions are in the environment's own units; None if they are the same.
        grid: Cells of the plane of the first two observations, in which exploration is measured; None for no measure.
        reports_success: Whether steps say if they solved the task; of one outside JAX, whether any has so far.
    """

    observation_space: gymnasium.spaces.Box
    action_space: gymnasium.Space
    horizon: int
    varying: tuple[int, ...] | None = None
    places: tuple[int, ...] | None = None
    action_units: ActionUnits | None = None
    grid: Any = None
    reports_success: bool = False

    def sample_tasks(self, key: Any, num_tasks: int) -> Any:
        """A batch of training tasks, with a leading `tasks` axis.

        Args:
            key: A JAX key.
            num_tasks: How many; environments with a fixed set of them may return fewer, always the same number.
        """
        raise NotImplementedError

    def test_tasks(self) -> Any:
        """The held-out tasks, with a leading `tasks` axis."""
        raise NotImplementedError

    def unseen_batch(self, batch: int) -> Any:
        """Tasks unlike the training ones, of a test's batch of that number: a second, harder test.

        Raises:
            UserError: If the environment has none.
        """
        raise UserError("--unseen: this environment has no such tasks; leave it out to test on the held-out ones")

    def test_batch(self, batch: int) -> Any:
        """The held-out tasks of a test's batch of that number, counted from 0. They depend on no seed of a run."""
        raise NotImplementedError
