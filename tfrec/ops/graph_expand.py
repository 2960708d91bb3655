"""GraphExpand: the neighbours of a frontier that were not visited yet."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from tfrec.ops import _library

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
    with `visited_insert`. The bitmap is updated in place inside a `tf.function` when
    nothing else reads it, and copied otherwise; the tensor that was passed never changes.
    Only the lists of the frontier's nodes are read, and only they are checked. The op has
    no gradient.

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
    Returns: `(visited, fresh, counts)`: uint64 `(B, W)`; int32 `(B, C)`, the new nodes of
        each user, then -1; int32 `(B,)`, the number of new nodes.
    Raises: InvalidArgumentError: an id is outside `[0, N)`, `row_splits` does not begin
        with 0, end with E or ascend where it is read, W is too small, a rank is wrong, the
        batch sizes differ, or `bucket_sizes` does not ascend (ValueError while a graph is
        traced).
    Source: Chen et al. 2022, section 4.1, Algorithm 1.
    """
    return tuple(
        _library.load_library().tfrec_graph_expand(
            visited=visited,
            frontier=frontier,
            values=values,
            row_splits=row_splits,
            bucket_sizes=list(bucket_sizes),
            name=name,
        )
    )
