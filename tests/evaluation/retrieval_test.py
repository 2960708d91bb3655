"""Retrieved lists against targets and exact lists, worked out by hand."""

import numpy as np
import pytest

from tfrec.data.split_parts import Examples
from tfrec.evaluation import retrieval
from tfrec.evaluation.brute_force import TopK

# Item ids: the first example looks for 1 and 4, the second for 2.
EXAMPLES = Examples(
    np.array([1, 2]),
    np.zeros(0, np.int32),
    np.zeros(3, np.int64),
    np.array([1, 4, 2]),
    np.array([0, 2, 3]),
)


def test_against_exact_by_hand():
    exact = np.array([[0, 3, 4], [2, 0, -1]])  # recalls 1 and 0
    positions = np.array([[0, 4, 2], [1, 2, -1]])  # recalls 1/2 and 1
    assert retrieval.mean_recall(exact, EXAMPLES) == 0.5
    assert retrieval.against_exact(positions, exact, EXAMPLES) == {
        "recall_retrieval": 0.75,
        "recall_delta": -0.5,
        "coverage": pytest.approx((2 / 3 + 1 / 2) / 2),
    }


def test_popularity_recall_by_hand():
    counts = np.array([0, 3, 5, 3, 9, 1])  # by id: 4, 2, then 1 before 3
    assert retrieval.popularity_recall(counts, EXAMPLES, 1) == (1 / 2 + 0) / 2
    assert retrieval.popularity_recall(counts, EXAMPLES, 2) == (1 / 2 + 1) / 2
    assert retrieval.popularity_recall(counts, EXAMPLES, 3) == 1.0


def test_lists_are_read_as_they_were_written(tmp_path):
    found = TopK(np.array([[3, -1]], np.int32), np.array([[0.5, -np.inf]], np.float32))
    retrieval.save_top_k(tmp_path / "exact.npz", found)
    again = retrieval.load_top_k(tmp_path / "exact.npz")
    np.testing.assert_array_equal(again.positions, found.positions)
    np.testing.assert_array_equal(again.scores, found.scores)
    assert [path.name for path in tmp_path.iterdir()] == ["exact.npz"]
