"""An environment that behaves as it is told to, well or badly, and remembers what it was given and what it gave."""

import math

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

SUCCESSES = {
    "none": {},
    "true": {"success": True},
    "one": {"success": 1.0},
    "array": {"success": np.array([False])},
    "is_success": {"is_success": np.bool_(True)},
    "nan": {"success": math.nan},
    "score": {"success": 0.01},
    "text": {"success": "no"},
}
"""What a step's information says."""
REWARDS = {
    "float": float,
    "float32": np.float32,
    "array": lambda number: np.array([number]),
    "whole": lambda number: int(np.nan_to_num(np.clip(number, -9, 9))),
    "none": lambda number: None,
    "vector": lambda number: np.array([number, number]),
    "text": str,
}
"""What a number becomes as a reward."""
TASKS = {
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "iterator": iter,
    "half": lambda tasks: tasks[: len(tasks) // 2],
    "dictionary": lambda tasks: {"goals": tasks},
    "number": len,
    "none": lambda tasks: None,
    "empty": lambda tasks: [],
}
"""What becomes of the list of tasks."""
ACTIONS = {
    "box": Box(-1, 1, (2,), np.float32),
    "double": Box(-3, np.inf, (1,), np.float64),
    "half": Box(-2, 2, (1,), np.float16),
    "whole": Box(-4, 9, (2,), np.int32),
    "bytes": Box(0, 255, (1,), np.uint8),
    "discrete": Discrete(3),
    "from one": Discrete(4, start=1),
    "from below": Discrete(2, start=-3),
}


class Generated(gymnasium.Env):
    """See above; the arguments are keys of the tables, or say what `reset` and `step` return and when."""

    newest: "Generated"

    def __init__(self, *, actions, dtype, shape, returned, start, step, reward, unit, success, tasks, nan_at, raise_at):
        self.action_space = ACTIONS[actions]
        low, high = (0, 200) if np.dtype(dtype).kind in "ui" else (-np.inf, np.inf)
        self.observation_space = Box(low, high, tuple(shape), np.dtype(dtype))
        self.returned, self.start, self.form, self.kinds = returned, start, step, (reward, success, tasks)
        self.unit, self.nan_at, self.raise_at = unit, nan_at, raise_at
        self.given, self.rewards, self.observations, self.task = [], [], [], None
        self.is_closed = False
        Generated.newest = self

    def sample_tasks(self, n):
        return TASKS[self.kinds[2]](self.np_random.uniform(size=n).tolist())

    def reset_task(self, task):
        self.task = task

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        observation = self._observation()
        return {"pair": (observation, {}), "alone": observation, "nothing": (observation, None)}[self.start]

    def step(self, action):
        self.time += 1
        self.given.append(action)
        if self.time == self.raise_at:
            raise RuntimeError("as it was told to")
        number = math.nan if self.time == self.nan_at else self.unit * self.np_random.normal()
        reward, success, _ = self.kinds
        self.rewards.append(REWARDS[reward](number))
        result = self._observation(), self.rewards[-1], False, self.time >= 4, SUCCESSES[success]
        return {"five": result, "four": (*result[:3], result[4]), "list": list(result)}[self.form]

    def close(self):
        self.is_closed = True

    def _observation(self):
        numbers = self.np_random.uniform(0, 200, self.observation_space.shape)
        observation = numbers.astype(self.observation_space.dtype)
        self.observations.append(observation)
        if self.returned == "more":
            return np.append(observation, observation[-1])
        if self.returned == "column":
            return observation[:, None]
        return observation.tolist() if self.returned == "list" else observation


class Wrapped(gymnasium.Wrapper):
    """With methods of its own on top: tasks are counted from 100, and rewards are doubled."""

    def __init__(self, **arguments):
        super().__init__(gymnasium.wrappers.TimeLimit(Generated(**arguments), 1000))

    def reset_task(self, task):
        self.get_wrapper_attr("unwrapped").reset_task(100 + task)

    def step(self, action):
        result = self.env.step(action)
        if len(result) != 5 or not isinstance(result[1], float):
            return result
        return result[0], 2 * result[1], *result[2:]
