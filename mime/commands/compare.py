"""`mime compare`: runs side by side, in tables, figures and a report."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.table import Table

from mime.commands.terminal import console, parse_options, tell_where
from mime.errors import UserError
from mime.studies.tables import Cells


@dataclass(frozen=True)
class Compare:
    """Compare runs: interquartile means with bootstrap intervals over seeds, figures, and a report in one HTML file.

    Damaged and unfinished runs are named, and used as far as they go.
    """

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Studies, run folders, or folders with such below them."""
    output_folder: Path
    """Where tables, figures and the report go; files of these names there are replaced."""


def run(arguments: Sequence[str]) -> int:
    """Compare runs; returns the exit status."""
    command = parse_options(Compare, arguments, name="compare")
    if not command.folders:
        raise UserError("give at least one folder with runs")
    from mime.studies import figures, report, tables
    from mime.studies.comparison import compared

    comparison = compared(command.folders)
    for remark in comparison.remarks:
        console.print(remark, style="yellow", soft_wrap=True)
    _show([*tables.general_cells(comparison), *map(tables.headlines, tables.experiment_cells(comparison))])
    console.print(tables.NOTE, style="dim")
    folder = command.output_folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tables.write(comparison, folder)
        entries = figures.all_figures(comparison)
        figures.write(entries, folder)
        written = report.write(comparison, entries, command.folders, folder)
    except OSError as error:
        raise UserError(f"{error.filename or folder}: cannot be written: {error.strerror}") from None
    tell_where(report=written, tables=folder / "tables.md", figures=folder)
    return 0


def _show(tables: Sequence[Cells]) -> None:
    for cells in tables:
        table = Table(*cells.header[:1])
        for heading in cells.header[1:]:
            table.add_column(heading, justify="right")
        for row in cells.rows:
            table.add_row(*row)
        console.print(f"\n{cells.title}", style="bold")
        console.print(table)
