"""Recall, coverage and recall-delta on numbers worked out by hand and in sets."""

import numpy as np
import pytest

from tfrec.evaluation import metrics


def test_recall_worked_out_by_hand():
    retrieved = np.array([[3, 1, 2], [9, 8, 7], [4, 0, 0]])
    targets, splits = np.array([1, 5, 9, 8, 7, 6]), np.array([0, 2, 5, 6])
    shares = metrics.recall(retrieved, targets, splits)
    np.testing.assert_array_equal(shares, [1 / 2, 3 / 3, 0 / 1])


def test_recall_against_sets():
    rng = np.random.default_rng(0)
    lists = np.stack([rng.permutation(40)[:12] for _ in range(50)])
    targets = [rng.permutation(40)[: rng.integers(1, 9)] for _ in range(50)]
    splits = np.cumsum([0, *map(len, targets)])
    shares = metrics.recall(lists, np.concatenate(targets), splits)
    for share, found, wanted in zip(shares, lists, targets, strict=True):
        assert share == len(set(found) & set(wanted)) / len(wanted)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ([0, 1, 1], "at least one target. Received: 2 examples for 2 lists, fewest"),
        ([0, 1], "Received: 1 examples for 2 lists"),
        ([0], "Received: 0 examples for 2 lists"),
    ],
)
def test_recall_value_errors(splits, message):
    with pytest.raises(ValueError, match=message):
        metrics.recall(np.array([[1], [2]]), np.array([1]), np.array(splits))


def test_coverage_ignores_order_and_padding():
    exact = np.array([[5, 6, 7, 8], [1, 2, -1, -1], [3, -1, -1, -1]])
    retrieved = np.array([[8, 5, 0, 1], [2, 1, -1, -1], [-1, -1, -1, -1]])
    np.testing.assert_array_equal(
        metrics.coverage(retrieved, exact), [2 / 4, 2 / 2, 0 / 1]
    )


def test_coverage_of_an_empty_exact_list_is_an_error():
    exact = np.array([[1, 2], [-1, -1]])
    message = "`exact` must have at least one id in each row. Received: none in row 1"
    with pytest.raises(ValueError, match=message):
        metrics.coverage(np.array([[1, 2], [1, 2]]), exact)


def test_recall_delta_is_relative_to_recall_all():
    assert metrics.recall_delta(0.4, 0.3) == pytest.approx(0.25)
    assert metrics.recall_delta(0.4, 0.5) == pytest.approx(-0.25)
    assert metrics.recall_delta(0.0, 0.1) == 0.0
