"""100,000 malformed inputs of each op: each is refused, none crashes the process."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfrec import ops

NUM_CASES = 100_000
EXTREMES = [-(2**31), -(2**31) + 1, -2, 2**31 - 2, 2**31 - 1]


def wrong_id(rng, limit, padding=True):
    """An id that is outside [0, limit), and not -1 where that is padding."""
    return int(rng.choice([limit, limit + 1, *EXTREMES, *([] if padding else [-1])]))


def wrong_rank(rng, array):
    """The same numbers in another rank."""
    if array.ndim == 1:
        return array[None] if rng.random() < 0.7 or not array.size else array[0]
    return array[None] if rng.random() < 0.5 else array.reshape(-1)


def put_wrong_id(rng, ids, limit):
    """Spoils one id, or makes an array of one wrong id where there is none."""
    ids = ids if ids.size else np.zeros((max(len(ids), 1), 1), np.int32)
    ids[rng.integers(ids.shape[0]), rng.integers(ids.shape[1])] = wrong_id(rng, limit)
    return ids


def malformed_visited_insert(rng, kind):
    """Arguments of `visited_insert`, spoilt in one of six ways."""
    batch_size, num_words, num_ids = rng.integers(0, 4, 3)
    visited = np.zeros((batch_size, num_words), np.uint64)
    ids = rng.integers(-1, 64 * num_words or 1, (batch_size, num_ids), np.int32)
    if not num_words:
        ids[:] = -1
    if kind in (0, 1):
        ids = put_wrong_id(rng, ids, 64 * num_words)
        visited = np.zeros((len(ids), num_words), np.uint64)
    elif kind == 2:
        visited = wrong_rank(rng, visited)
    elif kind == 3:
        ids = wrong_rank(rng, ids)
    elif kind == 4:
        visited = np.zeros((batch_size + 1, num_words), np.uint64)
    else:
        ids = np.zeros((batch_size + 1, num_ids), np.int32)
    return visited, ids


def valid_graph_expand(rng):
    """A frontier that reads at least one list, which is not empty."""
    batch_size, num_items, size = rng.integers([1, 1, 1], [3, 80, 4])
    splits = np.cumsum(rng.integers(1, 4, num_items + 1))
    splits = (splits - splits[0]).astype(rng.choice([np.int32, np.int64]))
    return {
        "visited": np.zeros((batch_size, -(-num_items // 64)), np.uint64),
        "frontier": rng.integers(0, num_items, (batch_size, size), np.int32),
        "values": rng.integers(0, num_items, splits[-1], np.int32),
        "row_splits": splits,
        "bucket_sizes": [[], [4], [2, 8]][rng.integers(3)],
    }


def spoil_frontier(rng, inputs):
    put_wrong_id(rng, inputs["frontier"], len(inputs["row_splits"]) - 1)


def spoil_values(rng, inputs):
    begin, end = inputs["row_splits"][inputs["frontier"][-1, -1] + np.arange(2)]
    wrong = wrong_id(rng, len(inputs["row_splits"]) - 1, padding=False)
    inputs["values"][rng.integers(begin, end)] = wrong


def spoil_list_offsets(rng, inputs):
    """Makes the list that is read fall, begin below 0 or end behind the values."""
    splits, node = inputs["row_splits"], inputs["frontier"][-1, -1]
    limits = np.iinfo(splits.dtype)
    begins = [splits[node + 1] + 1, limits.max, -1, limits.min]
    ends = [splits[node] - 1, len(inputs["values"]) + 1, limits.max, limits.min]
    where, choices = (node, begins) if rng.random() < 0.5 else (node + 1, ends)
    splits[where] = choices[rng.integers(4)]


def spoil_ends(rng, inputs):
    splits = inputs["row_splits"]
    limits = np.iinfo(splits.dtype)
    if rng.random() < 0.5:
        splits[0] = rng.choice([1, -1, limits.min, limits.max])
    else:
        splits[-1] = rng.choice([splits[-1] + 1, 0, -1, limits.min, limits.max])


def spoil_rank(rng, inputs):
    name = rng.choice(["visited", "frontier", "values", "row_splits"])
    inputs[name] = wrong_rank(rng, inputs[name])


def spoil_batch(rng, inputs):
    name = rng.choice(["visited", "frontier"])
    rows = rng.choice([0, len(inputs[name]) + 1])
    shape = (rows, inputs[name].shape[1])
    inputs[name] = np.zeros(shape, inputs[name].dtype)


def spoil_words(rng, inputs):
    inputs["visited"] = inputs["visited"][:, 1:]


def spoil_emptiness(rng, inputs):
    """Takes away all splits, all values, or both, sometimes all users too."""
    kind = rng.integers(3)
    if kind != 0:
        inputs["values"] = np.zeros(0, np.int32)
    if kind != 1:
        inputs["row_splits"] = np.zeros(0, inputs["row_splits"].dtype)
    if rng.random() < 0.5:
        inputs["visited"] = np.zeros((0, 0), np.uint64)
        inputs["frontier"] = np.zeros((0, 0), np.int32)


def spoil_buckets(rng, inputs):
    wrong = [[0], [-1], [4, 4], [8, 2], [-(2**63)], [1, 2, 0]]
    inputs["bucket_sizes"] = wrong[rng.integers(len(wrong))]


SPOILERS = [
    spoil_frontier,
    spoil_values,
    spoil_list_offsets,
    spoil_ends,
    spoil_rank,
    spoil_batch,
    spoil_words,
    spoil_emptiness,
    spoil_buckets,
]


def valid_path_top_k(rng):
    """Triggers that read at least one list, which is not empty."""
    batch_size, num_items, num_triggers, width, num_excluded = rng.integers(
        [1, 1, 1, 1, 1], [3, 30, 4, 20, 3]
    )
    splits = np.cumsum(rng.integers(1, 4, num_items + 1))
    splits = (splits - splits[0]).astype(rng.choice([np.int32, np.int64]))
    return {
        "triggers": rng.integers(0, num_items, (batch_size, num_triggers), np.int32),
        "weights": np.ones((batch_size, num_triggers), np.float32),
        "neighbours": rng.integers(0, num_items, splits[-1], np.int32),
        "similarities": np.ones(splits[-1], np.float32),
        "row_splits": splits,
        "user_vectors": np.ones((batch_size, width), np.float32),
        "item_vectors": np.ones((num_items, width), np.float32),
        "excluded": np.full((batch_size, num_excluded), -1, np.int32),
        "available": np.ones(rng.choice([0, num_items]), bool),
        "k": int(rng.integers(1, 5)),
        "num_paths": int(rng.integers(0, 3)),
    }


def one_read_entry(rng, inputs):
    """An entry of the list of a trigger."""
    trigger = inputs["triggers"][-1, -1]
    return rng.integers(*inputs["row_splits"][trigger : trigger + 2])


def spoil_triggers(rng, inputs):
    put_wrong_id(rng, inputs["triggers"], len(inputs["row_splits"]) - 1)


def spoil_excluded(rng, inputs):
    put_wrong_id(rng, inputs["excluded"], len(inputs["row_splits"]) - 1)


def spoil_neighbours(rng, inputs):
    wrong = wrong_id(rng, len(inputs["row_splits"]) - 1, padding=False)
    inputs["neighbours"][one_read_entry(rng, inputs)] = wrong


def spoil_path_offsets(rng, inputs):
    """Makes the list of the last trigger begin or end where it must not."""
    splits, trigger = inputs["row_splits"], inputs["triggers"][-1, -1]
    limits = np.iinfo(splits.dtype)
    wrong = [-1, len(inputs["neighbours"]) + 1, limits.min, limits.max]
    splits[trigger + rng.integers(2)] = wrong[rng.integers(4)]


def spoil_number(rng, inputs):
    """Puts a NaN or an infinity where it is read."""
    wrong = rng.choice([np.nan, np.inf, -np.inf])
    entry = one_read_entry(rng, inputs)
    name = rng.choice(["weights", "similarities", "user_vectors", "item_vectors"])
    where = {
        "weights": (-1, -1),
        "similarities": entry,
        "user_vectors": (-1, rng.integers(inputs["user_vectors"].shape[1])),
        "item_vectors": (inputs["neighbours"][entry], 0),
    }
    inputs[name][where[name]] = wrong


def spoil_path_rank(rng, inputs):
    name = rng.choice([n for n in inputs if n not in ("k", "num_paths")])
    inputs[name] = wrong_rank(rng, inputs[name])


def spoil_path_size(rng, inputs):
    """Makes one dimension of one input longer or shorter than the others'."""
    name = rng.choice([n for n in inputs if n not in ("k", "num_paths")])
    array = inputs[name]
    # M, E, N, B, D; the number of excluded items is free.
    axis = rng.integers(array.ndim if name != "excluded" else 1)
    if name == "available":
        inputs[name] = np.ones(len(inputs["row_splits"]) + rng.integers(3), bool)
    elif rng.random() < 0.5:
        inputs[name] = np.concatenate([array, np.take(array, [0], axis)], axis)
    else:
        inputs[name] = np.delete(array, -1, axis)


