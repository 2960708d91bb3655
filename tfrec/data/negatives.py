"""Candidates of a training step: the positive and negatives drawn beside it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.data.pair_table import PairTable
from tfrec.data.samplers import UnigramSampler
from tfrec.data.split_parts import TargetRows


class Negatives:
    """Draws items that a user has not met, for every example anew.

    Args:
        sampler: of item ids.
        item_features: `{name: (N + 1,)}`, features of an item besides its id.
        train: its rows are what users have met; they are no negatives.
        num_negatives: S, a positive.
    Source: He et al. 2017 (NCF), section 4.1: negatives are unobserved interactions.
    """

    def __init__(
        self,
        sampler: UnigramSampler,
        item_features: Mapping[str, np.ndarray],
        train: TargetRows,
        num_negatives: int,
    ):
        self.num_negatives = num_negatives
        self._sampler = sampler
        self._features = {k: tf.constant(v) for k, v in item_features.items()}
        num_items = sampler.probabilities.size
        pairs = np.unique(train.users.astype(np.int64) * num_items + train.items)
        users, items = np.divmod(pairs, num_items)
        self._met = PairTable(users, items, num_items)

    def draw(self, shape: Any, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Item fields, int32 of `shape`, of items that are drawn with replacement."""
        ids = self._sampler.sample(tf.reduce_prod(shape), seed)
        ids = tf.reshape(ids, shape)
        return {
            "item": ids,
            **{k: tf.gather(v, ids) for k, v in self._features.items()},
        }

    def _draw_for_replica(
        self, batch_size: tf.Tensor, seed: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The rows `(B, S)` of this replica of what is drawn for the global batch."""
        context = tf.distribute.get_replica_context()
        replicas = 1 if context is None else context.num_replicas_in_sync
        drawn = self.draw([replicas * batch_size, self.num_negatives], seed)
        if replicas == 1:
            return drawn
        begin = context.replica_id_in_sync_group * batch_size
        return {k: v[begin : begin + batch_size] for k, v in drawn.items()}

    def is_met(self, users: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        """Whether the users, int32 `(B, 1)`, have rows of items, int32 `(B, S)`."""
        return self._met.find(users, items) > 0

    def candidates(
        self, batch: Mapping[str, Any], seed: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor, tf.Tensor]:
        """Puts S drawn items behind each positive.

        Args:
            batch: of the schema, candidates `(B, 1)`.
            seed: int64 `(2,)`.
        Returns: candidate fields int32 `(B, 1 + S)`; labels float32 `(B, 1 + S)`, 1 in
            the first column; weights float32 `(B, 1 + S)`, 0 for a drawn item that the
            user has met.
        """
        positive = batch["candidates"]
        batch_size = tf.shape(positive["item"])[0]
        drawn = self._draw_for_replica(batch_size, seed)
        is_met = self.is_met(batch["user"]["user"][:, tf.newaxis], drawn["item"])
        weights = tf.concat(
            [tf.ones([batch_size, 1]), 1.0 - tf.cast(is_met, tf.float32)], 1
        )
        labels = tf.concat(
            [tf.ones([batch_size, 1]), tf.zeros([batch_size, self.num_negatives])], 1
        )
        both = {k: tf.concat([v, drawn[k]], 1) for k, v in positive.items()}
        return both, labels, weights
