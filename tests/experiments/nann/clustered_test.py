"""Tests the benchmark's graph of levels."""

import numpy as np
import pytest

from experiments.nann import clustered


@pytest.mark.parametrize("num_items", [1, 31, 100, 5000, 70000])
def test_levels_are_nested_graphs(num_items):
    levels = clustered.clustered_levels(num_items, seed=0)
    assert len(levels) == 3
    inside = set(range(num_items))
    for number, level in enumerate(levels):
        nodes = set(level.nodes.tolist())
        assert nodes <= inside
        assert len(nodes) == -(-num_items // 32**number)
        inside = nodes
        assert level.values.dtype == level.row_splits.dtype == np.int32
        assert len(level.row_splits) == num_items + 1
        assert level.row_splits[0] == 0
        assert level.row_splits[-1] == len(level.values)
        assert set(level.values.tolist()) <= nodes
        owners = np.repeat(np.arange(num_items), np.diff(level.row_splits))
        assert set(owners.tolist()) <= nodes
        assert np.all(owners != level.values)


def test_links_join_near_vectors():
    vectors = clustered.clustered_vectors(20000, 16, seed=0)
    level = clustered.clustered_level(20000, 1, 28, seed=0)
    assert vectors.dtype == np.float32
    assert vectors.shape == (20000, 16)
    owners = np.repeat(np.arange(20000), 28)
    linked = np.linalg.norm(vectors[owners] - vectors[level.values], axis=1).mean()
    others = np.random.default_rng(0).permutation(level.values)
    anywhere = np.linalg.norm(vectors[owners] - vectors[others], axis=1).mean()
    assert linked < 0.5 * anywhere
