"""Meta-World: a robot arm, and dozens of kinds of things to do with it."""

import difflib
import pickle
from collections.abc import Sequence
from functools import cached_property
from importlib import metadata
from importlib.util import find_spec
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from jaxtyping import Float

from mime.envs.external import metaworld_tasks
from mime.envs.external.hosted_environment import HostedEnvironment, Tasks, as_tasks
from mime.envs.external.metaworld_tasks import TaskList
from mime.errors import install

BENCHMARKS = ("ML10", "ML25", "ML45")
LONGEST = 500
OBSERVATION_SIZE = 39
CAMERA = "corner2"
# Versions whose helpers were compared with the faster ones.
KNOWN_VERSIONS = ("3.1.1",)
SCALE_REMARK = "normalization_scale has no effect on Meta-World, which clips actions to [-1, 1] itself"
VERSION_REMARK = "Meta-World {} was not compared with the accelerated one, so its own, slower steps are used"


class MetaworldTask(NamedTuple):
    """A task: something to do, and where the things are.

    Attributes:
        kind: Meta-World's name of the class, as `door-close-v3`.
        goal: Its number among the class's goals.
        vector: The random numbers that make it this goal.
    """

    kind: str
    goal: int
    vector: Float[np.ndarray, "numbers"]


class Metaworld(HostedEnvironment):
    """A benchmark of Meta-World: classes of tasks, each with fifty goals that the observation does not show.

    A training batch holds equally many tasks of each class, with goals drawn anew; a test's batch holds the goal of the
    batch's number of each test class. Success is Meta-World's own.

    Args:
        benchmark: `ML10`, `ML25`, `ML45`, or `ML1-<class>` for one class, whose test goals training does not see.
        max_episode_steps: Steps of an episode.
        normalization_scale: Without effect: Meta-World clips actions to [-1, 1] itself. Accepted because the published
            configuration file carries it.
        benchmark_seed: Decides the goals. It is not the run's seed, so that runs of different seeds compare.

    Raises:
        ValueError: If there is no such benchmark, or episodes are longer than Meta-World's.
    """

    action_space = gymnasium.spaces.Box(-1, 1, (4,), np.float32)
    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (OBSERVATION_SIZE,), np.float64)

    def __init__(
        self,
        benchmark: str,
        *,
        max_episode_steps: int = LONGEST,
        normalization_scale: float | None = None,
        benchmark_seed: int = 0,
    ):
        self.check(benchmark)
        if not isinstance(max_episode_steps, int) or not 1 <= max_episode_steps <= LONGEST:
            raise ValueError(f"max_episode_steps: {max_episode_steps!r} must be a whole number from 1 to {LONGEST}")
        if not isinstance(benchmark_seed, int) or not 0 <= benchmark_seed < 2**32 - 1:
            raise ValueError(f"benchmark_seed: {benchmark_seed!r} must be a whole number from 0 to 2³² - 2")
        self.benchmark, self.horizon, self.seed = benchmark, max_episode_steps, benchmark_seed
        self.remarks = () if normalization_scale is None else (SCALE_REMARK,)
        if metadata.version("metaworld") not in KNOWN_VERSIONS:
            self.remarks += (VERSION_REMARK.format(metadata.version("metaworld")),)
        self._envs: dict[str, gymnasium.Env] = {}

    @staticmethod
    def check(name: str) -> None:
        """Check that Meta-World is installed, and has such a benchmark.

        Raises:
            ValueError: If not. The message goes on after the environment's name.
        """
        if find_spec("metaworld") is None:
            raise ValueError(f"needs Meta-World: {install('metaworld')}")
        if name in BENCHMARKS:
            return
        from metaworld.env_dict import ALL_V3_ENVIRONMENTS

        kind = name.removeprefix("ML1-")
        if kind == name:
            raise ValueError(f"is not a benchmark; there are {', '.join(BENCHMARKS)} and ML1-<class>")
        if kind not in ALL_V3_ENVIRONMENTS:
            near = difflib.get_close_matches(kind, ALL_V3_ENVIRONMENTS, n=1, cutoff=0.5) or list(ALL_V3_ENVIRONMENTS)
            raise ValueError(f"is not a class of Meta-World; did you mean ML1-{near[0]}?")

    @cached_property
    def tasks(self) -> TaskList:
        """The benchmark's tasks, built or loaded on first use; workers need none."""
        return metaworld_tasks.load(self.benchmark, self.seed)

    @property
    def varying(self) -> tuple[int, ...]:
        """Dimensions that are not padding."""
        return self.tasks.varying

    @property
    def classes(self) -> tuple[str, ...]:
        """Meta-World's names of the training classes."""
        return tuple(self.tasks.training)

    @property
    def test_classes(self) -> tuple[str, ...]:
        """Those of the test classes."""
        return tuple(self.tasks.test)

    def class_of(self, task: MetaworldTask) -> str:
        """Meta-World's name of the class."""
        return task.kind

    def describe(self, task: MetaworldTask) -> str:
        """Class and goal."""
        return f"{task.kind}, goal {task.goal}"

    def draw_tasks(self, words: Sequence[int], num_tasks: int) -> Tasks:
        """Each class equally often or once more, with goals drawn anew."""
        generator = np.random.default_rng(words)
        kinds = list(self.tasks.training)
        # A batch that the classes do not divide leaves some out: others each time. In the classes' order otherwise.
        kinds = [kinds[place] for place in sorted(generator.permutation(len(kinds))[:num_tasks])]
        counts = [len(places) for places in np.array_split(range(num_tasks), len(kinds))]
        tasks = []
        for kind, count in zip(kinds, counts):
            goals = self.tasks.training[kind]
            tasks += [MetaworldTask(kind, int(goal), goals[goal]) for goal in generator.choice(len(goals), count)]
        return as_tasks(tasks)

    def test_batch(self, batch: int) -> Tasks:
        """One task of each test class: the goal of that number, beginning again after the last."""
        return as_tasks(
            MetaworldTask(kind, batch % len(goals), goals[batch % len(goals)])
            for kind, goals in self.tasks.test.items()
        )

    def enter(self, task: MetaworldTask) -> gymnasium.Env:
        """The class's one environment in this process, set to the task."""
        from metaworld.types import Task

        if task.kind not in self._envs:
            arguments = {} if self.render_mode is None else {"render_mode": self.render_mode, "camera_name": CAMERA}
            self._envs[task.kind] = gymnasium.wrappers.ClipAction(_environment_class(task.kind)(**arguments))
        env = self._envs[task.kind]
        content = {"env_cls": _stock_class(task.kind), "rand_vec": task.vector, "partially_observable": True}
        unwrapped: Any = env.unwrapped
        unwrapped.set_task(Task(task.kind, pickle.dumps(content)))
        return env

    def close(self) -> None:
        """Close the environments of all classes."""
        while self._envs:
            self._envs.popitem()[1].close()

    def drawing(self) -> HostedEnvironment:
        """With environments of its own: how they are drawn is decided when they are built."""
        twin = super().drawing()
        vars(twin)["_envs"] = {}
        return twin


def _stock_class(kind: str) -> type[gymnasium.Env]:
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    return ALL_V3_ENVIRONMENTS[kind]


def _environment_class(kind: str) -> type[gymnasium.Env]:
    if metadata.version("metaworld") not in KNOWN_VERSIONS:
        return _stock_class(kind)
    from mime.envs.external.metaworld_speed import accelerated

    return accelerated(_stock_class(kind))
