"""A page that replays episodes in a browser: one HTML file that needs no network."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np

from mime.envs.replay_scenes import Frame, ReplayScene, colours
from mime.envs.scenes import Trajectories

RESOLUTION = 10_000
"""Parts that the frame's width and height are divided into: coordinates in the page are whole numbers."""


class Replayed(NamedTuple):
    """Episodes of one stage of adaptation.

    Attributes:
        scene: What is shown of them.
        trajectories: What came of them.
    """

    scene: ReplayScene
    trajectories: Trajectories


def page(title: str, unit: str, runs: Mapping[str, Mapping[int, Replayed]], *, with_success: bool) -> str:
    """The page.

    Args:
        title: Above everything.
        unit: What the steps of adaptation are.
        runs: By the title of a panel, the same steps of adaptation in each, to the same tasks.
        with_success: Whether the environment says what is solved.
    """
    data = contents(title, unit, runs, with_success=with_success)
    # A "</script>" in a name would end the data.
    text = json.dumps(data, separators=(",", ":"), sort_keys=True).replace("<", "\\u003c")
    template, style, script = (
        files("mime.drawing").joinpath(f"replay.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js")
    )
    # The data last: a name in it may look like a place in the template.
    template = template.replace("{{style}}", style).replace("{{script}}", script)
    return template.replace("{{title}}", escape(title)).replace("{{data}}", text)


def contents(
    title: str, unit: str, runs: Mapping[str, Mapping[int, Replayed]], *, with_success: bool
) -> dict[str, Any]:
    """The page's data: as of `page`, in JSON's types, coordinates in parts of the frame from its lower left corner."""
    stages = [stage for run in runs.values() for stage in run.values()]
    scene = stages[0].scene
    frame = scene.frame or _around([stage.scene for stage in stages])
    scale = _Scale(frame)
    palette = colours(len(scene.names))
    return {
        "title": title,
        "unit": unit,
        "success": with_success,
        "resolution": RESOLUTION,
        "aspect": 1.0 if scene.labels else (frame[2] - frame[0]) / (frame[3] - frame[1]),
        "labels": scene.labels,
        "limits": [round(float(number), 2) for number in frame],
        "steps": list(next(iter(runs.values()))),
        "tasks": [{"name": name, "colour": colour} for name, colour in zip(scene.names, palette)],
        "goals": [scale.circle(*goal) for goal in scene.goals],
        "pivots": scale(np.array(scene.pivots)).tolist(),
        "rings": [scale.circle(*ring) for ring in scene.rings],
        "blocks": [scale(np.array(block).reshape(2, 2)).ravel().tolist() for block in scene.blocks],
        "runs": [
            {"name": name, "stages": [_stage(each, scale) for each in run.values()]} for name, run in runs.items()
        ],
    }


class _Scale:
    """From an environment's coordinates to whole parts of the frame."""

    def __init__(self, frame: Frame):
        self.low, high = np.array(frame[:2]), np.array(frame[2:])
        self.size = np.maximum(high - self.low, 1e-9)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        shares = (np.nan_to_num(points).reshape(-1, 2) - self.low) / self.size
        return np.round(np.clip(shares, -9, 9) * RESOLUTION).astype(int)

    def circle(self, x: float, y: float, radius: float) -> list[int]:
        """Centre and radius, which counts in parts of the width."""
        centre = self(np.array([x, y]))[0]
        return [*centre.tolist(), round(radius / float(self.size[0]) * RESOLUTION)]


def _stage(replayed: Replayed, scale: _Scale) -> dict[str, Any]:
    trajectories = replayed.trajectories
    success = trajectories.success & trajectories.valid
    first = np.where(success.any(axis=-1), success.argmax(axis=-1) + 1, -1)
    lengths = trajectories.valid.sum(axis=-1) + 1
    paths = [
        [scale(track[:length]).ravel().tolist() for track, length in zip(*task)]
        for task in zip(replayed.scene.tracks, lengths)
    ]
    returns = np.round(np.nan_to_num(trajectories.returns()).astype(float), 3)
    return {"paths": paths, "solved": first.tolist(), "returns": returns.tolist()}


def _around(scenes: Sequence[ReplayScene]) -> Frame:
    """A frame around all tracks, with a margin."""
    points = np.concatenate([np.nan_to_num(scene.tracks).reshape(-1, 2) for scene in scenes])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = np.maximum(high - low, 1e-3) * 0.05
    (left, bottom), (right, top) = (low - margin).tolist(), (high + margin).tolist()
    return left, bottom, right, top
