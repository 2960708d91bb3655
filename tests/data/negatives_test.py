"""Negatives: the positive first, met items without weight, the same from a seed."""

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
