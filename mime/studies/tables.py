"""Tables of a comparison: as text cells for people, and as CSV files for programs."""

import csv
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mime.numerics.formatting import number
from mime.runs.files import write_atomically
from mime.studies.comparison import AFTER, BEFORE, Comparison, held_out, trained
from mime.studies.estimates import Estimate, estimate
from mime.studies.methods import label
from mime.studies.records import Record

METRICS = ("Returns", "Success", "TrajectorySuccess", "Coverage")
STAGES = {"before": BEFORE, "after": AFTER}
NOTE = (
    "Interquartile mean over seeds [95 % stratified bootstrap interval]. Held-out tasks, before and after all steps of"
    " adaptation: success is the share of tasks solved, trajectories the share of successful ones; the training return"
    " is that after adaptation, mean of the last ten meta-iterations. A run that diverged counts with less than any"
    " number."
)


class Cells(NamedTuple):
    """A table in text.

    Attributes:
        title: Above it.
        header: Of its columns; the first holds names, the others numbers.
        rows: Cells, a string for each column.
    """

    title: str
    header: list[str]
    rows: list[list[str]]


def experiment_cells(comparison: Comparison) -> list[Cells]:
    """For each experiment, the methods' scores."""
    return [_experiment(comparison, experiment) for experiment in comparison.experiments]


def _experiment(comparison: Comparison, experiment: str) -> Cells:
    groups = {method: comparison.of(experiment, method) for method in comparison.methods}
    groups = {method: records for method, records in groups.items() if records}
    columns = {"Training return": lambda records: trained(records, "Returns")}
    for metric in METRICS:
        for when, stage in STAGES.items():
            name = {"Returns": "Return", "TrajectorySuccess": "Trajectories"}.get(metric, metric)
            columns[f"{name} {when}"] = lambda records, metric=metric, stage=stage: held_out(records, metric, stage)
    cells = {heading: [_scores(score(records)) for records in groups.values()] for heading, score in columns.items()}
    cells = {heading: column for heading, column in cells.items() if set(column) != {"—"}}
    names = [[label(method), _seeds(records)] for method, records in groups.items()]
    return Cells(
        experiment, ["Method", "Seeds", *cells], [[*name, *row] for name, row in zip(names, zip(*cells.values()))]
    )


def overall_cells(comparison: Comparison) -> Cells | None:
    """Each method's held-out success over the experiments that all methods share; None if there are none."""
    experiments, _ = comparison.shared()
    if not experiments:
        return None
    rows = [[label(method), text(value)] for method, value in comparison.overall().items()]
    return Cells(
        f"Held-out success, experiments of all methods ({len(experiments)})", ["Method", "Success after"], rows
    )


def improvement_cells(comparison: Comparison) -> Cells | None:
    """The probability that one method's run has a higher held-out return than another's; None if nothing was tested."""
    pairs = comparison.improvements()
    rows = [[f"{label(ours)} over {label(theirs)}", text(value)] for (ours, theirs), value in pairs.items()]
    return Cells("Probability of improvement", ["Pair", "Probability"], rows) if rows else None


def general_cells(comparison: Comparison) -> list[Cells]:
    """The tables over all experiments that there are."""
    return [cells for cells in (overall_cells(comparison), improvement_cells(comparison)) if cells is not None]


def headlines(cells: Cells) -> Cells:
    """Those columns that fit on a terminal: scores after adaptation or, before any test, of the training."""
    wanted = ["Method", "Seeds", "Return after", "Success after"]
    if "Return after" not in cells.header:
        wanted.append("Training return")
    places = [place for place, name in enumerate(cells.header) if name in wanted]
    header, *rows = [[row[place] for place in places] for row in (cells.header, *cells.rows)]
    return Cells(cells.title, header, rows)


def markdown(comparison: Comparison) -> str:
    """All tables and the remarks as Markdown."""
    parts = [NOTE]
    for cells in [*general_cells(comparison), *experiment_cells(comparison)]:
        rule = ["---", *("---:" for _ in cells.header[1:])]
        lines = ["| " + " | ".join(row) + " |" for row in (cells.header, rule, *cells.rows)]
        parts.append(f"### {cells.title}\n\n" + "\n".join(lines))
    if comparison.remarks:
        parts.append("### Remarks\n\n" + "\n".join(f"- {remark}" for remark in comparison.remarks))
    return "\n\n".join(parts) + "\n"


def write(comparison: Comparison, folder: Path) -> list[Path]:
    """Write `tables.md`, `statistics.csv` (a row per estimate) and `runs.csv` (a row per run); returns their paths."""
    contents = {
        "tables.md": markdown(comparison),
        "statistics.csv": _csv(_statistics(comparison)),
        "runs.csv": _csv([_run(record) for record in comparison.records]),
    }
    for name, content in contents.items():
        write_atomically(folder / name, content.encode())
    return [folder / name for name in contents]


def text(value: Estimate) -> str:
    """An estimate of one number: `0.51 [0.40, 0.62]`, or without an interval if there is none."""
    if np.isnan(value.low):
        return number(value.value)
    return f"{number(value.value)} [{number(value.low)}, {number(value.high)}]"


def _scores(scores: np.ndarray | None) -> str:
    return "—" if scores is None else text(estimate([scores]))


def _seeds(records: list[Record]) -> str:
    tested = sum(bool(record.test) for record in records)
    return f"{len(records)}" if tested == len(records) else f"{len(records)}, {tested} tested"


def _statistics(comparison: Comparison) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for experiment in comparison.experiments:
        for method in comparison.methods:
            records = comparison.of(experiment, method)
            for tasks, score in (("training", trained), ("held-out", held_out)):
                for metric in METRICS:
                    for when, stage in STAGES.items():
                        scores = score(records, metric, stage)
                        if scores is None:
                            continue
                        value = estimate([scores])
                        rows.append(
                            {"experiment": experiment, "method": method, "tasks": tasks, "metric": metric, "when": when}
                            | {"seeds": len(scores), "iqm": value.value, "low": value.low, "high": value.high}
                        )
    return rows


def _run(record: Record) -> dict[str, object]:
    row: dict[str, object] = {"experiment": record.experiment, "method": record.method, "seed": record.seed}
    row |= {"iterations": len(record.train.get("Iteration", ()))}
    row |= {"env_steps": int(record.train["TotalEnvSteps"][-1]) if record.train else 0}
    for metric in METRICS:
        for when, stage in STAGES.items():
            scores = held_out([record], metric, stage)
            row[f"{metric.lower()}_{when}"] = "" if scores is None else scores[0]
    eta = record.train.get("Eta")
    return row | {"eta_share": "" if eta is None else eta[-1], "remarks": "; ".join(record.remarks)}


def _csv(rows: list[dict[str, object]]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {key: f"{value:.9g}" if isinstance(value, float | np.ndarray) else value for key, value in row.items()}
        )
    return file.getvalue()
