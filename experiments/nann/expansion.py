"""One expansion of the walk: the op, its twin, and TensorFlow's set ops.

The paper's table 1 compares a bitmap op with "raw" set ops. Its raw row is not public;
ours is the union of neighbour lists by `tf.unique` and the visited set by `tf.sets`.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from experiments import timing
from tfrec.ops import (
    empty_bitmap,
    graph_expand,
    graph_expand_reference,
    visited_insert,
)

_LOCAL_WINDOW = 4096
_EXPANSIONS_A_CALL = 8


@dataclasses.dataclass(frozen=True)
class Expansion:
    """What one expansion costs, for one degree.

    Attributes:
        degree: neighbours a node.
        frontier: F, nodes that are expanded.
        num_fresh: median number of neighbours that were new.
        milliseconds: median by implementation: `op`, `twin`, `sets`; and `op_halves`,
            the op with the frontier dealt to two users: the most that a second thread
            within one user could gain.
        cpu_milliseconds: the same of the work of all threads.
    """

    degree: int
    frontier: int
    num_fresh: int
    milliseconds: dict[str, float]
    cpu_milliseconds: dict[str, float]

    @property
    def speedup_over_sets(self) -> float:
        """How many times faster the op is than tf.unique and tf.sets."""
        return self.milliseconds["sets"] / self.milliseconds["op"]


def random_adjacency(
    num_items: int, degree: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a graph of a fixed degree as `(values, row_splits)`, both int32.

    Half of the neighbours are near in position, half anywhere, as in a small world.
    They are not distinct: like real lists, some overlap.
    """
    random = np.random.default_rng(seed)
    nodes = np.arange(num_items, dtype=np.int32)[:, np.newaxis]
    near = random.integers(1, _LOCAL_WINDOW, (num_items, degree // 2), np.int32)
    values = random.integers(0, num_items, (num_items, degree), np.int32)
    values[:, : degree // 2] = (nodes + near) % num_items
    row_splits = np.arange(num_items + 1, dtype=np.int64) * degree
    return values.reshape(-1), row_splits.astype(np.int32)


def expand_by_sets(
    visited: tf.Tensor, frontier: tf.Tensor, values: tf.Tensor, row_splits: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The expansion by `tf.unique` and `tf.sets`, for one user.

    Args:
        visited: int32 `(V,)`, ids that were seen.
        frontier: int32 `(F,)`.
        values: int32 `(E,)`, the adjacency lists.
        row_splits: int32 `(N + 1,)`.
    Returns: `(visited, fresh)`: int32, the ids seen now and the new ones, ascending.
    """
    lists = tf.RaggedTensor.from_row_splits(values, row_splits, validate=False)
    neighbours = tf.unique(tf.gather(lists, frontier).values).y[tf.newaxis]
    fresh = tf.sets.difference(neighbours, visited[tf.newaxis])
    visited = tf.sets.union(visited[tf.newaxis], neighbours)
    return visited.values, fresh.values


def _one_after_the_other(
    expand: Callable[..., tuple[tf.Tensor, ...]],
) -> Callable[..., list[tuple[tf.Tensor, ...]]]:
    """A graph of several independent expansions that run in order.

    Calling a graph costs some tenths of a millisecond, as much as an expansion: a walk
    pays it once, so several expansions share it here.
    """

    @tf.function
    def run(
        visited: tf.Tensor,
        frontiers: tf.Tensor,
        values: tf.Tensor,
        row_splits: tf.Tensor,
    ) -> list[tuple[tf.Tensor, ...]]:
        results: list[tuple[tf.Tensor, ...]] = []
        for index in range(frontiers.shape[0]):
            with tf.control_dependencies(results[-1] if results else []):
                seen, frontier = visited[index], frontiers[index]
                seen, frontier = tf.identity(seen), tf.identity(frontier)
                results.append(tuple(expand(seen, frontier, values, row_splits)))
        return results

    return run


def _random_states(
    num_items: int, frontier: int, num_visited: int, seed: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns bitmaps (T, 1, W), visited ids (T, V) and frontiers (T, F)."""
    random = np.random.default_rng(seed)
    visited_tv = np.stack(
        [
            random.choice(num_items, num_visited, replace=False).astype(np.int32)
            for _ in range(_EXPANSIONS_A_CALL)
        ]
    )
    bitmaps_tw, _ = visited_insert(
        empty_bitmap(_EXPANSIONS_A_CALL, num_items), visited_tv
    )
    frontiers_tf = tf.constant(visited_tv[:, :frontier])
    return bitmaps_tw[:, tf.newaxis], tf.constant(visited_tv), frontiers_tf


def check_equal(
    fresh_op: np.ndarray, fresh_twin: np.ndarray, fresh_sets: np.ndarray
) -> int:
    """Raises ValueError unless all three found the same nodes; returns how many."""
    op, sets = np.array(fresh_op), np.array(fresh_sets)
    if not np.array_equal(op, np.array(fresh_twin)):
        raise ValueError("`graph_expand_reference` must answer as `graph_expand` does")
    if not np.array_equal(np.sort(op), sets):
        raise ValueError(
            "`expand_by_sets` must find the nodes of `graph_expand`. "
            f"Received: {len(sets)} against {len(op)} nodes"
        )
    return len(op)


def measure_expansion(
    num_items: int,
    degree: int,
    *,
    frontier: int = 500,
    num_visited: int = 1000,
    rounds: int = 30,
    seed: int = 0,
) -> Expansion:
    """Times one expansion for one user by the op, its twin and the set ops.

    Args:
        num_items: N.
        degree: neighbours a node.
        frontier: F, even.
        num_visited: ids in the visited set before, the frontier among them.
        rounds: timed rounds of 8 different expansions each.
        seed: of graph and frontiers.
    Raises: ValueError: the three do not find the same nodes.
    """
    graph = [tf.constant(part) for part in random_adjacency(num_items, degree, seed)]
    bitmaps, visited, frontiers = _random_states(
        num_items, frontier, num_visited, seed + 1
    )
    halves = tf.reshape(frontiers, (_EXPANSIONS_A_CALL, 2, -1))
    double = tf.repeat(bitmaps, 2, axis=1)
    op = _one_after_the_other(graph_expand)
    twin = _one_after_the_other(graph_expand_reference)
    sets = _one_after_the_other(expand_by_sets)
    calls = {
        "op": lambda _: op(bitmaps, frontiers[:, tf.newaxis], *graph),
        "twin": lambda _: twin(bitmaps, frontiers[:, tf.newaxis], *graph),
        "sets": lambda _: sets(visited, frontiers, *graph),
        "op_halves": lambda _: op(double, halves, *graph),
    }
    answers = zip(*(calls[name](0) for name in ("op", "twin", "sets")), strict=True)
    num_fresh = [check_equal(o[1][0], t[1][0], s[1]) for o, t, s in answers]
    medians = timing.interleaved_medians(calls, rounds)
    wall, cpu = (
        {name: ms / _EXPANSIONS_A_CALL for name, ms in times.items()}
        for times in (medians.wall, medians.cpu)
    )
    return Expansion(degree, frontier, int(np.median(num_fresh)), wall, cpu)
