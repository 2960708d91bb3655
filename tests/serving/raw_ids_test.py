"""The lookup of raw ids against a dict, the cut of histories against slices."""

import numpy as np
import pytest
import tensorflow as tf

from tfrec.serving.raw_ids import MISSING_ID, RawIds, latest


@pytest.mark.parametrize("num_items", [1, 2, 63, 500])
def test_positions_and_back(num_items):
    rng = np.random.default_rng(num_items)
    limits = np.iinfo(np.int64)
    item_ids = rng.choice(10 * num_items, num_items, replace=False) - 2 * num_items
    item_ids = item_ids[item_ids != MISSING_ID]
    item_ids = np.r_[item_ids, limits.min, limits.max, 0][: len(item_ids) + 2]
    place = {raw: position for position, raw in enumerate(item_ids.tolist())}
    asked = rng.integers(-3 * num_items, 9 * num_items, size=[7, 40])
    asked[0, :2] = limits.max, limits.min
    asked[1] = rng.choice(item_ids, 40)
    raw_ids = RawIds(item_ids)
    found = tf.function(raw_ids.positions)(tf.constant(asked))
    expected = [[place.get(raw, -1) for raw in row] for row in asked.tolist()]
    np.testing.assert_array_equal(found, expected)
    known = np.isin(asked, item_ids)
    np.testing.assert_array_equal(raw_ids.of(found), np.where(known, asked, MISSING_ID))


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 4)])
def test_nothing_asked(shape):
    found = RawIds(np.array([5, 3])).positions(tf.zeros(shape, tf.int64))
    assert (found.shape, found.dtype) == (shape, tf.int32)


@pytest.mark.parametrize("width", [0, 1, 3, 4, 9])
@pytest.mark.parametrize("length", [1, 4])
def test_latest(width, length):
    rng = np.random.default_rng(width)
    positions = rng.integers(-1, 3, size=[50, width]).astype("int32")
    expected = np.full([50, length], -1)
    for row, given in zip(expected, positions, strict=True):
        real = given[given >= 0][-length:]
        row[: len(real)] = real
    found = latest(tf.constant(positions), length)
    np.testing.assert_array_equal(found, expected)
