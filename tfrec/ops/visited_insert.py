"""VisitedInsert: test-and-set of ids in a bitmap a user."""

from __future__ import annotations

import tensorflow as tf

from tfrec.ops import _library, bitmap

tf.no_gradient("Tfrec>VisitedInsert")


def visited_insert(
    visited: tf.Tensor, ids: tf.Tensor, name: str | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Keeps the first sighting of each id and marks it visited.

    The tensor that was passed never changes: the op updates the bitmap in place when
    nothing else holds its buffer, as along a walk in a `tf.function`, and copies it
    otherwise. It has no gradient.

    Args:
        visited: uint64 `(B, W)`, W = ceil(N / 64). Bit i of row b: item i was seen.
        ids: int32 `(B, F)`, in `[0, 64 * W)`; -1 is padding.
        name: name of the op in a graph.
    Returns: `(visited, is_new)`: uint64 `(B, W)`, bool `(B, F)`. Padding is not new.
    Raises: InvalidArgumentError: an id is outside `[0, 64 * W)`, an input is not rank
        2, or the batch sizes differ (ValueError while a graph is traced).
    Source: Chen et al. 2022, section 4.1.
    """
    visited, is_new = _library.load_library().tfrec_visited_insert(
        visited=visited, ids=ids, name=name
    )
    return visited, is_new


def visited_insert_reference(
    visited: tf.Tensor, ids: tf.Tensor, name: str | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Does what `visited_insert` does, in pure TensorFlow, for a stock model server.

    Args, returns: as `visited_insert`.
    Raises: InvalidArgumentError: an id is outside `[0, 64 * W)` or the batch sizes
        differ. ValueError: an input is not rank 2.
    """
    with tf.name_scope(name or "visited_insert_reference"):
        visited = tf.convert_to_tensor(visited, tf.uint64)
        ids = tf.convert_to_tensor(ids, tf.int32)
        bitmap.check_rank("visited", visited, 2)
        bitmap.check_rank("ids", ids, 2)
        limit = tf.shape(visited, tf.int64)[1] * bitmap.BITS_PER_WORD
        checks = [
            *bitmap.check_same_batch("ids", ids, visited),
            *bitmap.check_range("ids", ids, -1, limit),
        ]
        with tf.control_dependencies(checks):
            positions = tf.where(ids >= 0)
        real_ids = tf.gather_nd(ids, positions)
        updated, is_new = bitmap.mark(visited, positions[:, 0], real_ids)
        is_new_bf = tf.scatter_nd(positions, is_new, tf.shape(ids, tf.int64))
        updated.set_shape(visited.shape)
        is_new_bf.set_shape(ids.shape)
        return updated, is_new_bf
