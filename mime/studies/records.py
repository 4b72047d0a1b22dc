"""What runs recorded, read back: whole or damaged, finished or not."""

import csv
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from mime.errors import UserError
from mime.runs.metrics import OUTER_STEP, OUTER_STEPS
from mime.sampling.episodes import FIRST_STAGE, LAST_STAGE
from mime.studies import history
from mime.studies.methods import folder_name

Table = dict[str, Float[np.ndarray, "_rows"]]
TRAIN, TEST, CONFIG = "train_result.csv", "test_result.csv", "config.json"
MOST_NAMED = 3
LENGTHS = ("num-iterations", "num-batches", "pre-epochs")


@dataclass(frozen=True)
class Record:
    """What is known of a run.

    Attributes:
        path: The run folder.
        experiment: Name of the experiment.
        method: Name of the method's folder.
        seed: Of the run; None if unknown.
        train: Columns of the training, a row per meta-iteration; empty without any.
        test: Columns of the test, a row per batch; empty without any.
        document: What `config.json` holds; empty if it is missing or damaged.
        remarks: What is wrong with the run, a line each.
    """

    path: Path
    experiment: str
    method: str
    seed: int | None
    train: Table
    test: Table
    document: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()


def read_all(folders: Sequence[Path]) -> tuple[list[Record], list[str]]:
    """The runs in some folders, each of which is a run, a study, or anything with runs below it.

    Args:
        folders: Where to look.

    Returns:
        The runs that recorded anything, and remarks about what is damaged, unfinished, or left out.

    Raises:
        UserError: If a folder is missing, or there is no run at all.
    """
    records, remarks = [], []
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder")
        found = sorted(run_folders(folder), key=_natural)
        missing = [name for name in history.read(folder)["runs"] if folder / name not in found]
        remarks += [f"{folder / name}: not begun" for name in missing]
        records += [read(path) for path in found]
    unique = {record.path.resolve(): record for record in records}
    used = [record for record in unique.values() if record.train or record.test]
    if not used:
        places = ", ".join(map(str, folders))
        raise UserError(f"{places}: no run there has a row in {TRAIN}; make some with mime study or mime train")
    return used, remarks + _grouped(unique.values())


def run_folders(folder: Path) -> list[Path]:
    """The folders of runs at and below a folder; symbolic links are followed, into each folder once."""
    found, seen = [], set()
    for name, below, files in os.walk(folder, followlinks=True):
        if {TRAIN, CONFIG} & set(files):
            found.append(Path(name))
        # Links that lead back would be followed for ever.
        seen.add(os.path.realpath(name))
        below[:] = [each for each in sorted(below) if os.path.realpath(os.path.join(name, each)) not in seen]
    return found


def _grouped(records: Iterable[Record]) -> list[str]:
    """Each remark once, with the runs that it is about; of many runs, the first ones."""
    places: dict[str, list[str]] = {}
    for record in records:
        for remark in record.remarks:
            places.setdefault(remark, []).append(str(record.path))
    more = {
        remark: f" and {len(paths) - MOST_NAMED} more" for remark, paths in places.items() if len(paths) > MOST_NAMED
    }
    return [f"{', '.join(paths[:MOST_NAMED])}{more.get(remark, '')}: {remark}" for remark, paths in places.items()]


def read(path: Path) -> Record:
    """A run, as far as it can be read."""
    document, remarks = _read_document(path / CONFIG)
    train, train_remarks = read_table(path / TRAIN, counter="Iteration")
    test, test_remarks = read_table(path / TEST, counter="Batch")
    remarks += train_remarks + test_remarks
    if not train and not test:
        remarks.append("left out: it has recorded nothing")
    else:
        remarks += _unfinished(document, train, test) + _diverged(train, "Iteration") + _diverged(test, "Batch")
    experiment, method, seed = _identity(path, document)
    return Record(path, experiment, method, seed, train, test, document, tuple(remarks))


