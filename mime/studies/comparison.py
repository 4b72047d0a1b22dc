"""Runs grouped by experiment and method, and what their seeds come to together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mime.sampling.episodes import FIRST_STAGE, LAST_STAGE, recorded_stages
from mime.studies.estimates import Estimate, estimate, probability_of_improvement, scored
from mime.studies.identity import told_apart
from mime.studies.methods import in_order
from mime.studies.protocols import at_common_steps, outdated
from mime.studies.records import Record, Table, read_all

LAST = 10
BEFORE, AFTER = FIRST_STAGE, LAST_STAGE


class Curve(NamedTuple):
    """An estimate along an axis.

    Attributes:
        x: Places on the axis.
        estimate: At each of them, over the seeds that got there.
    """

    x: Float[np.ndarray, "points"]
    estimate: Estimate


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        records: All runs.
        remarks: What is damaged, unfinished or missing.
    """

    records: list[Record]
    remarks: list[str]

    @property
    def experiments(self) -> list[str]:
        """Names of the experiments, in the order in which they were given."""
        return list(dict.fromkeys(record.experiment for record in self.records))

    @property
    def methods(self) -> list[str]:
        """Names of the methods, in a fixed order."""
        return in_order({record.method for record in self.records})

    def of(self, experiment: str, method: str) -> list[Record]:
        """The runs of a method on an experiment."""
        return [record for record in self.records if (record.experiment, record.method) == (experiment, method)]

    def panels(self, make: Callable[[list[Record]], Any]) -> dict[str, dict[str, Any]]:
        """For each experiment and method, what `make` gives for its runs; None, and what is then empty, is left out."""
        made = {
            experiment: {method: make(self.of(experiment, method)) for method in self.methods}
            for experiment in self.experiments
        }
        kept = {name: {key: value for key, value in panel.items() if value is not None} for name, panel in made.items()}
        return {name: panel for name, panel in kept.items() if panel}

    def scores(self, name: str, stage: str = AFTER) -> dict[str, dict[str, Float[np.ndarray, "seeds"]]]:
        """For each experiment and method, the held-out score of each tested seed."""
        return self.panels(lambda records: held_out(records, name, stage))

    def shared(self) -> tuple[list[str], list[str]]:
        """The experiments on which all of the methods that were tested anywhere were tested, and those methods."""
        scores = self.scores("Success")
        methods = in_order({method for panel in scores.values() for method in panel})
        return [experiment for experiment, panel in scores.items() if len(panel) == len(methods)], methods

    def overall(self, name: str = "Success") -> dict[str, Estimate]:
        """Each method's estimate over all experiments that the methods share; sensible for scores of one scale."""
        scores, (experiments, methods) = self.scores(name), self.shared()
        if not experiments:
            return {}
        return {method: estimate([scores[experiment][method] for experiment in experiments]) for method in methods}

    def improvements(self, name: str = "Returns") -> dict[tuple[str, str], Estimate]:
        """For each pair of methods, later over earlier, the probability of improvement on the experiments of both."""
        scores, pairs = self.scores(name), {}
        for place, ours in enumerate(self.methods):
            for theirs in self.methods[:place]:
                panels = [panel for panel in scores.values() if ours in panel and theirs in panel]
                if panels:
                    samples = ([panel[method] for panel in panels] for method in (ours, theirs))
                    pairs[ours, theirs] = probability_of_improvement(*samples)
        return pairs


def compared(folders: Sequence[Path]) -> Comparison:
    """The runs in some folders, like with like: as seeds of one configuration, each once, at steps that all tests have.

    Raises:
        UserError: If a folder is missing, or there is no run at all.
    """
    records, remarks = read_all(folders)
    records, identities = told_apart(records)
    old = outdated(records)
    records, protocols = at_common_steps(records)
    return Comparison(records, remarks + identities + old + protocols)


def held_out(records: Sequence[Record], name: str, stage: str = AFTER) -> Float[np.ndarray, "seeds"] | None:
    """Each tested run's mean over batches of a held-out metric; None if no run has it."""
    column = f"{stage}/{name}"
    values = [record.test[column].mean() for record in records if column in record.test]
    return scored(np.array(values)) if values else None


def trained(records: Sequence[Record], name: str, stage: str = AFTER) -> Float[np.ndarray, "seeds"] | None:
    """Each run's mean over its last ten meta-iterations of a metric of the training tasks; None if no run has it."""
    column = f"{stage}/{name}"
    values = [record.train[column][-LAST:].mean() for record in records if column in record.train]
    return scored(np.array(values)) if values else None


def learning_curve(records: Sequence[Record], column: str) -> Curve | None:
    """A column of the training against the environment steps that the seeds had taken, iteration by iteration.

    Where seeds took different numbers of steps, as episodes of different lengths make them, the places lie evenly from
    where all of them have begun to where the last one ends, and a seed has there what its last iteration gave. A run
    counts up to its end; one that diverged counts with less than any number.
    """
    tables = [record.train for record in records if column in record.train]
    if not tables:
        return None
    steps = [table["TotalEnvSteps"] for table in tables]
    places = max(steps, key=len)
    if not all(np.array_equal(own, places[: len(own)]) for own in steps):
        places = np.linspace(max(own[0] for own in steps), max(own[-1] for own in steps), len(places))
    values = [_at(places, own, table[column]) for own, table in zip(steps, tables)]
    return Curve(places, _pointwise(np.stack(values)))


def adaptation_curve(records: Sequence[Record], name: str) -> Curve | None:
    """A held-out metric against steps of adaptation; as many of them as all runs were tested with."""
    curves = [_adaptation(record.test, name) for record in records if f"{AFTER}/{name}" in record.test]
    if not curves:
        return None
    steps = min(len(curve) for curve in curves)
    return Curve(np.arange(steps, dtype=float), _pointwise(np.stack([curve[:steps] for curve in curves])))


def _adaptation(test: Table, name: str) -> Float[np.ndarray, "steps"]:
    return scored(np.array([test[f"{stage}/{name}"].mean() for stage in recorded_stages(test, name)]))


def _at(
    places: Float[np.ndarray, "places"], steps: Float[np.ndarray, "_rows"], values: Float[np.ndarray, "_rows"]
) -> Float[np.ndarray, "places"]:
    """The value of the last row up to each place; NaN before the first row and behind the last one."""
    rows = np.searchsorted(steps, places, side="right") - 1
    inside = (rows >= 0) & (places <= steps[-1])
    return np.where(inside, scored(values)[rows], np.nan)


def _pointwise(values: Float[np.ndarray, "seeds points"]) -> Estimate:
    """Estimates at each point over the seeds that are not NaN there; points with the same seeds are done together."""
    result = np.full((3, values.shape[1]), np.nan)
    present = ~np.isnan(values)
    for seeds in np.unique(present, axis=1).T:
        points = (present == seeds[:, None]).all(axis=0)
        if seeds.any():
            result[:, points] = estimate([values[np.ix_(seeds, points)]])
    return Estimate(*result)
