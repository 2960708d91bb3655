"""The grid of sizes to which dynamic dimensions are padded.

Source: Chen et al. 2022, section 4.2.
"""

import itertools
import operator
from collections.abc import Sequence
from typing import Any

import tensorflow as tf


def bucket_grid(
    smallest: int, largest: int, step: float = 1.1, multiple: int = 8
) -> tuple[int, ...]:
    """Returns growing sizes from `smallest` to `largest`.

    Args:
        smallest: the first size, rounded up to `multiple`.
        largest: the last size, rounded up to `multiple`.
        step: the largest ratio of neighbouring sizes, where `multiple` allows it:
            sizes below `multiple / (step - 1)` grow by `multiple`.
        multiple: every size is a multiple of this, for the vector unit.
    Raises: ValueError: sizes that are not ordered or positive, or a step of at most 1.
    """
    if multiple < 1:
        raise ValueError(f"`multiple` must be positive. Received: {multiple}")
    if not 0 < smallest <= largest:
        raise ValueError(
            "`smallest` and `largest` must satisfy 0 < smallest <= largest. "
            f"Received: smallest={smallest}, largest={largest}"
        )
    if not step > 1:
        raise ValueError(f"`step` must be above 1. Received: {step}")
    size = -(-smallest // multiple) * multiple
    last = -(-largest // multiple) * multiple
    sizes = [size]
    while size < last:
        grown = int(size * step) // multiple * multiple
        size = min(last, max(size + multiple, grown))
        sizes.append(size)
    return tuple(sizes)


def next_bucket(size: int | tf.Tensor, bucket_sizes: Sequence[int]) -> Any:
    """Returns the smallest size of the grid that is at least `size`.

    Above the grid it is the next multiple of the largest size. An int gives an int,
    an int32 scalar tensor gives an int32 scalar tensor.
    """
    largest = bucket_sizes[-1]
    above = -(-size // largest) * largest
    if isinstance(size, int):
        return next((b for b in bucket_sizes if b >= size), above)
    grid = tf.constant([*bucket_sizes, 0], tf.int32)
    position = tf.searchsorted(grid[:-1], size[tf.newaxis])[0]
    return tf.where(size > largest, above, grid[position])


def check_bucket_sizes(bucket_sizes: Sequence[int]) -> tuple[int, ...]:
    """Returns the sizes as a tuple of ints; ValueError if they do not grow."""
    sizes = tuple(operator.index(size) for size in bucket_sizes)
    growing = all(a < b for a, b in itertools.pairwise((0, *sizes)))
    if not sizes or not growing:
        raise ValueError(
            "`bucket_sizes` must be one or more positive, strictly growing ints. "
            f"Received: {bucket_sizes}"
        )
    return sizes
