"""Groups of users and category coverage, worked out by hand."""

import numpy as np
import pytest

from tfrec.evaluation import groups


def test_table_4s_groups():
    values = np.array([1.0, 0.0, 1.0, 0.5, 0.25, 1.0])
    lengths = np.array([15, 1, 16, 30, 45, 16])
    found = groups.by_edges(values, lengths, (15, 30, 45))
    assert found == {
        "n<=15": {"mean": 0.5, "users": 2},
        "15<n<=30": {"mean": pytest.approx(2.5 / 3), "users": 3},
        "30<n<=45": {"mean": 0.25, "users": 1},
        "n>45": {"mean": None, "users": 0},
    }
    assert list(found) == ["n<=15", "15<n<=30", "30<n<=45", "n>45"]


def test_groups_add_up_to_the_mean():
    rng = np.random.default_rng(0)
    values, lengths = rng.random(200), rng.integers(0, 60, 200)
    found = groups.by_edges(values, lengths, (15, 30, 45)).values()
    total = sum(group["mean"] * group["users"] for group in found)
    assert total / 200 == pytest.approx(values.mean())


def test_category_coverage_by_hand():
    categories = np.array([0, 1, 1, 2, 5, 0])  # three categories, item 5 has none
    lists = np.array([[0, 1, 2], [3, 2, 0], [4, -1, -1], [1, 0, -1]])
    found = groups.category_coverage(lists, categories)
    np.testing.assert_allclose(found, [2 / 3, 1, 0, 1 / 3])


def test_category_coverage_against_sets():
    rng = np.random.default_rng(1)
    categories = np.r_[0, rng.integers(0, 8, 50)]
    lists = np.stack([rng.permutation(50)[:12] for _ in range(30)])
    total = len(set(categories.tolist()) - {0})
    for positions, share in zip(
        lists, groups.category_coverage(lists, categories), strict=True
    ):
        covered = {categories[position + 1] for position in positions} - {0}
        assert share == len(covered) / total


def test_value_errors():
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(3,\)"):
        groups.by_edges(np.zeros(2), np.zeros(3), (1,))
    with pytest.raises(ValueError, match=r"`edges` must ascend. Received: \(3, 3\)"):
        groups.by_edges(np.zeros(2), np.zeros(2), (3, 3))
    with pytest.raises(ValueError, match="at least one. Received: none above 0"):
        groups.category_coverage(np.zeros((1, 1), int), np.zeros(3, int))
    with pytest.raises(ValueError, match=r"shapes \(1,\) and \(3,\)"):
        groups.category_coverage(np.zeros(1, int), np.ones(3, int))
