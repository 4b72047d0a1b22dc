"""Pictures of trajectories: where a policy went, and in which tasks it succeeded."""

from collections.abc import Sequence
from functools import singledispatch
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Shaped, UInt8
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from matplotlib.patheffects import withStroke

from mime.envs.dog_house import START, TRAINING_DOGS, DogHouse
from mime.envs.environment import Environment
from mime.envs.navigation import DenseNavigation, RingNavigation
from mime.envs.pendulum import Pendulum, Rod

Path = Float[np.ndarray, "_points 2"]
Points = Float[np.ndarray, "tasks 2"]
Colours = Sequence[str] | Shaped[np.ndarray, "tasks"]
Outcomes = Bool[np.ndarray, "tasks trajectories"]

# Paul Tol's "muted" scheme, told apart under every common colour blindness; dark and light hues alternate.
COLOURS = ("#332288", "#CC6677", "#117733", "#88CCEE", "#882255", "#44AA99", "#AA4499", "#999933", "#DDCC77")
INK = "#333333"
FAINT = "#BBBBBB"
DOTS_PER_INCH = 100
MARGINS = {"left": 40, "right": 15, "bottom": 30, "top": 45}
"""Pixels around the panels: for numbers at both axes, and for a title of two lines."""


class Trajectories(NamedTuple):
    """What is drawn of episodes, whoever collected them.

    Attributes:
        observations: The first one and that after each step.
        rewards: The task's own, of each step.
        success: Whether the step solved the task.
        valid: False after an episode's end; such steps are not drawn.
    """

    observations: Float[np.ndarray, "tasks trajectories points observation"]
    rewards: Float[np.ndarray, "tasks trajectories steps"]
    success: Bool[np.ndarray, "tasks trajectories steps"]
    valid: Bool[np.ndarray, "tasks trajectories steps"]

    def returns(self) -> Float[np.ndarray, "tasks trajectories"]:
        """Undiscounted sum of each trajectory's rewards."""
        return np.sum(np.where(self.valid, self.rewards, 0), axis=-1)

    def solved(self) -> Outcomes:
        """Whether any step of a trajectory was a success."""
        return np.any(self.success & self.valid, axis=-1)

    def paths(self) -> list[list[Float[np.ndarray, "_points observation"]]]:
        """For each task and trajectory, the observations up to its last valid step."""
        lengths = self.valid.sum(axis=2) + 1
        return [[path[:length] for path, length in zip(*task)] for task in zip(self.observations, lengths)]


