"""Figures that lay series of numbers side by side, for print: told apart in grey, too, by lines and markers."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath
from matplotlib.ticker import EngFormatter, MaxNLocator

from mime.envs.scenes import FAINT, INK

Numbers = float | Float[np.ndarray, "..."]
# A value and the ends of its interval, which are NaN if there is none; for a curve, at each of its points.
Interval = tuple[Numbers, Numbers, Numbers]
# Places on the horizontal axis, and what is there.
Curve = tuple[Float[np.ndarray, "_points"], Interval]

# A colour, a line and a marker for each place in the caller's order; the fourth line is the strongest.
PALETTE = ("#CC6677", "#999933", "#117733", "#332288", "#AA4499", "#44AA99", "#882255", "#88CCEE")
LINES = ("--", "-.", (0, (7, 1.5)), "-", ":", (0, (3, 1.2, 1, 1.2, 1, 1.2)), "--", "-.")
MARKERS = ("s", "^", "D", "o", "v", "P", "X", "*")
MOST_COLUMNS = 3
PANEL = 2.4, 1.9
LEAST_WIDTH = 4.0
NAMES_WIDTH = 1.3
LEGEND_ROW = 0.18


class Style(NamedTuple):
    """How a series is called and drawn."""

    label: str
    colour: str
    line: Any
    marker: str


def style(label: str, place: int) -> Style:
    """The style of a place, counted from 0; after the eighth they begin again."""
    return Style(label, PALETTE[place % len(PALETTE)], LINES[place % len(LINES)], MARKERS[place % len(MARKERS)])


def curves(
    panels: Mapping[str, Mapping[str, Curve]],
    styles: Mapping[str, Style],
    x_label: str,
    y_label: str,
    *,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Panels of curves; shaded is the interval, where there is one.

    Args:
        panels: For each panel's title, its curves by the name of their series.
        styles: Of every series by name, in the order of the legend.
        x_label, y_label: Of the axes.
        limits: Of the vertical axis; by default each panel has its own.
    """
    figure, axes = _panels(list(panels), [_handle(chosen) for chosen in styles.values()])
    for axis, panel in zip(axes, panels.values()):
        for name, curve in panel.items():
            _draw_curve(axis, curve, styles[name])
        largest = max(places[-1] for places, _ in panel.values())
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        if largest >= 1000:
            axis.xaxis.set_major_formatter(EngFormatter(sep=""))
        axis.set_xlim(0, None)
        if limits is not None:
            axis.set_ylim(*limits)
    figure.supxlabel(x_label, fontsize=9, color=INK)
    figure.supylabel(y_label, fontsize=9, color=INK)
    return figure


def before_and_after(
    panels: Mapping[str, Mapping[str, tuple[Interval, Interval]]], styles: Mapping[str, Style], x_label: str
) -> Figure:
    """Panels with a row for each series: a value before adaptation (hollow) and after it (filled), with intervals.

    Args:
        panels: For each panel's title, both values by the name of their series.
        styles: Of every series by name, in the order of the rows.
        x_label: Of the horizontal axes.
    """
    handles = [
        Line2D([], [], marker="o", linestyle="", color=INK, markerfacecolor=face, label=name)
        for name, face in (("before adaptation", "white"), ("after adaptation", INK))
    ]
    figure, axes = _panels(list(panels), handles, names=len(styles))
    for axis, panel in zip(axes, panels.values()):
        for row, (name, chosen) in enumerate(styles.items()):
            if name in panel:
                before, after = panel[name]
                _draw_interval(axis, before, row - 0.14, chosen, filled=False)
                _draw_interval(axis, after, row + 0.14, chosen, filled=True)
        _name_rows(axis, [chosen.label for chosen in styles.values()])
        axis.set_xlim(0, None)
    figure.supxlabel(x_label, fontsize=9, color=INK)
    return figure


