"""Negatives: the positive first, met items without weight, the same from a seed."""

import types

import numpy as np
import pytest
import tensorflow as tf

from tfrec.data import samplers, split_parts
from tfrec.data.negatives import Negatives

NUM_ITEMS = 20


def make(dataset, num_negatives=50):
    train = split_parts.make_targets(
        dataset, np.arange(dataset.interactions.num_rows), ordered=True
    )
    features = {"category": np.arange(NUM_ITEMS + 1, dtype=np.int32) * 3}
    sampler = samplers.UnigramSampler(np.ones(NUM_ITEMS + 1), 0.0)
    return Negatives(sampler, features, train, num_negatives)


@pytest.fixture
def dataset(write):
    users = np.array([1, 1, 1, 2, 2], np.int32)
    items = np.array([4, 5, NUM_ITEMS, 1, 4], np.int32)
    return write({"user": users, "item": items, "timestamp": np.arange(5)})


BATCH = {
    "user": {"user": tf.constant([1, 2])},
    "candidates": {
        "item": tf.constant([[5], [1]]),
        "category": tf.constant([[15], [3]]),
    },
}


def test_candidates(dataset):
    negatives = make(dataset)
    seed = tf.constant([1, 2], tf.int64)
    items, labels, weights = negatives.candidates(BATCH, seed)
    ids = items["item"].numpy()
    assert ids.shape == (2, 51)
    assert ids[:, 0].tolist() == [5, 1]
    assert labels.numpy().tolist() == [[1.0] + [0.0] * 50] * 2
    np.testing.assert_array_equal(items["category"], ids * 3)
    met = [{4, 5, NUM_ITEMS}, {1, 4}]
    for row, user in enumerate(met):
        for column in range(1, 51):
            expected = 0.0 if ids[row, column] in user else 1.0
            assert weights[row, column] == expected
    assert weights[:, 0].numpy().tolist() == [1.0, 1.0]
    again = negatives.candidates(BATCH, seed)[0]["item"].numpy()
    other = negatives.candidates(BATCH, seed + 1)[0]["item"].numpy()
    assert (again == ids).all()
    assert (other != ids).any()
    assert 1 <= ids.min() <= ids.max() <= NUM_ITEMS


def test_draw_has_all_fields(dataset):
    drawn = make(dataset).draw([3, 4, 5], tf.constant([0, 0], tf.int64))
    assert drawn["item"].shape == (3, 4, 5)
    np.testing.assert_array_equal(drawn["category"], drawn["item"].numpy() * 3)


@pytest.mark.parametrize("num_replicas", [2, 4])
def test_replicas_draw_what_one_process_draws(dataset, monkeypatch, num_replicas):
    """Each replica takes its rows of the draw for the global batch."""
    negatives, seed = make(dataset, num_negatives=6), tf.constant([3, 4], tf.int64)
    batch = tf.nest.map_structure(lambda t: tf.repeat(t, 2, axis=0), BATCH)
    expected = negatives.candidates(batch, seed)
    size = 4 // num_replicas
    parts = []
    for replica in range(num_replicas):
        context = types.SimpleNamespace(
            num_replicas_in_sync=num_replicas,
            replica_id_in_sync_group=tf.constant(replica),
        )
        monkeypatch.setattr(tf.distribute, "get_replica_context", lambda c=context: c)
        begin = replica * size
        share = tf.nest.map_structure(lambda t, b=begin: t[b : b + size], batch)
        parts.append(negatives.candidates(share, seed))
    joined = tf.nest.map_structure(lambda *rows: tf.concat(rows, 0), *parts)
    tf.nest.map_structure(np.testing.assert_array_equal, joined, expected)
    assert len({tuple(row) for row in expected[0]["item"].numpy()[:, 1:]}) == 4
