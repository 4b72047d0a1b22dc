"""What an animated replay of episodes shows of an environment: plain numbers, for whoever draws them."""

from collections.abc import Sequence
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mime.envs.dog_house import DogHouse
from mime.envs.environment import Environment
from mime.envs.navigation import DenseNavigation, RingNavigation
from mime.envs.pendulum import Pendulum, Rod
from mime.envs.scenes import COLOURS, Trajectories

Tracks = Float[np.ndarray, "tasks trajectories points 2"]
Circle = tuple[float, float, float]
Frame = tuple[float, float, float, float]


class ReplayScene(NamedTuple):
    """What does not move, and where what moves is at each step.

    Attributes:
        tracks: Places of each trajectory, the first one and that after each step.
        frame: Left, bottom, right and top of the picture; None for all that the tracks reach.
        labels: Of the horizontal and the vertical axis; empty where both are lengths, of one scale.
        names: Of each task, in a few words.
        goals: Centre and radius of the region that counts as success in each task; none where there is no such region.
        pivots: In each task, what a rod connects the moving point with; none without rods, whose points leave trails.
        rings: Circles in the background.
        blocks: Left, bottom, right and top of each rectangle that cannot be entered.
    """

    tracks: Tracks
    frame: Frame | None = None
    labels: tuple[str, ...] = ()
    names: Sequence[str] = ()
    goals: Sequence[Circle] = ()
    pivots: Sequence[tuple[float, float]] = ()
    rings: Sequence[Circle] = ()
    blocks: Sequence[Frame] = ()


@singledispatch
def replay_scene(environment: Environment, tasks: Any, trajectories: Trajectories) -> ReplayScene:
    """The scene of episodes: by default, the sum of rewards so far over the steps.

    Args:
        environment: Where they took place.
        tasks: The tasks as NumPy arrays with a leading `tasks` axis.
        trajectories: Of the episodes.
    """
    sums = np.cumsum(np.where(trajectories.valid, trajectories.rewards, 0), axis=-1)
    sums = np.concatenate([np.zeros_like(sums[..., :1]), sums], axis=-1)
    steps = np.broadcast_to(np.arange(sums.shape[-1]), sums.shape)
    names = [f"task {number}" for number in range(1, len(sums) + 1)]
    return ReplayScene(np.stack([steps, sums], axis=-1), labels=("step", "return so far"), names=names)


@replay_scene.register
def replay_ring(environment: RingNavigation, tasks: np.ndarray, trajectories: Trajectories) -> ReplayScene:
    """The ring, and the goals."""
    rings = [(0.0, 0.0, environment.low), (0.0, 0.0, environment.high)]
    return _in_the_plane(tasks, trajectories, environment.success_radius, environment.high + 1.5)._replace(rings=rings)


@replay_scene.register
def replay_square(environment: DenseNavigation, tasks: np.ndarray, trajectories: Trajectories) -> ReplayScene:
    """The goals."""
    return _in_the_plane(tasks, trajectories, environment.tolerance, 0.75)


@replay_scene.register
def replay_house(environment: DogHouse, tasks: np.ndarray, trajectories: Trajectories) -> ReplayScene:
    """The walls, and the dogs."""
    scene = _in_the_plane(tasks, trajectories, environment.success_radius, 10.0)
    frame = (-0.05, -0.05, 9.95, 9.95)
    return scene._replace(frame=frame, blocks=_blocks(environment.walls))


@replay_scene.register
def replay_pendulum(environment: Pendulum, tasks: Rod, trajectories: Trajectories) -> ReplayScene:
    """The rods, those of each task around a point of their own."""
    lengths = np.asarray(tasks.length)
    columns = int(np.ceil(np.sqrt(len(lengths))))
    rows = int(np.ceil(len(lengths) / columns))
    apart = 2.4 * float(lengths.max())
    places = [(apart * (k % columns), apart * (rows - 1 - k // columns)) for k in range(len(lengths))]
    cosine, sine = np.moveaxis(trajectories.observations[..., :2], -1, 0)
    tips = np.stack([sine, cosine], axis=-1) * lengths[:, None, None, None]
    half = apart / 2
    return ReplayScene(
        tips + np.array(places)[:, None, None],
        frame=(-half, -half, apart * columns - half, apart * rows - half),
        names=[f"m {mass:.1f}, l {length:.1f}" for mass, length in zip(tasks.mass, lengths)],
        pivots=places,
    )


def colours(tasks: int) -> list[str]:
    """A colour for each task."""
    return [COLOURS[number % len(COLOURS)] for number in range(tasks)]


def _in_the_plane(goals: np.ndarray, trajectories: Trajectories, radius: float, extent: float) -> ReplayScene:
    return ReplayScene(
        trajectories.observations[..., :2],
        frame=(-extent, -extent, extent, extent),
        names=[f"goal ({x:.1f}, {y:.1f})" for x, y in goals],
        goals=[(float(x), float(y), radius) for x, y in goals],
    )


def _blocks(walls: np.ndarray) -> list[Frame]:
    """Rectangles that cover the cells `[x, y]` of a house, one for each run of cells in a row."""
    blocks = []
    for row in range(walls.shape[1]):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], walls[:, row], [False]]).astype(int)))
        for first, end in edges.reshape(-1, 2):
            blocks.append((first / 10 - 0.05, row / 10 - 0.05, end / 10 - 0.05, row / 10 + 0.05))
    return blocks
