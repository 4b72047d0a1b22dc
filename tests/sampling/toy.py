"""A small environment that misbehaves on demand, for workers."""

import os
import signal
import subprocess
import time
from pathlib import Path

import gymnasium
import numpy as np


class Toy(gymnasium.Env):
    """A point on a line. Its reward is minus the distance to the task's goal; observations are a little noisy.

    Args:
        failure: What happens, once or always, on the first step in a task whose goal is positive: `kill`, `hang`,
            `raise`, `nan`, or nothing.
        marker: A file whose existence means that it has happened; without one, it happens again and again.
        discrete: Whether actions are 0, 1 and 2 in place of [-1, 1].
    """

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float64)

    def __init__(self, failure: str = "", marker: str = "", discrete: bool = False, render_mode: str | None = None):
        box = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
        self.action_space = gymnasium.spaces.Discrete(3) if discrete else box
        self.render_mode = render_mode
        self.failure, self.marker, self.discrete, self.goal = failure, marker, discrete, 0.0

    def sample_tasks(self, n):
        return [{"goal": float(goal)} for goal in self.np_random.normal(size=n)]

    def sample_test_tasks(self, n):
        return [{"goal": float(goal)} for goal in np.linspace(-1, 1, n)]

    def reset_task(self, task):
        self.goal = task["goal"]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position, self.steps = self.np_random.normal(scale=0.1), 0
        return self._observation(), {}

    def step(self, action):
        change = int(action) - 1 if self.discrete else float(action[0])
        assert not abs(change) > 1, "the sampler clips"
        self.position, self.steps = self.position + 0.1 * change, self.steps + 1
        distance = abs(self.position - self.goal)
        reward = -distance + self._misbehave()
        return self._observation(), reward, distance < 0.02, False, {"success": distance < 0.1}

    def render(self):
        """Position and goal as colours."""
        assert self.render_mode == "rgb_array"
        return np.full((4, 5, 3), [100 + 100 * self.position, 100 + 100 * self.goal, 0]).astype(np.uint8)

    def _observation(self):
        # Both the environment's generator and NumPy's global one: neither may make a difference between workers.
        return np.array([self.position, self.np_random.normal() + np.random.normal()])

    def _misbehave(self):
        happened = self.marker and Path(self.marker).exists()
        if self.goal <= 0 or self.steps != 1 or not self.failure or happened:
            return 0.0
        if self.marker:
            Path(self.marker).touch()
        if self.failure == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.failure == "hang":
            time.sleep(3600)
        if self.failure == "raise":
            raise RuntimeError("the robot fell over [/red]")
        return float("nan")


class Modules(Toy):
    """Tells, by its observation, whether JAX is loaded in its process, and which process that is."""

    def _observation(self):
        import sys

        return np.array([float("jax" in sys.modules), float(os.getpid())])

    def render(self):
        """Fails, as on a machine without OpenGL."""
        raise ImportError("no OpenGL")


class Starts(Toy):
    """Starts a program that `close` ends, and one that nobody ends; tells of both in a file."""

    def __init__(self, marker):
        super().__init__()
        self.program = subprocess.Popen(["sleep", "300"])
        with open(marker, "a") as file:
            file.write(f"{self.program.pid} {os.posix_spawnp('sleep', ['sleep', '300'], os.environ)} ")
        self.path = Path(marker)

    def close(self):
        self.program.kill()
        self.program.wait()
        self.path.with_suffix(".closed").touch()


class OwnMethods(gymnasium.Wrapper):
    """A wrapper whose tasks are its own."""

    def __init__(self):
        super().__init__(Toy())

    def sample_tasks(self, n):
        return [100.0 + number for number in range(n)]

    def reset_task(self, task):
        self.env.reset_task({"goal": task - 100})


class Taskless(gymnasium.Env):
    """Lacks what an environment for meta-learning needs."""

    def sample_tasks(self, n):
        return []


class NotAnEnvironment:
    """Has the methods, but is something else."""

    sample_tasks = reset_task = print
