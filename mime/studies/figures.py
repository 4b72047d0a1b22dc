"""The figures of a comparison: which there are, what they say, and their files."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from mime.drawing import curves as drawing
from mime.studies.comparison import AFTER, BEFORE, Comparison, Curve, adaptation_curve, held_out, learning_curve
from mime.studies.estimates import Estimate, estimate
from mime.studies.methods import METHODS, in_order, label
from mime.studies.records import Record

SHARE = -0.03, 1.03


class ReportFigure(NamedTuple):
    """A figure of the report.

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


def all_figures(comparison: Comparison) -> list[ReportFigure]:
    """Every figure that the runs have numbers for."""
    return [*_summaries(comparison), *_training(comparison), *_adaptation(comparison), *_exploration(comparison)]


def write(figures: list[ReportFigure], folder: Path) -> None:
    """Write each as PNG and SVG."""
    for each in figures:
        drawing.save(each.figure, folder, each.name)


def _styles(methods: Iterable[str]) -> dict[str, drawing.Style]:
    """How each method is drawn: in its own style everywhere; methods that are not ours take those that are left."""
    methods = list(methods)
    names = [*METHODS, *(name for name in methods if name not in METHODS)]
    return {method: drawing.style(label(method), names.index(method)) for method in methods}


def _styles_in(panels: Mapping[str, Mapping[str, Any]]) -> dict[str, drawing.Style]:
    return _styles(in_order({method for panel in panels.values() for method in panel}))


def _summaries(comparison: Comparison) -> list[ReportFigure]:
    figures = []
    overall, (experiments, _) = comparison.overall(), comparison.shared()
    if overall:
        caption = (
            "Share of held-out tasks that a method solves after adaptation: interquartile mean over the seeds of"
            f" {', '.join(experiments)}, where every method was tested."
        )
        styles = _styles(overall)
        rows = [(value, styles[method]) for method, value in overall.items()]
        figure = drawing.shares(rows, "held-out success after adaptation", height=0.7 + 0.25 * len(rows))
        figures.append(ReportFigure("overall-success", "Held-out success", caption, figure))
    pairs = comparison.improvements()
    if pairs:
        caption = (
            "How probable it is that a run of the first method has a higher held-out return after adaptation than one"
            " of the second, averaged over the experiments of both. An interval that holds 0.5 tells nothing."
        )
        styles = _styles(in_order({method for pair in pairs for method in pair}))
        rows = [
            (value, styles[ours]._replace(label=f"{label(ours)} over {label(theirs)}"))
            for (ours, theirs), value in pairs.items()
        ]
        x_label = "probability of a higher held-out return"
        figure = drawing.shares(rows, x_label, height=0.6 + 0.22 * len(rows), even=0.5)
        figures.append(ReportFigure("probability-of-improvement", "Probability of improvement", caption, figure))
    return figures


def _training(comparison: Comparison) -> list[ReportFigure]:
    kinds = [
        Kind("learning-return", "Learning: return", f"{AFTER}/Returns", "return after adaptation"),
        Kind("learning-success", "Learning: success", f"{AFTER}/Success", "success after adaptation", SHARE),
        Kind("eta", "Share of the intrinsic reward", "Eta", "eta", SHARE),
    ]
    caption = "On training tasks, {} in each meta-iteration, against the steps that training has taken."
    return _curves(comparison, kinds, learning_curve, "environment steps", caption)


def _adaptation(comparison: Comparison) -> list[ReportFigure]:
    kinds = [
        Kind("adaptation-return", "Adaptation: return", "Returns", "held-out return"),
        Kind("adaptation-success", "Adaptation: success", "Success", "held-out success", SHARE),
    ]
    others = [METHODS[name] for name in in_order(set(comparison.methods)) if name in METHODS and METHODS[name].steps]
    notes = "; ".join(f"{method.label}: {method.steps}" for method in others)
    steps = f"inner steps ({notes})" if notes else "inner steps"
    caption = "The trained policy's {} before adaptation (0), and after each step of it."
    return _curves(comparison, kinds, adaptation_curve, steps, caption)


def _curves(
    comparison: Comparison,
    kinds: list[Kind],
    curve: Callable[[list[Record], str], Curve | None],
    x_label: str,
    caption: str,
) -> list[ReportFigure]:
    figures = []
    for kind in kinds:
        panels = comparison.panels(lambda records, metric=kind.metric: curve(records, metric))
        if panels:
            figure = drawing.curves(panels, _styles_in(panels), x_label, kind.y_label, limits=kind.limits)
            figures.append(ReportFigure(kind.name, kind.title, caption.format(kind.y_label), figure))
    return figures


def _exploration(comparison: Comparison) -> list[ReportFigure]:
    panels = comparison.panels(_coverage)
    if not panels:
        return []
    caption = (
        "Share of the cells within reach that all trajectories of a held-out task visit together, before and after"
        " adaptation. It grows with the number of trajectories, which PEARL's configuration sets by itself."
    )
    figure = drawing.before_and_after(panels, _styles_in(panels), "share of cells visited")
    return [ReportFigure("coverage", "Exploration coverage", caption, figure)]


def _coverage(records: list[Record]) -> tuple[Estimate, Estimate] | None:
    before, after = (held_out(records, "Coverage", stage) for stage in (BEFORE, AFTER))
    return None if before is None or after is None else (estimate([before]), estimate([after]))
