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


def test_path_top_k_is_the_op():
    """To the byte."""
    rng = np.random.default_rng(3)
    for number in range(1_000):
        num_users, num_items, num_triggers, width = rng.integers(
            [0, 1, 0, 0], [4, 60, 8, 40]
        )
        splits = np.cumsum(rng.integers(0, 20, num_items + 1))
        splits = (splits - splits[0]).astype((np.int32, np.int64)[number % 2])
        size = (num_users, num_triggers)
        arguments = (
            rng.integers(-1, num_items, size, np.int32),
            rng.normal(size=size).astype(np.float32),
            rng.integers(0, num_items, splits[-1], np.int32),
            rng.normal(size=splits[-1]).astype(np.float32),
            splits,
            rng.normal(size=(num_users, width)).astype(np.float32),
            rng.normal(size=(num_items, width)).astype(np.float32),
            rng.integers(-1, num_items, (num_users, 2), np.int32),
            rng.random(num_items if number % 3 else 0) < 0.8,
            int(rng.integers(1, 9)),
            number % 4,
        )
        expected = ops.path_top_k(*arguments)
        for actual, output in zip(_core.path_top_k(*arguments), expected, strict=True):
            assert actual.dtype == output.dtype.as_numpy_dtype
            assert actual.shape == output.shape
            assert actual.tobytes() == output.numpy().tobytes()


PATHS = {
    "triggers": np.zeros((1, 1), np.int32),
    "weights": np.zeros((1, 1), np.float32),
    "neighbours": VALUES,
    "similarities": np.zeros(8, np.float32),
    "row_splits": ROW_SPLITS,
    "user_vectors": np.zeros((1, 2), np.float32),
    "item_vectors": np.zeros((4, 2), np.float32),
    "excluded": np.zeros((1, 0), np.int32),
    "available": np.ones(4, bool),
    "k": 2,
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({name: PATHS[name][None]}, "must be rank") for name in list(PATHS)[:-1]),
        ({"triggers": PATHS["triggers"] + np.int32(4)}, r"triggers\[0, 0\]=4"),
        ({"weights": PATHS["weights"] + np.float32(np.nan)}, "`weights` must be fin"),
        ({"weights": np.zeros((1, 2), np.float32)}, "the shape of `triggers`"),
        ({"weights": np.zeros((2, 1), np.float32)}, "batch size of `triggers`"),
        ({"neighbours": VALUES[:-1].copy()}, "the number of neighbours at last"),
        ({"neighbours": VALUES + np.int32(2)}, r"`neighbours` must be in \[0, 4\)"),
        ({"similarities": np.zeros(7, np.float32)}, "the shape of `neighbours`"),
        ({"row_splits": ROW_SPLITS[:0]}, "at least 1 element"),
        ({"row_splits": np.array([0, 9, 5, 5, 8])}, "must be ascending"),
        ({"user_vectors": np.zeros((2, 2), np.float32)}, "batch size of `triggers`"),
        ({"item_vectors": np.zeros((3, 2), np.float32)}, "a row for each of the N"),
        ({"item_vectors": np.zeros((4, 1), np.float32)}, "the width of `user_vec"),
        ({"excluded": np.zeros((2, 1), np.int32)}, "batch size of `triggers`"),
        ({"excluded": np.full((1, 1), -2, np.int32)}, r"excluded\[0, 0\]=-2"),
        ({"available": np.ones(3, bool)}, "a row for each of the N items"),
        ({"k": 0}, "`k` must be at least 1"),
        ({"num_paths": -1}, "`num_paths` must be at least 0"),
    ],
)
def test_path_top_k_errors(changes, message):
    with pytest.raises(ValueError, match=message):
        _core.path_top_k(**{**PATHS, **changes})


@pytest.mark.parametrize("name", list(PATHS)[:-1])
def test_path_top_k_copies_nothing(name):
    wrong = np.asfortranarray(np.zeros((4, 4), PATHS[name].dtype))
    for array in (wrong, wrong.astype(np.complex64)):
        with pytest.raises(TypeError, match=name):
            _core.path_top_k(**{**PATHS, name: array})


def test_path_top_k_with_more_than_2_to_the_31_entries(tmp_path):
    """The last list lies behind what an int32 counts; files with holes hold it."""
    num_entries = 2**31 + 10

    def sparse(name, dtype):
        return np.memmap(tmp_path / name, dtype, "w+", shape=(num_entries,))

    neighbours, similarities = sparse("n", np.int32), sparse("s", np.float32)
    neighbours[-3:], similarities[-3:] = [2, 0, 1], [1.0, 2.0, 3.0]
    splits = np.array([0, 2, 4, num_entries - 3, num_entries])
    arguments = {
        **PATHS,
        "triggers": np.array([[3]], np.int32),
        "neighbours": neighbours,
        "similarities": similarities,
        "row_splits": splits,
        "k": 4,
        "num_paths": 1,
    }
    ids, _, path_triggers, contributions = _core.path_top_k(**arguments)
    assert ids.tolist() == [[1, 0, 2, -1]]
    assert path_triggers.reshape(-1).tolist() == [3, 3, 3, -1]
    expected = np.logaddexp(0.0, [3.0, 2.0, 1.0])
    np.testing.assert_allclose(contributions[0, :3, 0], expected, 1e-6)
    with pytest.raises(ValueError, match="lists with less than 2\\^31 entries in all"):
        two = np.array([[2, 2]], np.int32)
        weights = np.zeros((1, 2), np.float32)
        _core.path_top_k(**{**arguments, "triggers": two, "weights": weights})


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
