"""Which runs are seeds of the same thing: those of one experiment, method and configuration."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from mime.configuration.keys import brief
from mime.studies.records import Record

# Keys that change what is written when, and no number.
RECORDING = ("checkpoint-every", "pictures-every")


def told_apart(records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """The runs, those of other configurations under other names, and each seed once.

    Args:
        records: Runs, of which some may have the same names.

    Returns:
        The runs, with the keys in which they differ behind the method's name where one name stands for several
        configurations; and what was changed or left out, a line each.
    """
    named, remarks = [], []
    for group in _grouped(records, lambda record: (record.experiment, record.method)):
        suffixes = _suffixes(group)
        named += [replace(record, method=f"{record.method}{suffixes[record.path]}") for record in group]
        if any(suffixes.values()):
            shown = ", ".join(dict.fromkeys(suffix.strip() for suffix in suffixes.values()))
            remarks.append(f"{group[0].experiment}: {group[0].method} comes in several configurations: {shown}")
    kept = []
    for group in _grouped(named, lambda record: (record.experiment, record.method, record.seed)):
        if group[0].seed is None:
            kept += group
            continue
        best = max(group, key=lambda record: (_rows(record.train), _rows(record.test)))
        kept.append(best)
        remarks += [
            f"{record.path}: is seed {record.seed} again, of {best.path}; it counts once"
            for record in group
            if record is not best
        ]
    places = {record.path: place for place, record in enumerate(records)}
    return sorted(kept, key=lambda record: places[record.path]), remarks


def _grouped(records: Sequence[Record], key) -> list[list[Record]]:
    return [list(group) for _, group in groupby(sorted(records, key=lambda record: repr(key(record))), key=key)]


def _suffixes(group: Sequence[Record]) -> dict[Any, str]:
    """For each run's path, the keys in which the group's configurations differ, in words."""
    known = {record.path: _keys(record) for record in group if record.document}
    # A version that knows more keys than another has their defaults, which say nothing of a difference.
    shared = set.intersection(*map(set, known.values())) if known else set()
    different = [
        key
        for keys in list(known.values())[:1]
        for key in keys
        if key in shared and any(other[key] != keys[key] for other in known.values())
    ]
    if not different:
        return {record.path: "" for record in group}

    def words(record: Record) -> str:
        keys = known.get(record.path)
        if keys is None:
            return " (configuration unknown)"
        return f" ({', '.join(f'{key} {brief(keys[key])}' for key in different)})"

    return {record.path: words(record) for record in group}


def _keys(record: Record) -> dict[str, Any]:
    keys = {"method": record.document.get("method"), **record.document["experiment"]}
    return {key: value for key, value in keys.items() if key not in RECORDING}


def _rows(table: dict[str, Any]) -> int:
    return len(next(iter(table.values()), ()))
