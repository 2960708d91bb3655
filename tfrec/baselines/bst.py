"""BST: a transformer over the behaviours, here with an inner product."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfrec.baselines.base import State, TwoTower
from tfrec.baselines.config import BstConfig
from tfrec.baselines.fields import (
    check_length,
    last_of_real,
    mean_of_real,
    ranks_from_end,
)
from tfrec.data.schema import Schema
from tfrec.layers.embedding import Embedding
from tfrec.layers.transformer_encoder import TransformerEncoder


class Bst(TwoTower):
    """The user tower reads user fields and the encoded behaviours.

    Differs from its paper: the candidate is not in the sequence and meets the user in
    an inner product; of the outputs the average and the last are read, not all L; a
    behaviour's position is its rank from the end, not the time since; ReLU.

    Args:
        config: sizes.
        schema: all its fields but the context's are read.
    Source: Chen et al. 2019, section 3; Li et al. 2021 (PDN), section 6.1.2.
    """

    def __init__(self, config: BstConfig, schema: Schema):
        fields = (*schema.user, *schema.history)
        super().__init__(schema, fields, config.embedding_size, config.units)
        self.config = config
        width, dropout = config.width, config.dropout
        self.projection = keras.layers.Dense(width, name="projection")
        self.positions = Embedding(config.max_history + 1, width, name="positions")
        self.drop = keras.layers.Dropout(dropout)
        self.blocks = [
            TransformerEncoder(config.num_heads, width, dropout)
            for _ in range(config.num_blocks)
        ]
        self._create_variables()

    def user_state(self, features: Mapping[str, Any], training: bool = False) -> State:
        """`{"user": (B, D)}`; see `Baseline.user_state`."""
        history = features["history"]
        encoded_bld, ranks_bl = self.encode(history, training)
        parts = [
            self.embed(features["user"], fields=self.schema.user),
            mean_of_real(encoded_bld, ranks_bl > 0),
            last_of_real(encoded_bld, ranks_bl),
        ]
        return {"user": self.user_tower(ops.concatenate(parts, axis=-1))}

    def encode(self, history: Mapping[str, Any], training: bool) -> tuple[Any, Any]:
        """Behaviours `(B, L)` -> encoded `(B, L, width)`, and their ranks `(B, L)`."""
        check_length(history["item"], self.config.max_history)
        ranks_bl = ranks_from_end(history["item"])
        behaviours = self.embed(history, fields=self.schema.history)
        hidden_bld = self.projection(behaviours) + self.positions(ranks_bl)
        hidden_bld = self.drop(hidden_bld, training=training)
        mask_b1l = (ranks_bl > 0)[:, None, :]
        for block in self.blocks:
            hidden_bld = block(hidden_bld, attention_mask=mask_b1l, training=training)
        return hidden_bld, ranks_bl
