"""The figures of a comparison: which there are, what they say, and their files."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from mime.drawing import curves as compare
from mime.studies.comparison import AFTER, BEFORE, Comparison, Curve, adaptation_curve, held_out, learning_curve
from mime.studies.estimates import Estimate, estimate
from mime.studies.methods import PEARL
from mime.studies.records import Record

SHARE = -0.03, 1.03


class Entry(NamedTuple):
    """A figure.

    Attributes:
        name: Of its files.
        title: Above it in a report.
        caption: What it shows.
        figure: It.
    """

    name: str
    title: str
    caption: str
    figure: Figure


class Kind(NamedTuple):
    """A figure of curves, before it is drawn: `metric` is what the curves are of."""

    name: str
    title: str
    metric: str
    y_label: str
    limits: tuple[float, float] | None = None


def all_figures(comparison: Comparison) -> list[Entry]:
    """Every figure that the runs have numbers for."""
    return [*_summaries(comparison), *_training(comparison), *_adaptation(comparison), *_exploration(comparison)]


def write(entries: list[Entry], folder: Path) -> None:
    """Write each as PNG and SVG."""
    for entry in entries:
        compare.save(entry.figure, folder, entry.name)


def _summaries(comparison: Comparison) -> list[Entry]:
    entries = []
    overall, (experiments, _) = comparison.overall(), comparison.shared()
    if overall:
        caption = (
            "Share of held-out tasks that a method solves after adaptation: interquartile mean over the seeds of"
            f" {', '.join(experiments)}, where every method was tested."
        )
        figure = compare.overall(overall, "held-out success after adaptation")
        entries.append(Entry("overall-success", "Held-out success", caption, figure))
    pairs = comparison.improvements()
    if pairs:
        caption = (
            "How probable it is that a run of the first method has a higher held-out return after adaptation than one"
            " of the second, averaged over the experiments of both. An interval that holds 0.5 tells nothing."
        )
        figure = compare.improvements(pairs)
        entries.append(Entry("probability-of-improvement", "Probability of improvement", caption, figure))
    return entries


def _training(comparison: Comparison) -> list[Entry]:
    kinds = [
        Kind("learning-return", "Learning: return", f"{AFTER}/Returns", "return after adaptation"),
        Kind("learning-success", "Learning: success", f"{AFTER}/Success", "success after adaptation", SHARE),
        Kind("eta", "Weight of the intrinsic reward", "EtaShare", "sigmoid of eta", SHARE),
    ]
    caption = "On training tasks, {} in each meta-iteration, against the steps that training has taken."
    return _curves(comparison, kinds, learning_curve, "environment steps", caption)


def _adaptation(comparison: Comparison) -> list[Entry]:
    kinds = [
        Kind("adaptation-return", "Adaptation: return", "Returns", "held-out return"),
        Kind("adaptation-success", "Adaptation: success", "Success", "held-out success", SHARE),
    ]
    steps = "inner steps (PEARL: trajectories of context)" if PEARL in comparison.methods else "inner steps"
    caption = "The trained policy's {} before adaptation (0), and after each step of it."
    return _curves(comparison, kinds, adaptation_curve, steps, caption)


def _curves(
    comparison: Comparison,
    kinds: list[Kind],
    curve: Callable[[list[Record], str], Curve | None],
    x_label: str,
    caption: str,
) -> list[Entry]:
    entries = []
    for kind in kinds:
        panels = comparison.panels(lambda records, metric=kind.metric: curve(records, metric))
        if panels:
            figure = compare.curves(panels, x_label, kind.y_label, limits=kind.limits)
            entries.append(Entry(kind.name, kind.title, caption.format(kind.y_label), figure))
    return entries


def _exploration(comparison: Comparison) -> list[Entry]:
    panels = comparison.panels(_coverage)
    if not panels:
        return []
    caption = (
        "Share of the cells within reach that all trajectories of a held-out task visit together, before and after"
        " adaptation. It grows with the number of trajectories, which PEARL's configuration sets by itself."
    )
    figure = compare.before_and_after(panels, "share of cells visited")
    return [Entry("coverage", "Exploration coverage", caption, figure)]


def _coverage(records: list[Record]) -> tuple[Estimate, Estimate] | None:
    before, after = (held_out(records, "Coverage", stage) for stage in (BEFORE, AFTER))
    return None if before is None or after is None else (estimate([before]), estimate([after]))
