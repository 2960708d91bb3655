"""What retrieval is compared with finds what it should, or the times mean nothing."""

import types

import numpy as np
import pytest
import tensorflow as tf

from experiments.pdn import synthetic
from experiments.pdn.speed import hnsw, lookup


def _brute_force(index, triggers, k):
    sums = {}
    for j in triggers:
        for place in range(index.row_splits[j], index.row_splits[j + 1]):
            item = int(index.neighbours[place])
            sums[item] = sums.get(item, 0.0) + float(index.similarities[place])
    return sorted(((score, item) for item, score in sums.items()), reverse=True)[:k]


@pytest.mark.parametrize("k", [1, 25, 1000])
def test_lookup_sums_the_lists_in_both_ways(k):
    index = synthetic.path_index(100, 12, seed=0)
    names = ("neighbours", "similarities", "row_splits")
    holder = types.SimpleNamespace(
        **{name: tf.Variable(getattr(index, name)) for name in names}
    )
    found = lookup.Lookup(holder, k)
    triggers = np.array([3, 70, -1, 4, 99, -1], np.int32)
    expected = _brute_force(index, [3, 70, 4, 99], k)
    for items, sums in (found.by_numpy(triggers), found.by_tensorflow(triggers)):
        np.testing.assert_allclose(sums, [score for score, _ in expected], rtol=1e-5)
        np.testing.assert_array_equal(items, [item for _, item in expected])
    found.check(triggers)
    found.arrays[1] = found.arrays[1] + np.float32(1)
    with pytest.raises(ValueError, match="must give the same sums"):
        found.check(triggers)


def test_hnsw_is_built_once_and_its_recall_rises_with_ef(tmp_path):
    graph = hnsw.build(2000, 16, (10, 2000), 0, tmp_path)
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime_ns
    again = hnsw.build(2000, 16, (10, 2000), 0, tmp_path)
    assert file.stat().st_mtime_ns == written
    queries = graph.random_queries(3, 0)
    np.testing.assert_array_equal(
        graph.search(queries, 10, 10), again.search(queries, 10, 10)
    )
    vectors = hnsw.random_directions(2000, 16, 0)
    exact = np.argsort(-queries @ vectors.T, axis=1)[:, :10]
    np.testing.assert_array_equal(graph.search(queries, 10, 2000), exact)
    assert graph.recall(10, 10, 0) < graph.recall(10, 2000, 0) == 1
