"""Statistics of few runs against cases computed by hand."""

from itertools import product

import numpy as np
import pytest

from mime.studies.estimates import estimate, interquartile_mean, probability_of_improvement


def test_interquartile_mean_cuts_a_quarter_at_each_end():
    assert interquartile_mean(np.array([100.0, 1.0, 2.0, 3.0, -100.0])) == pytest.approx(2)
    assert interquartile_mean(np.array([8.0, 1.0, 2.0, 4.0, 7.0, 3.0, 9.0, 50.0])) == pytest.approx((3 + 4 + 7 + 8) / 4)
    assert interquartile_mean(np.array([0.0, 0.0, 6.0])) == pytest.approx(2)


def test_interquartile_mean_is_over_the_scores_of_all_experiments_together():
    assert interquartile_mean(np.array([0.0, 9.0]), np.array([3.0, 5.0])) == pytest.approx(4)


def test_the_interval_of_three_seeds_is_that_of_all_27_resamples():
    scores = np.array([0.0, 1.0, 5.0])
    means = sorted(np.mean(resample) for resample in product(scores, repeat=3))
    value, low, high = estimate([scores])
    assert value == pytest.approx(2)
    # 1 of 27 resamples is 3.7 %, above 2.5 %: the interval spans all of them.
    assert (low, high) == (pytest.approx(means[0]), pytest.approx(means[-1]))


def test_seeds_are_resampled_within_their_experiment():
    _, low, high = estimate([np.array([0.0, 0.0]), np.array([10.0, 10.0])])
    assert (low, high) == (5, 5)


def test_points_are_estimated_one_by_one():
    value, low, high = estimate([np.array([[1.0, 5.0], [3.0, 5.0]])])
    np.testing.assert_allclose([value, low, high], [[2, 5], [1, 5], [3, 5]])


def test_probability_of_improvement_counts_pairs_and_ties_by_half():
    ours, theirs = np.array([1.0, 2.0, 3.0]), np.array([2.0, 0.0])
    # (1, 2) lost, (1, 0) won, (2, 2) tied, (2, 0) won, (3, 2) won, (3, 0) won.
    assert probability_of_improvement([ours], [theirs]).value == pytest.approx(4.5 / 6)
    assert probability_of_improvement([theirs], [ours]).value == pytest.approx(1.5 / 6)


def test_probability_of_improvement_is_averaged_over_experiments():
    zeros = np.zeros(3)
    value, low, high = probability_of_improvement([zeros + 1, zeros], [zeros, zeros])
    assert (value, low, high) == (0.75, 0.75, 0.75)


def test_one_seed_has_no_interval():
    one, two = np.array([1.0]), np.array([1.0, 3.0])
    for value, low, high in (estimate([one]), estimate([two, one]), probability_of_improvement([two], [one])):
        assert np.isfinite(value)
        assert np.isnan(low)
        assert np.isnan(high)
