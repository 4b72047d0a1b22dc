"""A comparison as one HTML file that needs nothing else: no network, no other file."""

import base64
import io
import shlex
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from mime.runs.files import write_atomically
from mime.studies import history, tables
from mime.studies.comparison import Comparison
from mime.studies.figures import ReportFigure
from mime.studies.methods import label
from mime.studies.records import Record
from mime.studies.tables import Cells
from mime.version import __version__

PICTURE_WIDTH = 900
NAME = "report.html"


def write(
    comparison: Comparison, figures: Sequence[ReportFigure], folders: Sequence[Path], output_folder: Path
) -> Path:
    """Write the report.

    Args:
        comparison: What it is about.
        figures: Its figures, whose SVG files are in the output folder.
        folders: Where the runs were read from.
        output_folder: Where it goes.

    Returns:
        Its path.
    """
    sections = [
        ("summary", "Summary", _summary(comparison)),
        ("experiments", "Experiments", "".join(map(_table, tables.experiment_cells(comparison)))),
        ("figures", "Figures", "".join(_figure(figure, output_folder) for figure in figures)),
        ("trajectories", "Trajectories", _trajectories(comparison)),
        ("reproduce", "How to reproduce it", _commands(comparison, folders)),
        ("configurations", "Configurations", _configurations(comparison)),
        ("versions", "Versions", _versions(comparison)),
    ]
    sections = [section for section in sections if section[2]]
    links = "".join(f'<li><a href="#{name}">{title}</a></li>' for name, title, _ in sections)
    body = "".join(f'<section id="{name}"><h2>{title}</h2>{content}</section>' for name, title, content in sections)
    title = f"Study: {', '.join(folder.name for folder in folders)}"
    document = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{files('mime.studies').joinpath('report.css').read_text()}</style></head>"
        f"<body><h1>{escape(title)}</h1><p class=note>Made by mime {__version__}.</p>"
        f"<nav><ul>{links}</ul></nav>{body}</body></html>\n"
    )
    path = output_folder / NAME
    write_atomically(path, document.encode())
    return path


def _summary(comparison: Comparison) -> str:
    records = comparison.records
    tested = sum(bool(record.test) for record in records)
    seeds = sorted({record.seed for record in records if record.seed is not None})
    methods = ", ".join(map(label, comparison.methods))
    text = (
        f"<p>{len(records)} runs, {tested} of them tested on held-out tasks: {methods} on"
        f" {', '.join(map(escape, comparison.experiments))}; seeds {', '.join(map(str, seeds))}.</p>"
        f"<p class=note>{tables.NOTE}</p>"
    )
    text += "".join(map(_table, tables.general_cells(comparison)))
    if comparison.remarks:
        text += f"<h3>Remarks</h3>{_list(comparison.remarks)}"
    return text


def _list(remarks: Sequence[str]) -> str:
    return "<ul class=remarks>" + "".join(f"<li>{escape(remark)}</li>" for remark in remarks) + "</ul>"


def _table(cells: Cells) -> str:
    header = "".join(f"<th>{escape(cell)}</th>" for cell in cells.header)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in cells.rows)
    table = f"<table><thead><tr>{header}</tr></thead><tbody>{rows}</tbody></table>"
    return f"<h3>{escape(cells.title)}</h3><div class=scroll>{table}</div>"


def _figure(figure: ReportFigure, folder: Path) -> str:
    # As an image, not inline: the clip paths of two SVGs in one document would share their names.
    source = _data((folder / f"{figure.name}.svg").read_bytes(), "image/svg+xml")
    return f"<h3>{escape(figure.title)}</h3>{_image(source, figure.title, figure.caption)}"


def _trajectories(comparison: Comparison) -> str:
    """For each experiment, a picture of the first seed of each method that has one."""
    parts = []
    for experiment in comparison.experiments:
        pictures = []
        for method in comparison.methods:
            shown = [record for record in comparison.of(experiment, method) if _picture(record).exists()]
            if shown:
                name = f"{label(method)}, seed {shown[0].seed}"
                pictures.append(_image(_shrunk(_picture(shown[0])), f"{experiment}, {name}", name))
        if pictures:
            parts.append(f'<h3>{escape(experiment)}</h3><div class="pictures">{"".join(pictures)}</div>')
    return "".join(parts)


def _picture(record: Record) -> Path:
    return record.path / "figures" / "test.png"


def _shrunk(path: Path) -> str:
    """A picture as data of a size that a report of dozens can bear."""
    with Image.open(path) as image:
        image.thumbnail((PICTURE_WIDTH, PICTURE_WIDTH))
        file = io.BytesIO()
        image.convert("RGB").quantize(64).save(file, "PNG", optimize=True)
    return _data(file.getvalue(), "image/png")


def _data(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _image(source: str, alternative: str, caption: str) -> str:
    return (
        f'<figure><img src="{source}" alt="{escape(alternative)}"><figcaption>{escape(caption)}</figcaption></figure>'
    )


def _commands(comparison: Comparison, folders: Sequence[Path]) -> str:
    studies = [shlex.join(entry["command"]) for folder in folders for entry in history.read(folder)["commands"]]
    runs = []
    for record in comparison.records:
        commands = [shlex.join(start["command"]) for start in record.document.get("history", [])]
        runs += [f"# {record.experiment}, {label(record.method)}, seed {record.seed}", *dict.fromkeys(commands)]
    text = "".join(f"<pre>{escape(command)}</pre>" for command in dict.fromkeys(studies))
    return text + _folded("The commands of each run", "\n".join(runs))


def _configurations(comparison: Comparison) -> str:
    parts = []
    for experiment in comparison.experiments:
        for method in comparison.methods:
            documents = [
                record.document["experiment"] for record in comparison.of(experiment, method) if record.document
            ]
            for number, keys in enumerate(_distinct(documents)):
                title = f"{experiment}, {label(method)}" + (f" (other seeds: {number})" if number else "")
                parts.append(_folded(title, yaml.safe_dump(keys, sort_keys=False)))
    return "".join(parts)


def _versions(comparison: Comparison) -> str:
    """What the runs were made with, each combination once, with the number of runs."""
    kept = []
    for record in comparison.records:
        starts = record.document.get("history", [])
        kept += [{name: starts[-1].get(name) for name in ("versions", "git", "hardware")}] if starts else []
    distinct = _distinct(kept)
    return "".join(
        f"<p>{kept.count(circumstances)} runs:</p><pre>{escape(yaml.safe_dump(circumstances, sort_keys=False))}</pre>"
        for circumstances in distinct
    )


def _distinct(values: Sequence[Any]) -> list[Any]:
    return [value for place, value in enumerate(values) if value not in values[:place]]


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{escape(title)}</summary><pre>{escape(text)}</pre></details>" if text else ""
