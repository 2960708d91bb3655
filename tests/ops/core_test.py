"""The core on NumPy arrays: as the ops, but in place."""

import numpy as np
import pytest

from tfrec import ops
from tfrec.ops import _core

VALUES = np.array([1, 2, 2, 2, 0, 3, 0, 1], np.int32)
ROW_SPLITS = np.array([0, 2, 5, 5, 8], np.int64)


def random_bitmap(rng, num_users, num_words):
    bits = rng.integers(0, 2**64 - 1, (2, num_users, num_words), np.uint64, True)
    return bits[0] & bits[1]


def test_visited_insert_is_the_op():
    rng = np.random.default_rng(1)
    for _ in range(1_000):
        num_users, num_words, num_ids = rng.integers([0, 1, 0], [4, 4, 12])
        visited = random_bitmap(rng, num_users, num_words)
        ids = rng.integers(-1, 64 * num_words, (num_users, num_ids), np.int32)
        updated, expected = ops.visited_insert(visited, ids)
        is_new = _core.visited_insert(visited, ids)
        assert is_new.dtype == np.bool_
        np.testing.assert_array_equal(is_new, expected)
        np.testing.assert_array_equal(visited, updated)


def test_graph_expand_is_the_op():
    rng = np.random.default_rng(2)
    for number in range(1_000):
        num_users, num_items, size = rng.integers([0, 1, 0], [4, 140, 8])
        visited = random_bitmap(rng, num_users, -(-num_items // 64))
        frontier = rng.integers(-1, num_items, (num_users, size), np.int32)
        splits = np.cumsum(rng.integers(0, 6, num_items + 1))
        splits = (splits - splits[0]).astype((np.int32, np.int64)[number % 2])
        values = rng.integers(0, num_items, splits[-1], np.int32)
        sizes = ((), (3,), (2, 5, 9))[number % 3]
        arguments = (visited, frontier, values, splits, sizes)
        updated, expected_fresh, expected_counts = ops.graph_expand(*arguments)
        fresh, counts = _core.graph_expand(*arguments)
        assert (fresh.dtype, counts.dtype) == (np.int32, np.int32)
        np.testing.assert_array_equal(fresh, expected_fresh)
        np.testing.assert_array_equal(counts, expected_counts)
        np.testing.assert_array_equal(visited, updated)


def test_failures_leave_the_bitmap_as_it_was():
    """Also where the users before the wrong one are fine."""
    visited = np.zeros((2, 1), np.uint64)
    ids = np.array([[0, 1], [2, 64]], np.int32)
    with pytest.raises(
        ValueError, match=r"`ids` must be -1 or in \[0, 64\).*\[1, 1\]=64"
    ):
        _core.visited_insert(visited, ids)
    frontier = np.array([[0, 1], [2, 4]], np.int32)
    with pytest.raises(ValueError, match=r"`frontier` must be .*frontier\[1, 1\]=4"):
        _core.graph_expand(visited, frontier, VALUES, ROW_SPLITS)
    assert not visited.any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"visited": np.zeros(1, np.uint64)}, "`visited` must be rank 2"),
        ({"frontier": np.zeros(1, np.int32)}, "`frontier` must be rank 2"),
        ({"frontier": np.zeros((2, 1), np.int32)}, "batch size of `visited`"),
        ({"values": VALUES[None]}, "`values` must be rank 1"),
        ({"values": VALUES[:-1]}, "the number of values at last"),
        ({"values": VALUES + np.int32(2)}, r"`values` must be in \[0, 4\)"),
        ({"row_splits": ROW_SPLITS[:0]}, "at least 1 element"),
        ({"row_splits": ROW_SPLITS[None]}, "`row_splits` must be rank 1"),
        ({"row_splits": ROW_SPLITS[::-1].copy()}, "0 at first"),
        ({"row_splits": np.array([0, 9, 5, 5, 8])}, "must be ascending"),
        ({"visited": np.zeros((1, 0), np.uint64)}, r"at least ceil\(N / 64\) words"),
        ({"bucket_sizes": (4, 4)}, "`bucket_sizes` must be positive and strictly"),
    ],
)
def test_graph_expand_errors(changes, message):
    inputs = {
        "visited": np.zeros((1, 1), np.uint64),
        "frontier": np.zeros((1, 1), np.int32),
        "values": VALUES,
        "row_splits": ROW_SPLITS,
    }
    with pytest.raises(ValueError, match=message):
        _core.graph_expand(**{**inputs, **changes})


def test_visited_insert_errors():
    visited, ids = np.zeros((1, 1), np.uint64), np.zeros((1, 1), np.int32)
    with pytest.raises(ValueError, match="`visited` must be rank 2"):
        _core.visited_insert(visited[0], ids)
    with pytest.raises(ValueError, match="`ids` must be rank 2"):
        _core.visited_insert(visited, ids[0])
    with pytest.raises(ValueError, match="batch size of `visited`"):
        _core.visited_insert(visited, np.zeros((2, 1), np.int32))


@pytest.mark.parametrize(
    "visited",
    [
        np.zeros((1, 1), np.int64),
        np.zeros((1, 1), np.float64),
        np.zeros((2, 2), np.uint64)[:, :1],
    ],
    ids=["int64", "float64", "strided"],
)
def test_a_bitmap_that_would_be_copied_is_refused(visited):
    """The bits would be set in the copy, and be lost."""
    ids = np.zeros((len(visited), 1), np.int32)
    with pytest.raises(TypeError, match="visited"):
        _core.visited_insert(visited, ids)
    with pytest.raises(TypeError, match="visited"):
        _core.graph_expand(visited, ids, VALUES, ROW_SPLITS)


def test_a_bitmap_that_is_read_only_is_refused():
    visited = np.zeros((1, 1), np.uint64)
    visited.flags.writeable = False
    ids = np.zeros((1, 1), np.int32)
    with pytest.raises(ValueError, match="not writeable"):
        _core.visited_insert(visited, ids)
    with pytest.raises(ValueError, match="not writeable"):
        _core.graph_expand(visited, ids, VALUES, ROW_SPLITS)