def shares(rows: Sequence[tuple[Interval, Style]], x_label: str, *, height: float, even: float | None = None) -> Figure:
    """Numbers from 0 to 1 with their intervals, one below the other.

    Args:
        rows: Of each row, the number, and how it is called and drawn.
        x_label: Of the axis.
        height: Of the figure, in inches.
        even: Where a dotted line is drawn, if anywhere.
    """
    figure = _figure(4.8, height)
    axis = figure.subplots()
    _dress(axis)
    if even is not None:
        axis.axvline(even, color=INK, linewidth=0.8, linestyle=":")
    for row, (value, chosen) in enumerate(rows):
        _draw_interval(axis, value, row, chosen, filled=True)
    _name_rows(axis, [chosen.label for _, chosen in rows])
    axis.set_xlim(-0.03, 1.03)
    axis.set_xlabel(x_label, fontsize=9, color=INK)
    return figure


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure as PNG and as SVG; the same figure gives the same files."""
    figure.savefig(folder / f"{name}.png", dpi=200, metadata={"Software": None})
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _panels(titles: Sequence[str], handles: list[Line2D], *, names: int = 0) -> tuple[Figure, list[Axes]]:
    """A figure of empty panels with a legend; if rows have names, there is room at the left and a height for them."""
    columns = min(len(titles), MOST_COLUMNS)
    rows = math.ceil(len(titles) / columns)
    height = 0.7 + 0.26 * names if names else PANEL[1]
    figure = _figure(max(columns * PANEL[0], LEAST_WIDTH) + bool(names) * NAMES_WIDTH, rows * height + 0.8)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=bool(names)).ravel()
    for axis, title in zip(grid, titles):
        axis.set_title(textwrap.fill(title, 28), fontsize=9, color=INK)
        _dress(axis)
    for axis in grid[len(titles) :]:
        axis.remove()
    _legend(figure, handles)
    return figure, list(grid[: len(titles)])


def _handle(chosen: Style) -> Line2D:
    """What stands for a series in the legend."""
    _, colour, line, marker = chosen
    return Line2D([], [], color=colour, linestyle=line, marker=marker, markersize=4, label=chosen.label)


def _legend(figure: Figure, handles: list[Line2D]) -> None:
    size, handle_length = 8, 3.2
    widest = max(TextPath((0, 0), str(handle.get_label()), size=size).get_extents().width for handle in handles)
    # Of a column, in points: the handle, the text, and the space of 2.8 letters between them and the next column.
    columns = max(1, int(72 * figure.get_figwidth() / (widest + size * (handle_length + 2.8))))
    rows = math.ceil(len(handles) / columns)
    figure.set_figheight(figure.get_figheight() + LEGEND_ROW * (rows - 1))
    options = {"fontsize": size, "handlelength": handle_length, "frameon": False}
    figure.legend(handles=handles, loc="outside upper center", ncols=columns, **options)


def _dress(axis: Axes) -> None:
    axis.tick_params(labelsize=8, colors=INK)
    axis.spines[["top", "right"]].set_visible(False)
    axis.spines[["left", "bottom"]].set_color(FAINT)
    axis.grid(color=FAINT, linewidth=0.4, alpha=0.6)
    axis.set_axisbelow(True)


def _draw_curve(axis: Axes, curve: Curve, chosen: Style) -> None:
    places, (values, low, high) = curve
    every = max(1, math.ceil(len(places) / 6))
    axis.plot(
        places,
        values,
        color=chosen.colour,
        linestyle=chosen.line,
        linewidth=1.3,
        marker=chosen.marker,
        markersize=3.5,
        clip_on=False,
        # Markers of different series begin at different places, so that equal curves can be told apart.
        markevery=(MARKERS.index(chosen.marker) * every // len(MARKERS), every),
    )
    axis.fill_between(places, low, high, color=chosen.colour, alpha=0.12, linewidth=0)


def _draw_interval(axis: Axes, interval: Interval, row: float | int, chosen: Style, *, filled: bool) -> None:
    value, low, high = interval
    if not np.isnan(low):
        axis.hlines(row, low, high, color=chosen.colour, linewidth=1.5)
    face = chosen.colour if filled else "white"
    axis.plot(value, row, marker=chosen.marker, markersize=5, color=chosen.colour, markerfacecolor=face)


def _name_rows(axis: Axes, names: list[str]) -> None:
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
