"""Bitmaps of visited items, one row a user: bit i % 64 of word i // 64 is item i."""

from __future__ import annotations

import tensorflow as tf

BITS_PER_WORD = 64
PADDING_ID = -1


def empty_bitmap(batch_size: int | tf.Tensor, num_items: int | tf.Tensor) -> tf.Tensor:
    """Returns the bitmap of users who have seen nothing.

    Args:
        batch_size: B, an int or an integer scalar.
        num_items: N, an int or an integer scalar.
    Returns: uint64 zeros `(B, W)`, W = ceil(N / 64).
    Raises: ValueError for a negative int, InvalidArgumentError for a negative tensor.
    """
    for name, size in (("batch_size", batch_size), ("num_items", num_items)):
        if isinstance(size, int) and size < 0:
            raise ValueError(f"`{name}` must be at least 0. Received: {size}")
    num_words = (num_items + BITS_PER_WORD - 1) // BITS_PER_WORD
    return tf.zeros([batch_size, num_words], tf.uint64)


def mark(
    visited: tf.Tensor, users: tf.Tensor, ids: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Marks pairs of a user and an id, in pure TensorFlow: the core of the twins.

    Args:
        visited: uint64 `(B, W)`.
        users: int64 `(M,)`, in `[0, B)`.
        ids: int32 `(M,)`, in `[0, 64 * W)`; the caller has checked them.
    Returns: `(visited, is_new)`: uint64 `(B, W)`; bool `(M,)`, True where the pair was
        not marked in `visited` and does not occur earlier in the list.
    """
    shape = tf.shape(visited, tf.int64)
    words = tf.reshape(visited, [-1])
    keys = users * shape[1] * BITS_PER_WORD + tf.cast(ids, tf.int64)
    word_index = keys // BITS_PER_WORD
    bits = tf.bitwise.left_shift(
        tf.constant(1, tf.uint64), tf.cast(keys % BITS_PER_WORD, tf.uint64)
    )
    old_bits = tf.bitwise.bitwise_and(tf.gather(words, word_index), bits)

    distinct, key_index = tf.unique(keys)
    position = tf.range(tf.size(keys))
    first = tf.math.unsorted_segment_min(position, key_index, tf.size(distinct))
    is_first = tf.gather(first, key_index) == position
    is_new = tf.logical_and(is_first, old_bits == 0)

    # Each new bit occurs once and is not in its word, so that adding is or-ing.
    new_bits = tf.where(is_new, bits, tf.zeros_like(bits))
    added = tf.math.unsorted_segment_sum(new_bits, word_index, tf.size(words))
    return tf.reshape(words + added, shape), is_new


def check_rank(name: str, tensor: tf.Tensor, rank: int) -> None:
    """Checks a twin's input; ValueError if it has another rank."""
    if tensor.shape.rank != rank:
        raise ValueError(
            f"`{name}` must be rank {rank}. Received: {name}.shape={tensor.shape}"
        )


def check_same_batch(
    name: str, tensor: tf.Tensor, visited: tf.Tensor
) -> list[tf.Operation]:
    """Returns the check that `tensor` has as many rows as `visited`."""
    message = f"`{name}` must be of the batch size of `visited`"
    rows = [tf.shape(tensor)[0], tf.shape(visited)[0]]
    return [tf.debugging.assert_equal(*rows, message=message)]


def check_range(
    name: str, ids: tf.Tensor, lowest: int, limit: tf.Tensor
) -> list[tf.Operation]:
    """Returns the checks that ids are in `[lowest, limit)`."""
    message = f"`{name}` must be at least {lowest} and below the number of items"
    return [
        tf.debugging.assert_greater_equal(ids, lowest, message=message),
        tf.debugging.assert_less(tf.cast(ids, tf.int64), limit, message=message),
    ]
