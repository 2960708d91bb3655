"""Tests the benchmark's set-op row and its graph."""

import numpy as np
import pytest

from experiments.nann import expansion


def test_random_adjacency_is_a_graph_of_the_degree():
    values, row_splits = expansion.random_adjacency(1000, 8, seed=0)
    assert values.dtype == row_splits.dtype == np.int32
    assert len(values) == 8000
    assert values.min() >= 0
    assert values.max() < 1000
    np.testing.assert_array_equal(np.diff(row_splits), 8)
    again, _ = expansion.random_adjacency(1000, 8, seed=0)
    np.testing.assert_array_equal(values, again)


def test_sets_row_against_python_sets():
    random = np.random.default_rng(0)
    for _ in range(20):
        lists = [random.integers(0, 30, random.integers(0, 6)) for _ in range(30)]
        values = np.concatenate(lists).astype(np.int32)
        row_splits = np.cumsum([0, *map(len, lists)]).astype(np.int32)
        visited = random.permutation(30)[:10].astype(np.int32)
        frontier = visited[:5]
        seen, fresh = expansion.expand_by_sets(visited, frontier, values, row_splits)
        neighbours = {int(n) for node in frontier for n in lists[node]}
        before = {int(v) for v in visited}
        assert seen.numpy().tolist() == sorted(before | neighbours)
        assert fresh.numpy().tolist() == sorted(neighbours - before)


def test_check_equal_finds_differences():
    assert expansion.check_equal([3, 1], [3, 1], [1, 3]) == 2
    with pytest.raises(ValueError, match="`graph_expand_reference` must answer"):
        expansion.check_equal([3, 1], [1, 3], [1, 3])
    with pytest.raises(ValueError, match="`expand_by_sets` must find"):
        expansion.check_equal([3, 1], [3, 1], [1])


def test_measures_every_implementation():
    result = expansion.measure_expansion(
        2000, 8, frontier=20, num_visited=40, rounds=2, seed=1
    )
    assert set(result.milliseconds) == {"op", "twin", "sets", "op_halves"}
    assert set(result.cpu_milliseconds) == set(result.milliseconds)
    assert all(ms > 0 for ms in result.milliseconds.values())
    assert 100 < result.num_fresh <= 160
    ms = result.milliseconds
    assert result.speedup_over_sets == ms["sets"] / ms["op"]