def spoil_k(rng, inputs):
    inputs["k"] = int(rng.choice([0, -1, *EXTREMES[:3]]))


def spoil_num_paths(rng, inputs):
    inputs["num_paths"] = int(rng.choice([-1, -2, -(2**62)]))


PATH_SPOILERS = [
    spoil_triggers,
    spoil_excluded,
    spoil_neighbours,
    spoil_path_offsets,
    spoil_number,
    spoil_ends,
    spoil_path_rank,
    spoil_path_size,
    spoil_k,
    spoil_num_paths,
]


def test_visited_insert():
    rng = np.random.default_rng(1)
    for kind in itertools.islice(itertools.cycle(range(6)), NUM_CASES):
        visited, ids = malformed_visited_insert(rng, kind)
        with pytest.raises(tf.errors.InvalidArgumentError, match="must be"):
            ops.visited_insert(visited, ids)
    _, is_new = ops.visited_insert(np.zeros((1, 1), np.uint64), [[63, 63]])
    assert is_new.numpy().tolist() == [[True, False]]


def test_graph_expand():
    rng = np.random.default_rng(2)
    for spoil in itertools.islice(itertools.cycle(SPOILERS), NUM_CASES):
        inputs = valid_graph_expand(rng)
        spoil(rng, inputs)
        with pytest.raises(tf.errors.InvalidArgumentError, match="must be"):
            ops.graph_expand(**inputs)


def test_path_top_k():
    rng = np.random.default_rng(4)
    for spoil in itertools.islice(itertools.cycle(PATH_SPOILERS), NUM_CASES):
        inputs = valid_path_top_k(rng)
        spoil(rng, inputs)
        with pytest.raises(tf.errors.InvalidArgumentError, match="must be"):
            ops.path_top_k(**inputs)


def test_unspoilt_inputs_are_accepted():
    """Else the tests above would show nothing."""
    rng = np.random.default_rng(3)
    for _ in range(300):
        ids, *_ = ops.path_top_k(**valid_path_top_k(rng))
        assert ids.numpy()[:, 0].min() >= 0
        _, _, counts = ops.graph_expand(**valid_graph_expand(rng))
        assert counts.numpy().min() > 0
