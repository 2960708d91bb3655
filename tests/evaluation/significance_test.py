"""The paired test against SciPy's, and on numbers worked out by hand."""

import numpy as np
import pytest
from scipy import stats

from tfrec.evaluation.significance import paired_t_test


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_against_scipy(confidence):
    rng = np.random.default_rng(0)
    first = rng.random(60)
    second = first - 0.05 + 0.3 * rng.standard_normal(60)
    found = paired_t_test(first, second, confidence)
    wanted = stats.ttest_rel(first, second)
    interval = wanted.confidence_interval(confidence)
    assert found.p_value == pytest.approx(wanted.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.users == 60


def test_by_hand():
    # Differences 1, 2, 3: mean 2, deviation 1, t = 2 sqrt(3) with 2 degrees of freedom,
    # whose tail is (1 - t / sqrt(t^2 + 2)) / 2.
    found = paired_t_test([2.0, 2.0, 3.0], [1.0, 0.0, 0.0])
    t = 2 * np.sqrt(3)
    assert found.difference == pytest.approx(2)
    assert found.p_value == pytest.approx(1 - t / np.sqrt(t**2 + 2))
    assert found.low == pytest.approx(2 - 4.30265 / np.sqrt(3), abs=1e-4)


def test_seeds_are_averaged_before_the_test():
    rng = np.random.default_rng(1)
    first, second = rng.random((3, 40)), rng.random((2, 40))
    found = paired_t_test(first, second)
    wanted = stats.ttest_rel(first.mean(axis=0), second.mean(axis=0))
    assert found.p_value == pytest.approx(wanted.pvalue)
    assert found.users == 40


def test_no_difference_is_no_evidence():
    found = paired_t_test([0.0, 1.0, 1.0], [0.0, 1.0, 1.0])
    assert (found.difference, found.p_value) == (0.0, 1.0)
    assert paired_t_test([1.0, 2.0], [0.0, 1.0]).p_value == 0.0


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([1.0, 2.0], [1.0, 2.0, 3.0], "the same users, .* Received: 2 and 3"),
        (np.zeros((2, 3)), np.zeros((3, 2)), "Received: 3 and 2"),
        ([1.0], [2.0], "at least 2. Received: 1 and 1"),
        ([1.0, np.nan], [1.0, 2.0], "`first` must be numbers. Received: NaN"),
        (np.zeros((1, 1, 1)), [1.0], r"first.shape=\(1, 1, 1\)"),
    ],
)
def test_value_errors(first, second, message):
    with pytest.raises(ValueError, match=message):
        paired_t_test(first, second)
    with pytest.raises(ValueError, match=r"`confidence` .* \(0, 1\). Received: 95"):
        paired_t_test([1.0, 2.0], [1.0, 3.0], confidence=95)
