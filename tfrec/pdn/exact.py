"""Every item scored for every user: what greedy retrieval is measured against."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.pdn.model import Pdn

_PAIRS_AT_ONCE = 1 << 17


class ExactPaths:
    """Eq. 12 without the bias net over all items, from the whole matrix of s_ji.

    s_ji does not depend on the user, so N^2 pairs are scored once, and a user costs a
    softplus a trigger and item. The matrix takes 4 N^2 bytes: 1.3 GB at 18,357 items.

    Args:
        model: of scalar paths.
        item_features: `{name: (N + 1,)}`, features of an item besides its id.
    Raises: ValueError: the model's paths are vectors.
    """

    def __init__(self, model: Pdn, item_features: Mapping[str, np.ndarray]):
        if model.config.path_width != 1:
            raise ValueError(
                "`model` must have scalar paths. "
                f"Received: path_width={model.config.path_width}"
            )
        self.model = model
        num_rows = model.schema.tables["item"].size
        self.items = {
            "item": tf.range(num_rows),
            **{k: tf.constant(v) for k, v in item_features.items()},
        }
        self.similarities = self._all_similarities(num_rows)
        self.item_vectors = None
        if model.config.direct_units:
            self.item_vectors = model.item_vectors(self.items)
        self._scores = tf.function(self._score_all, reduce_retracing=True)
        self._related = tf.function(self._relate_all, reduce_retracing=True)

    def scores(self, features: Mapping[str, Any]) -> np.ndarray:
        """y_ui of every item, float32 `(B, N)` by position (item id - 1)."""
        return self._scores(features).numpy()

    def item_to_item(self, features: Mapping[str, Any]) -> np.ndarray:
        """The sum over the history of e^s_ji, `(B, N)`: SimNet alone, no user side."""
        return self._related(features).numpy()

    def _score_all(self, features: Mapping[str, Any]) -> tf.Tensor:
        state = self.model.user_state(features)
        users, rows = self._rows(state["trigger_ids"])
        weights = tf.boolean_mask(state["weights"], state["trigger_ids"] != 0)
        paths = self.model.merge(weights[:, tf.newaxis], rows[..., tf.newaxis])
        batch_size = tf.shape(state["trigger_ids"])[0]
        scores = tf.math.unsorted_segment_sum(paths, users, batch_size)
        if self.item_vectors is not None:
            scores += self.model.direct(state["user"], self.item_vectors[1:])
        return scores

    def _relate_all(self, features: Mapping[str, Any]) -> tf.Tensor:
        ids = features["history"]["item"]
        users, rows = self._rows(ids)
        return tf.math.unsorted_segment_sum(tf.exp(rows), users, tf.shape(ids)[0])

    def _rows(self, trigger_ids: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The user of each real trigger `(T,)` and its s_ji of all items `(T, N)`."""
        users = tf.where(trigger_ids != 0)[:, 0]
        real = tf.boolean_mask(trigger_ids, trigger_ids != 0)
        return users, tf.gather(self.similarities, real)

    def _all_similarities(self, num_rows: int) -> tf.Tensor:
        block = max(1, _PAIRS_AT_ONCE // num_rows)
        shared = {k: v[tf.newaxis, 1:] for k, v in self.items.items()}

        @tf.function(reduce_retracing=True)
        def score_rows(begin: tf.Tensor) -> tf.Tensor:
            triggers = {
                k: v[begin : begin + block, tf.newaxis] for k, v in self.items.items()
            }
            return self.model.similarity(triggers, shared)[..., 0]

        found = np.empty([num_rows, num_rows - 1], np.float32)
        for begin in range(0, num_rows, block):
            found[begin : begin + block] = score_rows(tf.constant(begin))
        return tf.constant(found)
