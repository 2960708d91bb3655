"""Cases of PathTopK and eq. 14 in NumPy, path by path."""

import numpy as np
import pytest
import tensorflow as tf

from tfrec import ops

IMPLEMENTATIONS = [ops.path_top_k, ops.path_top_k_reference]
BOTH = pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
WRAPS = pytest.mark.parametrize(
    "wrap", [lambda f: f, tf.function], ids=["eager", "function"]
)
DTYPES = {
    "triggers": np.int32,
    "weights": np.float32,
    "neighbours": np.int32,
    "similarities": np.float32,
    "user_vectors": np.float32,
    "item_vectors": np.float32,
    "excluded": np.int32,
    "available": np.bool_,
}


def softplus(x):
    return np.logaddexp(0.0, np.asarray(x, np.float64))


def known_inputs(**changes):
    """Items 0 to 3 with the lists 0: 1 2, 1: 2 0 3, 2: nothing, 3: 2 1; one user."""
    inputs = {
        "triggers": [[0, 1, -1]],
        "weights": [[1.0, 2.0, 9.0]],
        "neighbours": [1, 2, 2, 0, 3, 2, 1],
        "similarities": [0.5, -1.0, 0.25, 0.0, -3.0, 4.0, 5.0],
        "row_splits": [0, 2, 5, 5, 7],
        "user_vectors": [[1.0, -2.0]],
        "item_vectors": [[0.5, 0.0], [0.0, 0.5], [1.0, 1.0], [3.0, 0.0]],
        "excluded": [[-1]],
        "available": [],
        "k": 5,
    }
    inputs |= changes
    return {
        name: np.array(value, DTYPES[name]) if name in DTYPES else value
        for name, value in inputs.items()
    }


def oracle(
    triggers,
    weights,
    neighbours,
    similarities,
    row_splits,
    user_vectors,
    item_vectors,
    excluded,
    available,
    k,
    num_paths=0,
):
    """A dict of lists of paths a user, in float64."""
    batch_size = len(triggers)
    ids = np.full((batch_size, k), -1)
    scores = np.full((batch_size, k), -np.inf)
    path_triggers = np.full((batch_size, k, num_paths), -1)
    contributions = np.zeros((batch_size, k, num_paths))
    for user in range(batch_size):
        paths = {}
        for trigger, weight in zip(triggers[user], weights[user], strict=True):
            begin, end = (0, 0) if trigger < 0 else row_splits[trigger : trigger + 2]
            for entry in range(begin, end):
                item = neighbours[entry]
                if item in excluded[user] or (len(available) and not available[item]):
                    continue
                path = (-softplus(weight + similarities[entry]), trigger)
                paths.setdefault(item, []).append(path)
        totals = []
        for item, item_paths in paths.items():
            product = np.dot(user_vectors[user].astype(float), item_vectors[item])
            direct = softplus(product) if user_vectors.shape[1] else 0.0
            totals.append((-direct + sum(c for c, _ in item_paths), item))
        for rank, (total, item) in enumerate(sorted(totals)[:k]):
            ids[user, rank], scores[user, rank] = item, -total
            for place, (c, trigger) in enumerate(sorted(paths[item])[:num_paths]):
                path_triggers[user, rank, place] = trigger
                contributions[user, rank, place] = -c
    return ids, scores, path_triggers, contributions


def random_case(rng, batch_size, num_items, num_triggers, max_degree, width, dtype):
    """Triggers with pads and repeats, lists with repeats, items that are left out."""
    degrees = rng.integers(0, max_degree + 1, num_items)
    row_splits = np.concatenate([[0], np.cumsum(degrees)]).astype(dtype)
    num_entries = row_splits[-1]

    def floats(*shape):
        return rng.normal(size=shape).astype(np.float32)

    lowest = -1 if num_items else 0
    size = (batch_size, num_triggers if num_items else 0)
    return {
        "triggers": rng.integers(lowest, max(num_items, 1), size, np.int32),
        "weights": floats(*size),
        "neighbours": rng.integers(0, max(num_items, 1), num_entries, np.int32),
        "similarities": floats(num_entries),
        "row_splits": row_splits,
        "user_vectors": floats(batch_size, width),
        "item_vectors": floats(num_items, width),
        "excluded": rng.integers(-1, max(num_items, 1), (batch_size, 3), np.int32)
        if num_items
        else np.full((batch_size, 3), -1, np.int32),
        "available": rng.random(num_items) < 0.8
        if rng.random() < 0.7
        else np.zeros(0, bool),
    }


def check(outputs, expected):
    """Compares ids and path triggers exactly, numbers within 1e-5."""
    dtypes = [np.int32, np.float32, np.int32, np.float32]
    assert [t.dtype.as_numpy_dtype for t in outputs] == dtypes
    np.testing.assert_array_equal(outputs[0], expected[0])
    np.testing.assert_allclose(outputs[1], expected[1], rtol=1e-5)
    np.testing.assert_array_equal(outputs[2], expected[2])
    np.testing.assert_allclose(outputs[3], expected[3], rtol=1e-5)
