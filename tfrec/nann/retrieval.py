"""Retrieval: the beam walk over the graph as one TensorFlow graph.

Algorithms 1 and 2 of the paper, unrolled and batched over users. The walk knows two
functions of a model, `user_state` and `score`, so it serves any scorer.
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfrec import ops
from tfrec.evaluation.scorer import Scorer
from tfrec.nann.config import WalkConfig
from tfrec.nann.index import HnswIndex

_OPS = {
    "custom": (ops.visited_insert, ops.graph_expand),
    "reference": (ops.visited_insert_reference, ops.graph_expand_reference),
}
_SMALLEST_BUCKET = 32


class Retrieved(NamedTuple):
    """What a walk found for B users, best first; equal scores by position.

    Attributes:
        positions: int32 `(B, K)`, rows of the index; -1 where there are fewer.
        scores: float32 `(B, K)`; -inf where there are fewer.
        num_scored: int32 `(B,)`, score evaluations; a node that is met again on a
            lower level is scored again and counts again.
    """

    positions: tf.Tensor
    scores: tf.Tensor
    num_scored: tf.Tensor


class Scored(NamedTuple):
    """Nodes and their scores, both `(B, C)`; -1 and -inf are padding."""

    ids: tf.Tensor
    scores: tf.Tensor


class GraphRetriever(tf.Module):
    """Walks the graph from its entry level down to level 0.

    Entry is the highest level that has at least `ef` nodes; all its nodes are scored
    in one batch (the paper's T_2 = 1). With a catalogue so small that only level 0
    has as many, this is brute force.

    Args:
        scorer: the model's two functions.
        index: vectors and graph.
        config: `ef` and steps a level, and the kind of walk.
        ops: "custom" for the C++ ops, "reference" for their pure-TensorFlow twins.
        jit_compile: compile the scoring by XLA, for the padded sizes of `buckets`.
    Raises: ValueError: `ops` is neither.
    Source: Chen et al. 2022, section 3.3, Algorithms 1 and 2.
    """

    def __init__(
        self,
        scorer: Scorer,
        index: HnswIndex,
        config: WalkConfig,
        ops: str = "custom",
        jit_compile: bool = True,
    ):
        super().__init__(name="graph_retriever")
        if ops not in _OPS:
            raise ValueError(f"`ops` must be one of {sorted(_OPS)}. Received: {ops!r}")
        self.scorer = scorer
        self.config = config
        self.num_items = index.num_items
        self._visited_insert, self._graph_expand = _OPS[ops]
        self.entry_level = entry_level(index, config)
        self.vectors = _frozen(index.vectors, "vectors")
        self.entry_ids = _frozen(index.nodes(self.entry_level), "entry_ids")
        self.entry_vectors = _frozen(
            index.vectors[index.nodes(self.entry_level)], "entry_vectors"
        )
        self.adjacency = [
            (
                _frozen(level.values, f"level{n}"),
                _frozen(level.row_splits, f"splits{n}"),
            )
            for n, level in enumerate(index.levels[: self.entry_level])
        ]
        self.buckets = self._bucket_sizes(index)
        self.score_entries = tf.function(scorer.score, jit_compile=jit_compile)
        self.score_candidates = _bucketed(scorer, self.buckets, jit_compile)

    def retrieve(
        self, features: Any, k: Any, available: Any = None, seen: Any = None
    ) -> Retrieved:
        """The best k nodes that the walk meets, for a batch of users.

        Args:
            features: what `scorer.user_state` takes, for B users.
            k: K, an int or int32 scalar.
            available: bool `(N,)`, False for delisted items, which still lead the
                walk on but are not returned; None: all.
            seen: int32 `(B, S)`, positions that are not returned, -1 is padding.
        """
        return self.walk(self.scorer.user_state(features), k, available, seen)

    def walk(
        self, state: Any, k: Any, available: Any = None, seen: Any = None
    ) -> Retrieved:
        """`retrieve` from a user state on: Algorithm 1."""
        entries = self._score_entries(state)
        num_scored = tf.fill(tf.shape(entries.ids)[:1], int(self.entry_ids.shape[0]))
        best, found = self._top(entries, self._ef(self.entry_level)), [entries]
        visited = self._new_visited(best)
        for level in reversed(range(self.entry_level)):
            if self.config.reset_visited:
                visited = self._new_visited(best)
            visited, _ = self._visited_insert(visited, best.ids)
            best, found, visited, counts = self._search_layer(
                state, level, best, visited
            )
            num_scored += counts
        pool = _concat(found)
        allowed = self._allowed(pool.ids, available, seen)
        pool = Scored(
            tf.where(allowed, pool.ids, -1), tf.where(allowed, pool.scores, -np.inf)
        )
        return Retrieved(*_in_order(self._top(pool, k)), num_scored)

    def _search_layer(
        self, state: Any, level: int, best: Scored, visited: tf.Tensor
    ) -> tuple[Scored, list[Scored], tf.Tensor, tf.Tensor]:
        """Algorithm 2: W, all that was met, the visited set and counts `(B,)`."""
        ef, values = self._ef(level), self.adjacency[level]
        frontier, found = best.ids, [best]
        num_scored = tf.zeros(tf.shape(frontier)[:1], tf.int32)
        only_fresh = self.config.walk == "rounds" and level == 0
        for _ in range(self.config.steps[-1 - level]):
            visited, ids, counts = self._graph_expand(
                visited, frontier, *values, bucket_sizes=self.buckets
            )
            fresh = Scored(ids, self._score_fresh(state, ids))
            num_scored += counts
            if only_fresh:
                fresh = self._top(fresh, ef)
                frontier = fresh.ids
            else:
                width = tf.shape(best.ids)[1]
                best, index = self._top_with_index(_concat([best, fresh]), ef)
                frontier = tf.where(index >= width, best.ids, -1)
            found.append(fresh)
        return best, found, visited, num_scored

    def _score_entries(self, state: Any) -> Scored:
        scores = self.score_entries(state, self.entry_vectors)
        return Scored(tf.zeros_like(scores, tf.int32) + self.entry_ids, scores)

    def _score_fresh(self, state: Any, ids: tf.Tensor) -> tf.Tensor:
        vectors_bcd = tf.gather(self.vectors, tf.maximum(ids, 0))
        scores_bc = self.score_candidates(state, vectors_bcd)
        return tf.where(ids >= 0, scores_bc, -np.inf)

    def _new_visited(self, like: Scored) -> tf.Tensor:
        return ops.empty_bitmap(tf.shape(like.ids)[0], self.num_items)

    def _allowed(self, ids: tf.Tensor, available: Any, seen: Any) -> tf.Tensor:
        """Bool, the shape of `ids`: may be returned."""
        allowed = ids >= 0
        if available is not None:
            allowed &= tf.gather(available, tf.maximum(ids, 0))
        if seen is not None:
            bitmap = ops.empty_bitmap(tf.shape(ids)[0], self.num_items)
            bitmap, _ = self._visited_insert(bitmap, seen)
            _, is_new = self._visited_insert(bitmap, ids)
            allowed &= is_new
        return allowed

    def _ef(self, level: int) -> int:
        return self.config.ef[-1 - level]

    def _top(self, nodes: Scored, k: Any) -> Scored:
        return self._top_with_index(nodes, k)[0]

    def _top_with_index(self, nodes: Scored, k: Any) -> tuple[Scored, tf.Tensor]:
        """The best k, fewer where there are fewer; the first of equal scores."""
        width = tf.shape(nodes.ids)[1]
        scores, index = tf.math.top_k(nodes.scores, tf.minimum(k, width))
        return Scored(tf.gather(nodes.ids, index, batch_dims=1), scores), index

    def _bucket_sizes(self, index: HnswIndex) -> tuple[int, ...]:
        """Sizes up to what the widest frontier can meet."""
        widest = _SMALLEST_BUCKET
        for number, level in enumerate(index.levels[: self.entry_level]):
            degree = int(np.diff(level.row_splits).max(initial=0))
            frontier = max(self._ef(number), self._ef(number + 1))
            widest = max(widest, frontier * degree)
        largest = max(_SMALLEST_BUCKET, min(widest, self.num_items))
        return ops.bucket_grid(_SMALLEST_BUCKET, largest, self.config.bucket_step)


def entry_level(index: HnswIndex, config: WalkConfig) -> int:
    """The highest level with at least `ef` nodes, 0 if there is none."""
    highest = min(len(config.ef), len(index.levels)) - 1
    for level in range(highest, 0, -1):
        if index.nodes(level).size >= config.ef[-1 - level]:
            return level
    return 0


def _bucketed(scorer: Scorer, buckets: tuple[int, ...], jit_compile: bool) -> Any:
    """`scorer.score` at padded numbers of candidates."""

    def score(state: Any, vectors_bcd: tf.Tensor) -> tf.Tensor:
        return scorer.score(state, vectors_bcd)

    return ops.bucketed(
        score, buckets, axis=(None, 1), output_axis=1, jit_compile=jit_compile
    )


def _frozen(array: np.ndarray, name: str) -> tf.Variable:
    """A variable: no 2 GB limit of the graph, and it is saved with the model."""
    return tf.Variable(array, trainable=False, name=name)


def _concat(parts: list[Scored]) -> Scored:
    ids, scores = zip(*parts, strict=True)
    return Scored(tf.concat(ids, 1), tf.concat(scores, 1))


def _in_order(nodes: Scored) -> Scored:
    """Equal scores by position; `top_k` keeps the order of equals."""
    order = tf.argsort(nodes.ids, stable=True)
    ids = tf.gather(nodes.ids, order, batch_dims=1)
    scores = tf.gather(nodes.scores, order, batch_dims=1)
    scores, index = tf.math.top_k(scores, tf.shape(scores)[1])
    return Scored(tf.gather(ids, index, batch_dims=1), scores)
