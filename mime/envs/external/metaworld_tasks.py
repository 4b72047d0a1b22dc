"""Meta-World's tasks as numbers: built once, kept in the user's cache folder, and read without executing anything."""

import logging
import os
import pickle
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

logger = logging.getLogger(__name__)
Goals = Float[np.ndarray, "goals numbers"]


class TaskList(NamedTuple):
    """The tasks of a benchmark.

    Attributes:
        training, test: For each class, the vectors that Meta-World's random number generator drew for its goals.
        varying: The dimensions of the observation that some class fills.
    """

    training: dict[str, Goals]
    test: dict[str, Goals]
    varying: tuple[int, ...]


def load(benchmark: str, seed: int) -> TaskList:
    """The tasks of a benchmark, from the cache if they are there.

    Args:
        benchmark: `ML10`, `ML25`, `ML45` or `ML1-<class>`.
        seed: Of the benchmark: which goals are drawn.
    """
    path = cache_folder() / f"{benchmark}-seed{seed}-metaworld{metadata.version('metaworld')}.npz"
    try:
        return read(path)
    except FileNotFoundError:
        logger.warning("Meta-World's tasks are built once, which takes a while; they are kept in %s", path)
    except Exception as error:  # Whatever a damaged file makes NumPy raise.
        logger.warning("%s is damaged (%s) and is built anew", path, error)
    tasks = build(benchmark, seed)
    try:
        write(path, tasks)
    except OSError as error:
        logger.warning("Meta-World's tasks could not be kept: %s", error)
    return tasks


def build(benchmark: str, seed: int) -> TaskList:
    """The tasks as Meta-World draws them."""
    import metaworld

    name, _, kind = benchmark.partition("-")
    drawn = getattr(metaworld, name)(*([kind] if kind else []), seed=seed)
    classes = drawn.train_classes | drawn.test_classes
    return TaskList(_goals(drawn.train_tasks), _goals(drawn.test_tasks), _varying(list(classes.values())))


def read(path: Path) -> TaskList:
    """The tasks in a file.

    Raises:
        OSError: If there is none.
        Exception: Of many kinds, if it is damaged.
    """
    with np.load(path, allow_pickle=False) as arrays:
        goals = {"training": {}, "test": {}}
        for key in arrays.files:
            split, _, name = key.partition("/")
            if split in goals:
                goals[split][name] = arrays[key].astype(np.float64)
                if arrays[key].ndim != 2 or not np.isfinite(arrays[key]).all():
                    raise ValueError(f"{key} is not a table of finite numbers")
        return TaskList(goals["training"], goals["test"], tuple(int(index) for index in arrays["varying"]))


def write(path: Path, tasks: TaskList) -> None:
    """Write the tasks so that any reader sees all of the file or none, however many processes write it at once.

    Raises:
        OSError: If the folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {f"training/{name}": goals for name, goals in tasks.training.items()}
    arrays |= {f"test/{name}": goals for name, goals in tasks.test.items()}
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".partial", delete=False) as file:
        try:
            np.savez(file, **arrays, varying=np.array(tasks.varying))
            file.flush()
            os.replace(file.name, path)
        except OSError:
            os.unlink(file.name)
            raise


def cache_folder() -> Path:
    """Where the tasks are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mime" / "metaworld"


def _goals(tasks: list) -> dict[str, Goals]:
    goals: dict[str, list[np.ndarray]] = {}
    for task in tasks:
        # Meta-World made this pickle a moment ago, in this process.
        content = pickle.loads(task.data)
        if set(content) != {"env_cls", "rand_vec", "partially_observable"} or not content["partially_observable"]:
            raise RuntimeError(f"this version of Meta-World describes tasks by {sorted(content)}")
        goals.setdefault(task.env_name, []).append(content["rand_vec"])
    return {name: np.array(vectors) for name, vectors in goals.items()}


def _varying(kinds: list[type]) -> tuple[int, ...]:
    """Dimensions that hold the arm, an object, or a goal that is not hidden; the rest is padding, always 0."""
    filled: set[int] = set()
    for kind in kinds:
        env = kind()
        frame = 4 + len(env._get_pos_objects()) + len(env._get_quat_objects())
        space = env.observation_space
        filled |= {frame_start + index for frame_start in (0, 18) for index in range(frame)}
        filled |= {index for index in range(36, 39) if space.low[index] < space.high[index]}
    return tuple(sorted(filled))
