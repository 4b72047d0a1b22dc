"""From the learner's actions to those that somebody's environment declares."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from mime.envs.environment import ActionUnits


class FittedActions(gymnasium.ActionWrapper):
    """Gives an environment actions of its own space, whatever a policy draws.

    Those of a Box are taken from the learner's units, clipped to the bounds, rounded if they are to be whole, and given
    the type that the space declares. Discrete ones are counted from the first one.

    Args:
        env: The environment.
        scale: If given, the learner's actions are rescaled from [-scale, scale] to the Box.

    Raises:
        ValueError: If actions are to be rescaled to a Box without bounds.
    """

    def __init__(self, env: gymnasium.Env, scale: float | None = None):
        super().__init__(env)
        self.box = env.action_space
        self.units: ActionUnits | None = None
        if isinstance(self.box, Discrete):
            self.action_space = Discrete(int(self.box.n))
            if self.box.start != 0:
                self.units = ActionUnits(np.array(1.0), np.array(float(self.box.start)))
        elif isinstance(self.box, Box) and scale is not None:
            if not self.box.is_bounded():
                raise ValueError(f"normalization_scale: {scale!r} needs a bounded box of actions, not {self.box}")
            low, high = (bound.astype(np.float64) for bound in (self.box.low, self.box.high))
            self.units = ActionUnits((high - low) / (2 * scale), (high + low) / 2)
            self.action_space = Box(-scale, scale, self.box.shape, np.float32)
        elif isinstance(self.box, Box):
            self.action_space = Box(self.box.low.astype(np.float32), self.box.high.astype(np.float32))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the user should know about it."""
        if isinstance(self.box, Box) and self.box.dtype.kind != "f":
            return (f"actions of {self.box} are whole: those of the policy are rounded to the nearest",)
        return ()

    def action(self, action: Any) -> Any:
        """The environment's action."""
        if self.units is not None:
            action = self.units.offset + self.units.gain * action
        if isinstance(self.box, Discrete):
            return int(action)
        if not isinstance(self.box, Box):
            return action
        if self.box.dtype.kind != "f":
            # One that is not a number becomes 0: there is no whole number of that kind.
            action = np.rint(np.nan_to_num(action))
        return np.clip(action, self.box.low, self.box.high).astype(self.box.dtype)
