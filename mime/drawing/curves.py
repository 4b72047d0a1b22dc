"""Figures that lay methods side by side, for print: told apart in grey, too, by lines and markers."""

import math
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath
from matplotlib.ticker import EngFormatter, MaxNLocator

from mime.drawing.trajectories import FAINT, INK
from mime.studies.comparison import Curve
from mime.studies.estimates import Estimate
from mime.studies.methods import METHODS, in_order, label

# A place for each method, in the order of `METHODS`, and some for others; MIME has the strongest line.
PALETTE = ("#CC6677", "#999933", "#117733", "#332288", "#AA4499", "#44AA99", "#882255", "#88CCEE")
LINES = ("--", "-.", (0, (7, 1.5)), "-", ":", (0, (3, 1.2, 1, 1.2, 1, 1.2)), "--", "-.")
MARKERS = ("s", "^", "D", "o", "v", "P", "X", "*")
MOST_COLUMNS = 3
PANEL = 2.4, 1.9
LEAST_WIDTH = 4.0
NAMES_WIDTH = 1.3
LEGEND_ROW = 0.18


class Style(NamedTuple):
    """How a method is drawn, everywhere."""

    colour: str
    line: Any
    marker: str


def style(method: str, methods: list[str]) -> Style:
    """A method's own style; methods that are not ours take those that are left, in their order."""
    names = [*METHODS, *(name for name in methods if name not in METHODS)]
    place = names.index(method)
    return Style(PALETTE[place % len(PALETTE)], LINES[place % len(LINES)], MARKERS[place % len(MARKERS)])


def curves(
    panels: Mapping[str, Mapping[str, Curve]], x_label: str, y_label: str, *, limits: tuple[float, float] | None = None
) -> Figure:
    """A panel for each experiment, with a curve for each method; shaded is the interval, where there is one.

    Args:
        panels: Curves by experiment and method.
        x_label, y_label: Of the axes.
        limits: Of the vertical axis; by default each panel has its own.
    """
    figure, axes = _panels(panels, methods := _methods(panels))
    for axis, panel in zip(axes, panels.values()):
        for method, curve in panel.items():
            _draw_curve(axis, curve, style(method, methods))
        largest = max(curve.x[-1] for curve in panel.values())
        axis.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        if largest >= 1000:
            axis.xaxis.set_major_formatter(EngFormatter(sep=""))
        axis.set_xlim(0, None)
        if limits is not None:
            axis.set_ylim(*limits)
    figure.supxlabel(x_label, fontsize=9, color=INK)
    figure.supylabel(y_label, fontsize=9, color=INK)
    return figure


def before_and_after(panels: Mapping[str, Mapping[str, tuple[Estimate, Estimate]]], x_label: str) -> Figure:
    """For each experiment and method, an estimate before adaptation (hollow) and after it (filled), with intervals."""
    figure, axes = _panels(panels, methods := _methods(panels), legend=False, names=True)
    for axis, panel in zip(axes, panels.values()):
        for row, method in enumerate(methods):
            if method in panel:
                before, after = panel[method]
                chosen = style(method, methods)
                _draw_estimate(axis, before, row - 0.14, chosen, filled=False)
                _draw_estimate(axis, after, row + 0.14, chosen, filled=True)
        _name_rows(axis, [label(method) for method in methods])
        axis.set_xlim(0, None)
    handles = [
        Line2D([], [], marker="o", linestyle="", color=INK, markerfacecolor=face, label=name)
        for name, face in (("before adaptation", "white"), ("after adaptation", INK))
    ]
    _legend(figure, handles)
    figure.supxlabel(x_label, fontsize=9, color=INK)
    return figure


def improvements(pairs: Mapping[tuple[str, str], Estimate]) -> Figure:
    """The probability that the first method of a pair is better than the second, a row a pair."""
    figure = _figure(4.8, 0.6 + 0.22 * len(pairs))
    axis = figure.subplots()
    _dress(axis)
    methods = in_order({method for pair in pairs for method in pair})
    axis.axvline(0.5, color=INK, linewidth=0.8, linestyle=":")
    for row, ((ours, _), value) in enumerate(pairs.items()):
        _draw_estimate(axis, value, row, style(ours, methods), filled=True)
    _name_rows(axis, [f"{label(ours)} over {label(theirs)}" for ours, theirs in pairs])
    axis.set_xlim(-0.03, 1.03)
    axis.set_xlabel("probability of a higher held-out return", fontsize=9, color=INK)
    return figure


def overall(estimates: Mapping[str, Estimate], x_label: str) -> Figure:
    """An estimate a method."""
    figure = _figure(4.8, 0.7 + 0.25 * len(estimates))
    axis = figure.subplots()
    _dress(axis)
    methods = list(estimates)
    for row, (method, value) in enumerate(estimates.items()):
        _draw_estimate(axis, value, row, style(method, methods), filled=True)
    _name_rows(axis, [label(method) for method in methods])
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


def _methods(panels: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return in_order({method for panel in panels.values() for method in panel})


def _panels(
    panels: Mapping[str, Any], methods: list[str], *, legend: bool = True, names: bool = False
) -> tuple[Figure, list[Axes]]:
    """An empty figure of panels with titles; with names, there is room at the left and a height that suits them."""
    columns = min(len(panels), MOST_COLUMNS)
    rows = math.ceil(len(panels) / columns)
    height = 0.7 + 0.26 * len(methods) if names else PANEL[1]
    figure = _figure(max(columns * PANEL[0], LEAST_WIDTH) + names * NAMES_WIDTH, rows * height + 0.8)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=names).ravel()
    for axis, title in zip(grid, panels):
        axis.set_title(textwrap.fill(title, 28), fontsize=9, color=INK)
        _dress(axis)
    for axis in grid[len(panels) :]:
        axis.remove()
    if legend:
        styles = {method: style(method, methods) for method in methods}
        _legend(
            figure,
            [
                Line2D([], [], color=s.colour, linestyle=s.line, marker=s.marker, markersize=4, label=label(method))
                for method, s in styles.items()
            ],
        )
    return figure, list(grid[: len(panels)])


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
    every = max(1, math.ceil(len(curve.x) / 6))
    axis.plot(
        curve.x,
        curve.estimate.value,
        color=chosen.colour,
        linestyle=chosen.line,
        linewidth=1.3,
        marker=chosen.marker,
        markersize=3.5,
        clip_on=False,
        # Markers of different methods begin at different places, so that equal curves can be told apart.
        markevery=(MARKERS.index(chosen.marker) * every // len(MARKERS), every),
    )
    axis.fill_between(curve.x, curve.estimate.low, curve.estimate.high, color=chosen.colour, alpha=0.12, linewidth=0)


def _draw_estimate(axis: Axes, value: Estimate, row: float | int, chosen: Style, *, filled: bool) -> None:
    if not np.isnan(value.low):
        axis.hlines(row, value.low, value.high, color=chosen.colour, linewidth=1.5)
    face = chosen.colour if filled else "white"
    axis.plot(value.value, row, marker=chosen.marker, markersize=5, color=chosen.colour, markerfacecolor=face)


def _name_rows(axis: Axes, names: list[str]) -> None:
    axis.set_yticks(range(len(names)), names)
    axis.set_ylim(len(names) - 0.5, -0.5)
