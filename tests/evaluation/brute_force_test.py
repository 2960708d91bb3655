"""`BruteForce` against sorting in plain Python."""

import numpy as np
import pytest
import tensorflow as tf

from tfrec.evaluation.brute_force import BruteForce

NUM_ITEMS, WIDTH, NUM_USERS = 23, 3, 5


class InnerProduct:
    """A scorer that is no model of ours; its features are the user's vector."""

    def user_state(self, features):
        return {"user": features["vector"]}

    def score(self, state, vectors):
        return tf.einsum("bd,cd->bc", state["user"], vectors)


def _data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Small integers, so that many scores are equal and all are exact."""
    rng = np.random.default_rng(seed)
    users, items = (
        rng.integers(-2, 3, (num, WIDTH)).astype("float32")
        for num in (NUM_USERS, NUM_ITEMS)
    )
    return users, items


def _expected(users, items, k, available=None, seen=None):
    """The k best positions of each user, by falling score and rising position."""
    lists = []
    for row, user in enumerate(users):
        left_out = set() if seen is None else set(seen[row])
        scored = [
            (-float(user @ item), position)
            for position, item in enumerate(items)
            if position not in left_out and (available is None or available[position])
        ]
        best = sorted(scored)[:k]
        best += [(np.inf, -1)] * (k - len(best))
        lists.append(best)
    positions = np.array([[position for _, position in best] for best in lists])
    return positions, np.array([[-score for score, _ in best] for best in lists])


def _check(found, expected) -> None:
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])


def _brute_force(items, k, block_size=8, jit_compile=False) -> BruteForce:
    return BruteForce(InnerProduct(), items, k, block_size, jit_compile)


@pytest.mark.parametrize(
    ("k", "block_size"), [(1, 8), (6, 8), (6, 4), (10, 1024), (3, 1), (40, 8)]
)
def test_top_k_with_ties_by_position_and_a_last_block_that_is_padded(k, block_size):
    users, items = _data()
    expected = _expected(users, items, k)
    if 1 < k < NUM_ITEMS:
        assert any(len(set(row)) < k for row in expected[1].tolist()), "no ties"
    brute_force = _brute_force(items, k, block_size)
    _check(brute_force.top_k({"vector": users}), expected)


def test_all_scores_negative_is_no_place_for_the_padding_s_zero():
    users, items = np.ones((1, WIDTH), "float32"), -1 - np.abs(_data()[1])
    brute_force = _brute_force(items, NUM_ITEMS)
    found = brute_force.top_k({"vector": users})
    _check(found, _expected(users, items, NUM_ITEMS))


def test_availability_and_seen_items_are_left_out():
    users, items = _data()
    rng = np.random.default_rng(1)
    available = rng.random(NUM_ITEMS) < 0.6
    seen = rng.integers(-1, NUM_ITEMS, (NUM_USERS, 7)).astype("int32")
    brute_force = _brute_force(items, 20)
    for chosen in ((available, None), (None, seen), (available, seen)):
        expected = _expected(users, items, 20, *chosen)
        assert (expected[0] == -1).any() or chosen[0] is None
        _check(brute_force.top_k({"vector": users}, *chosen), expected)


def test_nothing_available_gives_padding_alone():
    users, items = _data()
    brute_force = _brute_force(items, 2)
    found = brute_force.top_k({"vector": users}, np.zeros(NUM_ITEMS, bool))
    np.testing.assert_array_equal(found[0], np.full((NUM_USERS, 2), -1))
    np.testing.assert_array_equal(found[1], np.full((NUM_USERS, 2), -np.inf))


def test_compiled_scores_give_the_same_lists():
    users, items = _data()
    brute_force = _brute_force(items, 6, jit_compile=True)
    _check(brute_force.top_k({"vector": users}), _expected(users, items, 6))


def test_assign_replaces_the_vectors():
    users, items = _data()
    brute_force = _brute_force(items, 6)
    brute_force.top_k({"vector": users})
    other = _data(seed=7)[1]
    brute_force.assign(other)
    _check(brute_force.top_k({"vector": users}), _expected(users, other, 6))


def test_run_goes_over_batches_and_leaves_the_history_out():
    users, items = _data()
    rng = np.random.default_rng(2)
    history = rng.integers(0, NUM_ITEMS + 1, (NUM_USERS, 4)).astype("int32")
    features = {"vector": users, "history": {"item": history}}
    batches = tf.data.Dataset.from_tensor_slices(features).batch(2)
    available = np.arange(NUM_ITEMS) != 3
    brute_force = _brute_force(items, 20)
    found = brute_force.run(batches, True, available)
    expected = _expected(users, items, 20, available, history - 1)
    _check((found.positions, found.scores), expected)
    everything = brute_force.run(list(batches))
    _check((everything.positions, everything.scores), _expected(users, items, 20))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "`k` and `block_size` must be at least 1. Received: k=0"),
        ({"block_size": 0}, "Received: k=1, block_size=0"),
        ({"items": np.zeros(3)}, "`item_vectors` must be rank 2 `\\(N, D\\)`"),
    ],
)
def test_value_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        _brute_force(**{"items": np.zeros((4, 2)), "k": 1, **arguments})
