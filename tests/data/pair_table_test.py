"""PairTable against a dictionary."""

import numpy as np
import pytest
import tensorflow as tf

from tfrec.data.errors import DataError
from tfrec.data.pair_table import PairTable


@pytest.mark.parametrize(
    ("num_pairs", "num_rows", "num_columns"),
    [(0, 1, 1), (1, 1, 1), (50, 7, 9), (5_000, 300, 40), (3_000, 90_000, 70_000)],
)
def test_finds_what_is_there_and_nothing_else(num_pairs, num_rows, num_columns):
    rng = np.random.default_rng(num_pairs)
    keys = rng.choice(num_rows * num_columns, num_pairs, replace=False)
    rows, columns = np.divmod(keys, num_columns)
    table = PairTable(rows, columns, num_columns)
    number = {
        (rows[pair], columns[pair]): place + 1 for place, pair in enumerate(table.order)
    }
    asked_rows = np.append(rows, rng.integers(0, num_rows, 500)).astype(np.int32)
    asked_columns = np.append(columns, rng.integers(0, num_columns, 500))
    asked_columns = asked_columns.astype(np.int32)
    found = table.find(tf.constant(asked_rows), tf.constant(asked_columns))
    expected = [number.get(p, 0) for p in zip(asked_rows, asked_columns, strict=True)]
    np.testing.assert_array_equal(found, expected)
    assert sorted(number.values()) == list(range(1, num_pairs + 1))


def test_broadcasts():
    table = PairTable([1, 2], [2, 0], 3)
    rows, columns = tf.constant([[0], [1], [2]]), tf.constant([[0, 1, 2]])
    found = table.find(rows, columns).numpy()
    assert found.shape == (3, 3)
    assert np.argwhere(found > 0).tolist() == [[1, 2], [2, 0]]


def test_saved_with_a_model(tmp_path):
    module = tf.Module()
    module.table = PairTable([3, 5], [1, 2], 10)
    spec = tf.TensorSpec([None], tf.int32)
    module.find = tf.function(module.table.find, input_signature=[spec, spec])
    expected = module.find(tf.constant([3, 5, 5]), tf.constant([1, 2, 1])).numpy()
    tf.saved_model.save(module, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    found = loaded.find(tf.constant([3, 5, 5]), tf.constant([1, 2, 1])).numpy()
    assert found.tolist() == expected.tolist()
    assert (found > 0).tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([1, 1], [2, 2], "no pair twice"),
        ([-1], [0], "must be >= 0"),
        ([0], [3], r"in \[0, 3\)"),
    ],
)
def test_refuses(rows, columns, message):
    with pytest.raises(DataError, match=message):
        PairTable(rows, columns, 3)
