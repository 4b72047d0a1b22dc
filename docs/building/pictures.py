"""Draws the site's pictures, which are committed, anew: `python docs/building/pictures.py`."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

import mime  # noqa: F401 (registers the environments)
from mime.envs.scenes import COLOURS, FAINT, INK
from mime.sampling.episodes import FIRST_STAGE, LAST_STAGE

ROOT = Path(__file__).parents[2]
PICTURES = ROOT / "docs" / "pictures"
# Environment, its arguments, and a rule for the action of each step.
SCENES = {
    "navigation-sparse": ("2DNavigationSparse-v0", {"goal": (4.0, 5.0)}, lambda step: [0.08, 0.09]),
    "navigation-dense": ("2DNavigation-v0", {"goal": (0.4, -0.2)}, lambda step: [0.04, -0.02 + 0.03 * (-1) ** step]),
    "dog-house-empty": ("DogNavigation2D-v0", {"dog": (5.3, 4.0)}, lambda step: [0.06 * np.cos(step / 9), 0.09]),
    "pendulum": ("MetaPendulum-v0", {"mass": 0.5, "length": 0.5}, lambda step: [2 * np.sign(np.sin(0.55 * step))]),
}
RETURNS = {f"{FIRST_STAGE}/Returns": (":", ", before adaptation"), f"{LAST_STAGE}/Returns": ("-", ", after adaptation")}
WIDE_RING = "2d-navigation-wide-ring-sparse"


class Curves(NamedTuple):
    """Runs whose curves are drawn together.

    Attributes:
        title: Above the picture.
        label: Of the vertical axis.
        files: Of each method.
        columns: That are drawn, each with its style and what it adds to a method's name.
    """

    title: str
    label: str
    files: Mapping[str, str]
    columns: Mapping[str, tuple[str, str]] = RETURNS


CURVES = {
    "maml-pendulum": Curves(
        "MAML, pendulum", "return on training tasks", {"MAML": "published/pendulum/maml/*/train_result.csv"}
    ),
    "wide-ring": Curves(
        "wide ring",
        "return on training tasks",
        {name: f"published/{WIDE_RING}/{name.lower()}/*/train_result.csv" for name in ("MAML", "MIME")},
    ),
    "pearl-pendulum": Curves(
        "PEARL, pendulum, --scale small", "return on training tasks", {"PEARL": "pearl/pendulum-?-train.csv"}
    ),
    "rl2-pendulum": Curves("RL2, pendulum", "return on training tasks", {"RL2": "rl2/pendulum-?-train.csv"}),
    "eta": Curves(
        "wide ring: the weight of the bonus",
        "share of the bonus",
        {
            "target: three quarters found": f"ingredients/{WIDE_RING}/solved/*/train_result.csv",
            "the paper's gradient": f"ingredients/{WIDE_RING}/mixed-as-in-the-paper/*/train_result.csv",
        },
        {"Eta": ("-", "")},
    ),
}


def draw_scene(name: str) -> None:
    """An episode under a fixed rule."""
    env_name, arguments, rule = SCENES[name]
    env = gymnasium.make(f"mime/{env_name}", render_mode="rgb_array", **arguments)
    env.reset(seed=0)
    for step in range(50):
        *_, terminated, truncated, _ = env.step(np.array(rule(step), np.float32))
        if terminated or truncated:
            break
    Image.fromarray(env.render()).quantize(64).save(PICTURES / f"{name}.png")


def draw_curves(name: str) -> None:
    """A line for each run and column."""
    curves = CURVES[name]
    figure = Figure(figsize=(6, 3.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for (method, pattern), colour in zip(curves.files.items(), COLOURS):
        for number, path in enumerate(sorted((ROOT / "results").glob(pattern))):
            with open(path, newline="") as file:
                rows = list(csv.DictReader(file))
            steps = [float(row["TotalEnvSteps"]) for row in rows]
            for column, (style, of_what) in curves.columns.items():
                values = [float(row[column]) for row in rows]
                label = f"{method}{of_what}" if number == 0 else None
                axes.plot(steps, values, style, color=colour, linewidth=1, alpha=0.8, label=label)
    axes.set_title(curves.title, fontsize=11, color=INK)
    axes.set_xlabel("environment steps", color=INK)
    axes.set_ylabel(curves.label, color=INK)
    axes.spines[:].set_color(FAINT)
    axes.tick_params(colors=INK)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(PICTURES / f"curves-{name}.png")


if __name__ == "__main__":
    for scene in SCENES:
        draw_scene(scene)
    for curves in CURVES:
        draw_curves(curves)
