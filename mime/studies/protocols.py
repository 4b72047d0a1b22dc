"""How runs were tested, and what tests of different protocols have in common."""

from collections.abc import Sequence
from dataclasses import replace

from mime.sampling.episodes import LAST_STAGE, recorded_stages
from mime.studies.records import Record, Table
from mime.studies.tested import is_stale, recorded_tests

METRIC = "Returns"


def at_common_steps(records: Sequence[Record]) -> tuple[list[Record], list[str]]:
    """The runs, each experiment's tests cut to the steps of adaptation that all of them have.

    Args:
        records: Runs, tested or not.

    Returns:
        The runs, and a line for each thing in which an experiment's tests differ.
    """
    remarks, common = [], {}
    for experiment in dict.fromkeys(record.experiment for record in records):
        tested = [record for record in records if record.experiment == experiment and record.test]
        steps = sorted({_steps(record.test) for record in tested})
        common[experiment] = steps[0] if steps else 0
        if len(steps) > 1:
            remarks.append(
                f"{experiment}: tested with {_listed(steps)} steps of adaptation; compared after {steps[0]}, which all"
                " tests have"
            )
        batches = sorted({len(record.test["Batch"]) for record in tested})
        if len(batches) > 1:
            remarks.append(f"{experiment}: tested with {_listed(batches)} batches; means are over as many as each has")
        seeds = sorted({test["seed"] for record in tested for test in recorded_tests(record.document)[-1:]})
        if len(seeds) > 1:
            remarks.append(f"{experiment}: tested with the seeds {_listed(seeds)}, which draw other random numbers")
    return [replace(record, test=_cut(record.test, common[record.experiment])) for record in records], remarks


def outdated(records: Sequence[Record]) -> list[str]:
    """A line for each run whose test is not that of its weights, or not all of it."""
    remarks = []
    for record in records:
        for test in recorded_tests(record.document)[-1:]:
            if record.test and is_stale(record.path, record.document):
                remarks.append(
                    f"{record.path}: its test is older than its weights; test it again, with test.py or study"
                )
            elif record.test and len(record.test["Batch"]) != test.get("num-batches"):
                done, asked = len(record.test["Batch"]), test.get("num-batches")
                remarks.append(f"{record.path}: has {done} of the {asked} batches of its test; test it again")
    return remarks


def _steps(test: Table) -> int:
    return max(len(recorded_stages(test, METRIC)) - 1, 0)


def _cut(test: Table, steps: int) -> Table:
    """The test as if it had ended after so many steps of adaptation."""
    if _steps(test) <= steps:
        return test
    stages = recorded_stages(test, METRIC)
    last, dropped = f"{stages[steps]}/", tuple(f"{stage}/" for stage in stages[steps:])
    after = {name.replace(last, f"{LAST_STAGE}/", 1): column for name, column in test.items() if name.startswith(last)}
    return {name: column for name, column in test.items() if not name.startswith(dropped)} | after


def _listed(numbers: Sequence[int]) -> str:
    *others, last = map(str, numbers)
    return f"{', '.join(others)} and {last}"
