"""GraphExpand: the neighbours of a frontier that were not visited yet."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfrec.ops import _library, bitmap
from tfrec.ops.bucket_grid import check_bucket_sizes, next_bucket

tf.no_gradient("Tfrec>GraphExpand")


def graph_expand(
    visited: tf.Tensor,
    frontier: tf.Tensor,
    values: tf.Tensor,
    row_splits: tf.Tensor,
    bucket_sizes: Sequence[int] = (),
    name: str | None = None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Collects the neighbours of a frontier that were not visited, and marks them.

    They come in the order of the frontier, then of the adjacency list; the first
    occurrence of a node wins. The frontier itself is not marked: mark the enter points
    with `visited_insert`. The tensors that were passed never change: the op updates the
    bitmap in place when nothing else holds its buffer, as along a walk in a
    `tf.function`, and copies it otherwise. Only the lists of the frontier's nodes are
    read, and only they are checked. The op has no gradient.

    Args:
        visited: uint64 `(B, W)`, W >= ceil(N / 64). Bit i of row b: node i was seen.
        frontier: int32 `(B, F)`, in `[0, N)`; -1 is padding.
        values: int32 `(E,)`, in `[0, N)`, the adjacency lists one after the other.
        row_splits: int32 or int64 `(N + 1,)`; the list of node i is
            `values[row_splits[i]:row_splits[i + 1]]`.
        bucket_sizes: positive and ascending. C is the first size that holds the longest
            row, above the largest size the next multiple of it; without sizes C is the
            longest row.
        name: name of the op in a graph.
    Returns: `(visited, fresh, counts)`: uint64 `(B, W)`; int32 `(B, C)`, the new nodes
        of each user, then -1; int32 `(B,)`, the number of new nodes.
    Raises: InvalidArgumentError: an id is outside `[0, N)`, `row_splits` does not begin
        with 0, end with E or ascend where it is read, W is too small, a rank is wrong,
        the batch sizes differ, or `bucket_sizes` does not ascend (ValueError while a
        graph is traced).
    Source: Chen et al. 2022, Algorithm 2 and section 4.1.
    """
    visited, fresh, counts = _library.load_library().tfrec_graph_expand(
        visited=visited,
        frontier=frontier,
        values=values,
        row_splits=row_splits,
        bucket_sizes=list(bucket_sizes),
        name=name,
    )
    return visited, fresh, counts


def graph_expand_reference(
    visited: tf.Tensor,
    frontier: tf.Tensor,
    values: tf.Tensor,
    row_splits: tf.Tensor,
    bucket_sizes: Sequence[int] = (),
    name: str | None = None,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Does what `graph_expand` does, in pure TensorFlow, for a stock model server.

    Args, returns: as `graph_expand`.
    Raises: InvalidArgumentError: as `graph_expand`. ValueError: a rank is wrong, or
        `bucket_sizes` does not ascend.
    """
    with tf.name_scope(name or "graph_expand_reference"):
        visited = tf.convert_to_tensor(visited, tf.uint64)
        frontier = tf.convert_to_tensor(frontier, tf.int32)
        values = tf.convert_to_tensor(values, tf.int32)
        row_splits = tf.convert_to_tensor(row_splits)
        with tf.control_dependencies(
            _check_inputs(visited, frontier, values, row_splits)
        ):
            positions = tf.where(frontier >= 0)
        users, neighbours = _neighbours(frontier, positions, values, row_splits)
        updated, is_new = bitmap.mark(visited, users, neighbours)
        counts = tf.math.unsorted_segment_sum(
            tf.cast(is_new, tf.int32), users, tf.shape(visited)[0]
        )
        fresh = _pad(tf.boolean_mask(neighbours, is_new), counts, bucket_sizes)
        updated.set_shape(visited.shape)
        counts.set_shape(visited.shape[:1])
        fresh.set_shape([visited.shape[0], None])
        return updated, fresh, counts


def _check_inputs(
    visited: tf.Tensor, frontier: tf.Tensor, values: tf.Tensor, row_splits: tf.Tensor
) -> list[tf.Operation]:
    """Returns the twin's checks of everything but the lists it reads."""
    bitmap.check_rank("visited", visited, 2)
    bitmap.check_rank("frontier", frontier, 2)
    bitmap.check_rank("values", values, 1)
    bitmap.check_rank("row_splits", row_splits, 1)
    num_items = tf.size(row_splits, tf.int64) - 1
    num_bits = tf.shape(visited, tf.int64)[1] * bitmap.BITS_PER_WORD
    some = tf.debugging.assert_non_negative(
        num_items, "`row_splits` must be of at least 1 element"
    )
    with tf.control_dependencies([some]):
        ends = tf.cast(tf.stack([row_splits[0], row_splits[-1]]), tf.int64)
    return [
        *bitmap.check_same_batch("frontier", frontier, visited),
        *bitmap.check_range("frontier", frontier, -1, num_items),
        tf.debugging.assert_less_equal(
            num_items, num_bits, "`visited` must be of at least ceil(N / 64) words"
        ),
        tf.debugging.assert_equal(
            ends,
            tf.stack([0, tf.size(values, tf.int64)]),
            "`row_splits` must be 0 at first, the number of values at last",
        ),
    ]


def _neighbours(
    frontier: tf.Tensor, positions: tf.Tensor, values: tf.Tensor, row_splits: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the user and the id of each neighbour, `(M,)`, in frontier order."""
    nodes = tf.gather_nd(frontier, positions)
    begin = tf.gather(row_splits, nodes)
    end = tf.gather(row_splits, nodes + 1)
    message = "`row_splits` must be ascending and in [0, E]"
    limit = tf.size(values, row_splits.dtype)
    with tf.control_dependencies(
        [
            tf.debugging.assert_non_negative(begin, message),
            tf.debugging.assert_less_equal(begin, end, message),
            tf.debugging.assert_less_equal(end, limit, message),
        ]
    ):
        begin = tf.identity(begin)
    users = tf.repeat(positions[:, 0], end - begin)
    edges = tf.ragged.range(begin, end).flat_values
    neighbours = tf.gather(values, edges)
    num_items = tf.size(row_splits, tf.int64) - 1
    checks = bitmap.check_range("values", neighbours, 0, num_items)
    with tf.control_dependencies(checks):
        return users, tf.identity(neighbours)


def _pad(fresh: tf.Tensor, counts: tf.Tensor, bucket_sizes: Sequence[int]) -> tf.Tensor:
    """Returns the users' new nodes, one list after the other, as `(B, C)`."""
    rows = tf.RaggedTensor.from_row_lengths(fresh, counts, validate=False)
    longest = tf.reduce_max(tf.concat([counts, [0]], axis=0))
    width = longest
    if bucket_sizes:
        sizes = check_bucket_sizes(bucket_sizes)
        width = next_bucket(longest, sizes)
    fresh_bc = rows.to_tensor(bitmap.PADDING_ID)
    pads = [[0, 0], [0, width - tf.shape(fresh_bc)[1]]]
    return tf.pad(fresh_bc, pads, constant_values=bitmap.PADDING_ID)
