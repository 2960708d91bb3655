"""The exact top k of a scorer over all items, in blocks."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.evaluation.scorer import Scorer


@dataclasses.dataclass(frozen=True)
class TopK:
    """The best items of E users, best first.

    Attributes:
        positions: int32 `(E, K)`, rows of the item vectors; -1 where there are fewer.
        scores: float32 `(E, K)`; -inf where there are fewer.
    """

    positions: np.ndarray
    scores: np.ndarray


class BruteForce(tf.Module):
    """Scores every item for a batch of users and keeps the best k.

    Items are scored in blocks of one size, so XLA compiles one program. Equal scores
    are ordered by position.

    Args:
        scorer: the model's two functions.
        item_vectors: float32 `(N, D)`.
        k: results a user; fewer where fewer items are allowed.
        block_size: items scored at once for the batch.
        jit_compile: compile the scoring by XLA.
    Raises: ValueError: `k` or `block_size` is below 1, `item_vectors` is not rank 2.
    Source: recall-all of Chen et al. 2022 (NANN), section 5.1.2.
    """

    def __init__(
        self,
        scorer: Scorer,
        item_vectors: Any,
        k: int,
        block_size: int = 1024,
        jit_compile: bool = True,
    ):
        super().__init__(name="brute_force")
        if k < 1 or block_size < 1:
            raise ValueError(
                "`k` and `block_size` must be at least 1. "
                f"Received: k={k}, block_size={block_size}"
            )
        item_vectors = tf.convert_to_tensor(item_vectors)
        if item_vectors.shape.rank != 2:
            raise ValueError(
                "`item_vectors` must be rank 2 `(N, D)`. "
                f"Received: item_vectors.shape={item_vectors.shape}"
            )
        self.scorer = scorer
        self.k = k
        self.num_items = int(item_vectors.shape[0])
        self.block_size = min(block_size, self.num_items)
        self.vectors = tf.Variable(
            self._padded(item_vectors), trainable=False, name="item_vectors"
        )
        self._score = tf.function(scorer.score, jit_compile=jit_compile)
        self._top_k = tf.function(self._scan, reduce_retracing=True)

    def assign(self, item_vectors: Any) -> None:
        """Replaces the item vectors `(N, D)`, after a change of the model."""
        self.vectors.assign(self._padded(item_vectors))

    def _padded(self, item_vectors: Any) -> tf.Tensor:
        return tf.pad(item_vectors, [[0, -self.num_items % self.block_size], [0, 0]])

    def top_k(
        self, features: Any, available: Any = None, seen: Any = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns positions int32 and scores float32, both `(B, K)`.

        Args:
            features: what `scorer.user_state` takes.
            available: bool `(N,)`, False for delisted items; None: all.
            seen: int32 `(B, S)`, positions to leave out, -1 is padding; None: none.
        """
        return self._top_k(features, available, seen)

    def _scan(
        self, features: Any, available: Any, seen: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`top_k` as one graph: the running best and the next block, merged."""
        state = self.scorer.user_state(features)
        batch_size = tf.shape(tf.nest.flatten(state)[0])[0]
        best_ids = tf.fill([batch_size, self.k], -1)
        best = tf.fill([batch_size, self.k], -np.inf)
        allowed = _allowed(available, self.num_items, self.vectors.shape[0])
        block_size = self.block_size
        for begin in tf.range(0, self.vectors.shape[0], block_size):
            block = self.vectors[begin : begin + block_size]
            block.set_shape([block_size, self.vectors.shape[1]])
            scores = self._score(state, block)
            scores = tf.where(allowed[begin : begin + block_size], scores, -np.inf)
            if seen is not None:
                scores = _leave_out(scores, seen - begin)
            top, index = tf.math.top_k(scores, min(self.k, block_size))
            ids = tf.where(top > -np.inf, index + begin, -1)
            best, index = tf.math.top_k(tf.concat([best, top], 1), self.k)
            merged = tf.concat([best_ids, ids], 1)
            best_ids = tf.gather(merged, index, batch_dims=1)
        return best_ids, best

    def run(
        self,
        batches: Iterable[Any],
        seen: bool = False,
        available: Any = None,
    ) -> TopK:
        """Runs over batches of users.

        Args:
            batches: dicts of features of E users in all, a data set or any iterable
                (`rich.progress.track(...)` shows how far it is).
            seen: leave out the items of `features["history"]["item"]`, ids from 1.
            available: bool `(N,)`.
        """
        ids, scores = [], []
        for features in batches:
            left_out = features["history"]["item"] - 1 if seen else None
            found = self.top_k(features, available, left_out)
            ids.append(found[0].numpy())
            scores.append(found[1].numpy())
        return TopK(np.concatenate(ids), np.concatenate(scores))


def _allowed(available: Any, num_items: int, padded: int) -> tf.Tensor:
    """Bool `(padded,)`: False for pads and for what is not available."""
    if available is None:
        available = tf.ones([num_items], tf.bool)
    return tf.pad(available, [[0, padded - num_items]])


def _leave_out(scores_bc: tf.Tensor, columns_bs: tf.Tensor) -> tf.Tensor:
    """Sets the scores of columns to -inf; columns outside of `[0, C)` are ignored."""
    rows = tf.range(tf.shape(scores_bc)[0])[:, tf.newaxis] + tf.zeros_like(columns_bs)
    inside = (columns_bs >= 0) & (columns_bs < tf.shape(scores_bc)[1])
    index = tf.boolean_mask(tf.stack([rows, columns_bs], -1), inside)
    low = tf.fill([tf.shape(index)[0]], tf.constant(-np.inf, scores_bc.dtype))
    return tf.tensor_scatter_nd_update(scores_bc, index, low)