def picture(
    environment: Environment, tasks: Any, trajectories: Trajectories, title: str
) -> UInt8[np.ndarray, "height width 3"]:
    """One batch of episodes as an image.

    Args:
        environment: Where they took place; decides what is drawn.
        tasks: The tasks, with a leading `tasks` axis.
        trajectories: Of the episodes.
        title: Above the picture.

    Returns:
        Red, green and blue of each pixel, the top row first.
    """
    figure = empty_figure(width=600, height=600)
    panel(environment, figure.add_subplot(), tasks, trajectories, title)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def empty_figure(*, width: int, height: int, heading: int = 0) -> Figure:
    """An empty figure of so many pixels, of which pyplot's global state knows nothing.

    Its margins are fixed: Matplotlib's layouts measure every text several times, which takes longer than drawing.

    Args:
        width: In pixels.
        height: In pixels.
        heading: Pixels for a title above the panels' own.
    """
    figure = Figure(figsize=(width / DOTS_PER_INCH, height / DOTS_PER_INCH), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    figure.subplots_adjust(wspace=0.06)
    _set_margins(figure, **MARGINS | {"top": MARGINS["top"] + heading})
    return figure


def _set_margins(drawn: Axes | Figure, **pixels: int) -> None:
    """Leave so many pixels at the left, right, bottom or top of all panels of a figure."""
    figure = drawn.get_figure(root=True)
    assert figure is not None
    width, height = figure.bbox.size
    places = {
        "left": lambda margin: margin / width,
        "right": lambda margin: 1 - margin / width,
        "bottom": lambda margin: margin / height,
        "top": lambda margin: 1 - margin / height,
    }
    figure.subplots_adjust(**{side: places[side](margin) for side, margin in pixels.items()})


def panel(environment: Environment, axes: Axes, tasks: Any, trajectories: Trajectories, title: str) -> None:
    """Draw a batch of episodes into an empty panel, below a title and what came of them."""
    axes.tick_params(labelsize=8, colors=INK)
    axes.spines[:].set_color(FAINT)
    axes.set_title(f"{title}\n{caption(trajectories)}", fontsize=10, color=INK)
    draw(environment, axes, jax.tree.map(np.asarray, tasks), trajectories)


def caption(trajectories: Trajectories) -> str:
    """Mean return, and the shares of tasks and of trajectories that succeeded."""
    returns, solved = trajectories.returns(), trajectories.solved()
    if solved.size == 1:
        return f"return {np.mean(returns):,.2f} · {'solved' if solved.any() else 'not solved'}"
    return (
        f"return {np.mean(returns):,.2f} · solved {solved.any(axis=1).sum()} of {len(solved)} tasks"
        f" · {solved.mean():.0%} of trajectories"
    )


@singledispatch
def draw(environment: Environment, axes: Axes, tasks: Any, trajectories: Trajectories) -> None:
    """Draws episodes into a panel, as suits the environment: by default, the return of each trajectory by task.

    Args:
        environment: Where they took place.
        axes: An empty panel.
        tasks: The tasks as NumPy arrays with a leading `tasks` axis.
        trajectories: Of the episodes.
    """
    returns, solved = trajectories.returns(), trajectories.solved()
    num_tasks, num_trajectories = returns.shape
    spread = np.linspace(-0.25, 0.25, num_trajectories) if num_trajectories > 1 else np.zeros(1)
    columns = np.arange(num_tasks)[:, None] + spread
    axes.scatter(columns[solved], returns[solved], s=14, color=COLOURS[0], label="solved", zorder=2)
    axes.scatter(columns[~solved], returns[~solved], s=14, facecolors="none", edgecolors=COLOURS[1], label="not solved")
    axes.hlines(returns.mean(axis=1), np.arange(num_tasks) - 0.35, np.arange(num_tasks) + 0.35, color=INK, label="mean")
    axes.locator_params(axis="x", integer=True)
    _label(axes, "task", "return", legend_columns=3)


@draw.register
def draw_ring(environment: RingNavigation, axes: Axes, tasks: Points, trajectories: Trajectories) -> None:
    """The ring, the goals with the region that counts as success, and the paths in the colours of their goals."""
    order = np.argsort(np.arctan2(tasks[:, 1], tasks[:, 0]).round(3), kind="stable")
    colours = np.array(_cycle(len(tasks)))[np.argsort(order)]
    for radius in (environment.low, environment.high):
        axes.add_patch(Circle((0, 0), radius, fill=False, color=FAINT, linewidth=0.8))
    _draw_goals(axes, tasks, environment.success_radius, colours, trajectories.solved())
    _draw_paths(axes, _planar_paths(trajectories), colours, trajectories.solved())
    _draw_start(axes, (0.0, 0.0))
    _frame(axes, -environment.high - 1.5, environment.high + 1.5)
    axes.locator_params(nbins=5)


@draw.register
def draw_square(environment: DenseNavigation, axes: Axes, tasks: Points, trajectories: Trajectories) -> None:
    """The square of the goals, the goals as crosses, and the paths in the colours of their goals."""
    colours = _cycle(len(tasks))
    axes.add_patch(Rectangle((-0.5, -0.5), 1, 1, fill=False, color=FAINT, linewidth=0.8))
    _draw_paths(axes, _planar_paths(trajectories), colours, trajectories.solved())
    axes.scatter(*tasks.T, s=70, marker="P", c=colours, edgecolors="white", linewidths=1, zorder=4)
    _draw_start(axes, (0.0, 0.0))
    _frame(axes, -0.75, 0.75)


@draw.register
def draw_house(environment: DogHouse, axes: Axes, tasks: Points, trajectories: Trajectories) -> None:
    """The house as the robot's collisions see it, the dogs, and the paths in the colours of their dogs."""
    cells = environment.walls.T
    shades = np.where(cells[..., None], 0.35, 1.0) * np.ones(3)
    axes.imshow(shades, origin="lower", extent=(-0.05, 9.95, -0.05, 9.95), interpolation="nearest", zorder=0)
    # By dog and not by row: a dog keeps its colour whichever of the others share its batch.
    colours = [COLOURS[np.linalg.norm(np.array(TRAINING_DOGS) - dog, axis=1).argmin()] for dog in tasks]
    _draw_goals(axes, tasks, environment.success_radius, colours, trajectories.solved())
    _draw_paths(axes, _planar_paths(trajectories), colours, trajectories.solved())
    _draw_start(axes, START)
    _frame(axes, -0.05, 9.95)
    axes.set(xticks=[], yticks=[])
    _set_margins(axes, left=15, bottom=15)


@draw.register
def draw_pendulum(environment: Pendulum, axes: Axes, tasks: Rod, trajectories: Trajectories) -> None:
    """The angle from upright over time, in the colour of the rod, and each trajectory's first success."""
    rods, kinds = np.unique(np.stack([tasks.mass, tasks.length], axis=1), axis=0, return_inverse=True)
    palette = _cycle(len(rods))
    colours = [palette[kind] for kind in kinds.reshape(-1)]
    paths = [[_angles(points, environment.dt) for points in task] for task in trajectories.paths()]
    axes.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
    _draw_paths(axes, [[_every_turn(path) for path in task] for task in paths], colours, trajectories.solved())
    success = trajectories.success & trajectories.valid
    task, trajectory = np.nonzero(success.any(axis=2))
    times = (success[task, trajectory].argmax(axis=1) + 1) * environment.dt
    hits = [colours[index] for index in task]
    axes.scatter(times, np.zeros_like(times), s=40, c=hits, edgecolors="white", zorder=4)
    for rod, colour in zip(rods, palette):
        axes.plot([], [], color=colour, label=f"m {rod[0]:.1f}  l {rod[1]:.1f}")
    axes.set(xlim=(0, environment.horizon * environment.dt), ylim=(-180, 180), yticks=range(-180, 181, 90))
    _label(axes, "time (s)", "angle from upright (degrees)", legend_columns=(len(rods) + 1) // 2)


def _cycle(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]


def _planar_paths(trajectories: Trajectories) -> list[list[Path]]:
    return [[path[:, :2] for path in task] for task in trajectories.paths()]


def _angles(points: Float[np.ndarray, "points 3"], dt: float) -> Path:
    """Times in seconds and angles in degrees, without jumps, from observations (cos, sin, speed)."""
    angles = np.unwrap(np.arctan2(points[:, 1], points[:, 0]))
    return np.stack([np.arange(len(points)) * dt, np.degrees(angles)], axis=1)


def _every_turn(path: Path) -> Path:
    """The path once for every whole turn it touches, shifted by that turn.

    A panel from -180° to 180° then shows it wrapped, with lines that leave at one edge and enter at the other.
    """
    turns = np.round(path[:, 1] / 360)
    gap = np.full((1, 2), np.nan)
    copies = [np.concatenate([path - [0, 360 * turn], gap]) for turn in np.arange(turns.min(), turns.max() + 1)]
    return np.concatenate(copies)


def _draw_paths(axes: Axes, paths: list[list[Path]], colours: Colours, solved: Outcomes) -> None:
    """Thin lines, and above them strong ones for the trajectories that succeeded."""
    outcomes = np.asarray(solved)
    faint = {"linewidths": 0.6, "alpha": np.clip(4 / np.sqrt(outcomes.size), 0.2, 0.6), "zorder": 2}
    strong = {"linewidths": 1.3, "alpha": 0.9, "zorder": 3}
    # One trajectory of each task after the other, so that no task hides the rest.
    order = [(task, trajectory) for trajectory in range(outcomes.shape[1]) for task in range(outcomes.shape[0])]
    for success, style in ((False, faint), (True, strong)):
        chosen = [(task, trajectory) for task, trajectory in order if outcomes[task, trajectory] == success]
        lines = [paths[task][trajectory] for task, trajectory in chosen]
        axes.add_collection(LineCollection(lines, colors=[colours[task] for task, _ in chosen], **style), autolim=False)


def _draw_goals(axes: Axes, goals: Points, radius: float, colours: Colours, solved: Outcomes) -> None:
    """The regions that count as success: filled where a trajectory got there; their rims are above all paths."""
    for goal, colour, reached in zip(goals, colours, np.asarray(np.any(solved, axis=1))):
        filling = (colour, 0.3 if reached else 0.08)
        axes.add_patch(Circle(goal, radius, facecolor=filling, edgecolor=colour, linewidth=0, zorder=1))
        halo = withStroke(linewidth=2.4, foreground="white")
        axes.add_patch(Circle(goal, radius, fill=False, edgecolor=colour, path_effects=[halo], zorder=4))


def _draw_start(axes: Axes, position: tuple[float, float]) -> None:
    axes.scatter(*position, s=30, color=INK, edgecolors="white", linewidths=1, zorder=5)


def _frame(axes: Axes, low: float, high: float) -> None:
    """A square panel of fixed limits, so that a sequence of pictures does not jump about."""
    axes.set(xlim=(low, high), ylim=(low, high))
    axes.set_aspect("equal")


def _label(axes: Axes, horizontal: str, vertical: str, *, legend_columns: int) -> None:
    """Names the axes, and puts the legend below them, where it hides nothing."""
    axes.set_xlabel(horizontal, fontsize=9, color=INK)
    axes.set_ylabel(vertical, fontsize=9, color=INK)
    axes.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=legend_columns)
    _set_margins(axes, left=65, bottom=95)
