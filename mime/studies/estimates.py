"""Statistics of few runs (Agarwal et al. 2021, arXiv 2108.13264), computed by SciPy."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 2000

Scores = Float[np.ndarray, "_seeds ..."]
LOWEST = -1e100
"""Stands for -inf in sums and squares, which would otherwise be no numbers."""


class Estimate(NamedTuple):
    """A statistic and its interval, which is NaN if an experiment has one seed alone: nobody knows its spread then."""

    value: Float[np.ndarray, "*points"]
    low: Float[np.ndarray, "*points"]
    high: Float[np.ndarray, "*points"]


def scored(values: Scores) -> Scores:
    """Scores, -inf for those that are not finite: a run that diverged is worse than any other, and is not left out."""
    return np.where(np.isfinite(values), values, -np.inf)


def interquartile_mean(*scores: Scores, axis: int = 0) -> Float[np.ndarray, "..."]:
    """Mean of the middle half of all scores: a quarter of them, rounded down, is cut off at each end.

    With fewer than four scores this is their mean.
    """
    return np.asarray(stats.trim_mean(np.concatenate(scores, axis=axis), 0.25, axis=axis))


def estimate(scores: Sequence[Scores]) -> Estimate:
    """Interquartile mean, and its stratified bootstrap interval.

    Args:
        scores: For each experiment, those of its seeds. Seeds are resampled within each experiment.

    Returns:
        The mean, and percentiles of the bootstrap's means.
    """
    return _with_interval(scores, interquartile_mean)


def probability_of_improvement(ours: Sequence[Scores], theirs: Sequence[Scores]) -> Estimate:
    """The probability that a run of ours scores higher than one of theirs, averaged over experiments; ties count half.

    Args:
        ours, theirs: For each experiment, the scores `[seeds]` of a method's runs.
    """

    def share(*scores: Scores, axis: int = 0) -> Float[np.ndarray, "..."]:
        pairs = zip(scores[: len(ours)], scores[len(ours) :])
        return np.asarray(np.mean([_share_of_wins(x, y, axis) for x, y in pairs], axis=0))

    return _with_interval([*ours, *theirs], share)


def _share_of_wins(x: Scores, y: Scores, axis: int) -> Float[np.ndarray, "..."]:
    """Mann and Whitney's U over the number of pairs."""
    wins = stats.mannwhitneyu(x, y, axis=axis, method="asymptotic").statistic
    return np.asarray(wins / (x.shape[axis] * y.shape[axis]))


def _with_interval(scores: Sequence[Scores], statistic: Callable[..., np.ndarray]) -> Estimate:
    estimated = _of_finite([np.maximum(sample, LOWEST) for sample in scores], statistic)
    return Estimate(*(np.where(bound < LOWEST / 1e9, -np.inf, bound) for bound in estimated))


def _of_finite(scores: Sequence[Scores], statistic: Callable[..., np.ndarray]) -> Estimate:
    value = statistic(*scores)
    if min(len(sample) for sample in scores) < 2:
        nothing = np.full_like(value, np.nan)
        return Estimate(value, nothing, nothing)
    result = stats.bootstrap(
        scores,
        statistic,
        n_resamples=RESAMPLES,
        vectorized=True,
        axis=0,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return Estimate(value, *(np.asarray(bound) for bound in result.confidence_interval))