def read_table(path: Path, *, counter: str) -> tuple[Table, list[str]]:
    """The columns of a CSV file up to the first row that is damaged, and what is wrong with it.

    What became of the outer step, a word, is its code in a column `OuterStep`. Of version 0.1.0, whose `Eta`
    was a logit and `EtaShare` the share, the share is kept as `Eta`.

    Args:
        path: The file; without one, there are no columns and nothing is wrong.
        counter: A column that must count 1, 2, ...
    """
    try:
        lines = list(csv.reader(path.read_text(encoding="utf-8-sig").split("\n")))
    except FileNotFoundError:
        return {}, []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return {}, [f"{path.name} cannot be read: {error}"]
    # What follows the last line break is torn, unless it is nothing.
    header, *rows = [*lines[:-1], *([lines[-1]] if lines[-1] else [])] or [[]]
    if counter not in header or len(set(header)) < len(header):
        return {}, [f"{path.name} is damaged: it has no header with a column {counter}"]
    numbers, remarks = [], []
    for place, row in enumerate(rows, start=1):
        values = _numbers(row, header)
        if values is None or values[header.index(counter)] != place:
            remarks.append(f"{path.name} is damaged in row {place}; {place - 1} of {len(rows)} rows are used")
            break
        numbers.append(values)
    if not numbers:
        return {}, remarks
    table = dict(zip(header, np.array(numbers).T))
    return table | ({"Eta": table.pop("EtaShare")} if "EtaShare" in table else {}), remarks


def _numbers(row: Sequence[str], header: Sequence[str]) -> list[float] | None:
    if len(row) != len(header):
        return None
    try:
        return [_number(name, cell) for name, cell in zip(header, row)]
    except ValueError:
        return None


def _number(name: str, cell: str) -> float:
    codes = {word: code for code, word in OUTER_STEPS.items()} if name == OUTER_STEP else {"False": 0, "True": 1}
    return float(codes.get(cell, cell))


def _read_document(path: Path) -> tuple[dict[str, Any], list[str]]:
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}, []  # Tables alone are enough where the path says what they are of.
    except (OSError, ValueError):
        return {}, ["config.json is damaged; the run is known by its path"]
    keys = document.get("experiment") if isinstance(document, dict) else None
    well = isinstance(keys, dict) and all(isinstance(keys.get(name, 0), int) for name in LENGTHS)
    return (document, []) if well else ({}, ["config.json is damaged; the run is known by its path"])


def _identity(path: Path, document: dict[str, Any]) -> tuple[str, str, int | None]:
    """Experiment, method and seed: by the path EXPERIMENT/METHOD/seed-N or, elsewhere, by the configuration."""
    *_, experiment, method, last = ("", "", *path.absolute().parts)
    match = re.fullmatch(r"(?:seed-)?(\d+)", last)
    if match:
        # A folder may have been copied; the configuration is what the run had.
        return experiment, method, document.get("seed", int(match[1]))
    keys = document.get("experiment", {})
    return keys.get("env-name", path.parent.name), folder_name(document.get("method", path.name)), document.get("seed")


def _unfinished(document: dict[str, Any], train: Table, test: Table) -> list[str]:
    keys, remarks = document.get("experiment", {}), []
    planned = sum(keys.get(name, 0) for name in LENGTHS)
    done = len(train.get("Iteration", ()))
    if done < planned:
        remarks.append(f"unfinished: {done} of {planned} meta-iterations, used as far as they go")
    if not test:
        remarks.append("not tested: it is in the learning curves alone")
    return remarks


def _diverged(table: Table, counter: str) -> list[str]:
    for name in (f"{stage}/Returns" for stage in (FIRST_STAGE, LAST_STAGE)):
        rows = np.flatnonzero(~np.isfinite(table.get(name, np.zeros(0))))
        if len(rows):
            return [
                f"diverged: {name} is not finite in {len(rows)} rows, first in that of {counter} {rows[0] + 1}; there"
                " it counts as lower than any number"
            ]
    return []


def _natural(path: Path) -> list[Any]:
    """A key that sorts seed-10 behind seed-9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", str(path))]
