"""Runs grouped by experiment and method, and what their seeds come to together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from mime.sampling.episodes import FIRST_STAGE, LAST_STAGE, recorded_stages
from mime.studies.estimates import Estimate, estimate, probability_of_improvement
from mime.studies.methods import in_order
from mime.studies.records import Record, Table

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


def held_out(records: Sequence[Record], name: str, stage: str = AFTER) -> Float[np.ndarray, "seeds"] | None:
    """Each tested run's mean over batches of a held-out metric; None if no run has it."""
    column = f"{stage}/{name}"
    values = [record.test[column].mean() for record in records if column in record.test]
    return np.array(values) if values else None


def trained(records: Sequence[Record], name: str, stage: str = AFTER) -> Float[np.ndarray, "seeds"] | None:
    """Each run's mean over its last ten meta-iterations of a metric of the training tasks; None if no run has it."""
    column = f"{stage}/{name}"
    values = [record.train[column][-LAST:].mean() for record in records if column in record.train]
    return np.array(values) if values else None


def learning_curve(records: Sequence[Record], column: str) -> Curve | None:
    """A column of the training, iteration by iteration, against the environment steps that the seeds had then taken.

    Where seeds took different numbers of steps, as episodes of different lengths make them, the place is their mean. A
    run that is not finished counts up to its last iteration.
    """
    tables = [record.train for record in records if column in record.train]
    if not tables:
        return None
    steps, values = (_stack([table[name] for table in tables]) for name in ("TotalEnvSteps", column))
    return Curve(np.nanmean(steps, axis=0), _pointwise(values))


def adaptation_curve(records: Sequence[Record], name: str) -> Curve | None:
    """A held-out metric against steps of adaptation; as many of them as all runs were tested with."""
    curves = [_adaptation(record.test, name) for record in records if f"{AFTER}/{name}" in record.test]
    if not curves:
        return None
    steps = min(len(curve) for curve in curves)
    return Curve(np.arange(steps, dtype=float), _pointwise(np.stack([curve[:steps] for curve in curves])))


def _adaptation(test: Table, name: str) -> Float[np.ndarray, "steps"]:
    return np.array([test[f"{stage}/{name}"].mean() for stage in recorded_stages(test, name)])


def _stack(columns: Sequence[Float[np.ndarray, "_rows"]]) -> Float[np.ndarray, "seeds rows"]:
    """Columns of different lengths as rows, NaN behind their ends."""
    rows = max(len(column) for column in columns)
    return np.stack([np.pad(column, (0, rows - len(column)), constant_values=np.nan) for column in columns])


def _pointwise(values: Float[np.ndarray, "seeds points"]) -> Estimate:
    """Estimates at each point over the seeds that are not NaN there; points with the same seeds are done together."""
    result = np.full((3, values.shape[1]), np.nan)
    present = ~np.isnan(values)
    for seeds in np.unique(present, axis=1).T:
        points = (present == seeds[:, None]).all(axis=0)
        if seeds.any():
            result[:, points] = estimate([values[np.ix_(seeds, points)]])
    return Estimate(*result)
