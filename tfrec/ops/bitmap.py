"""Bitmaps of visited items, one row a user: bit i % 64 of word i // 64 is item i."""

from __future__ import annotations

import tensorflow as tf

BITS_PER_WORD = 64


def empty_bitmap(batch_size: int | tf.Tensor, num_items: int | tf.Tensor) -> tf.Tensor:
    """Returns the bitmap of users who have seen nothing.

    Args:
        batch_size: B, an int or an integer scalar.
        num_items: N, an int or an integer scalar.
    Returns: uint64 zeros `(B, W)`, W = ceil(N / 64).
    Raises:
        ValueError: a size is a negative int.
        InvalidArgumentError: a size is a negative tensor.
    """
    for name, size in (("batch_size", batch_size), ("num_items", num_items)):
        if isinstance(size, int) and size < 0:
            raise ValueError(f"`{name}` must be at least 0. Received: {size}")
    num_words = (num_items + BITS_PER_WORD - 1) // BITS_PER_WORD
    return tf.zeros([batch_size, num_words], tf.uint64)
