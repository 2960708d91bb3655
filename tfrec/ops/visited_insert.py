"""VisitedInsert: test-and-set of ids in a bitmap a user."""

from __future__ import annotations

import tensorflow as tf

from tfrec.ops import _library
from tfrec.ops.bitmap import BITS_PER_WORD

tf.no_gradient("Tfrec>VisitedInsert")


def visited_insert(
    visited: tf.Tensor, ids: tf.Tensor, name: str | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Keeps the first sighting of each id and marks it visited.

    The bitmap is updated in place inside a `tf.function` when nothing else reads it, and
    copied otherwise; the tensor that was passed never changes. The op has no gradient.

    Args:
        visited: uint64 `(B, W)`, W = ceil(N / 64). Bit i of row b: item i was seen.
        ids: int32 `(B, F)`, in `[0, 64 * W)`; -1 is padding.
        name: name of the op in a graph.
    Returns: `(visited, is_new)`: uint64 `(B, W)`, bool `(B, F)`. Padding is not new.
    Raises: InvalidArgumentError: an id is outside `[0, 64 * W)`, an input is not rank 2,
        or the batch sizes differ (ValueError while a graph is traced).
    Source: Chen et al. 2022, section 4.1.
    """
    return tuple(
        _library.load_library().tfrec_visited_insert(
            visited=visited, ids=ids, name=name
        )
    )
