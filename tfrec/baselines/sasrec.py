"""SASRec: causal self-attention, trained to say the next item at every position."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfrec.baselines.base import Baseline, State, StepSeeds, inner_product
from tfrec.baselines.config import SasRecConfig
from tfrec.baselines.fields import check_length, last_of_real, ranks_from_end
from tfrec.data.negatives import Negatives
from tfrec.data.schema import Schema
from tfrec.layers.embedding import Embedding


class SasRec(Baseline):
    """The inner product of the last position's output and the item's embedding.

    Differs from its paper: negatives are drawn once an example for all of its
    positions; all of the attention's inputs are normalised as section III-E says, the
    official code's queries alone. It reads item ids alone.

    Args:
        config: sizes.
        schema: its field `item` is read.
    Source: Kang & McAuley 2018, section III.
    """

    def __init__(self, config: SasRecConfig, schema: Schema):
        self.item_field = tuple(f for f in schema.candidates if f.name == "item")
        super().__init__(schema, self.item_field, config.embedding_size)
        self.config = config
        width, dropout = config.embedding_size, config.dropout
        self.positions = Embedding(config.max_history + 1, width, name="positions")
        self.drop = keras.layers.Dropout(dropout)
        self.blocks = [CausalBlock(dropout) for _ in range(config.num_blocks)]
        self.norm = keras.layers.LayerNormalization(name="norm")
        self._create_variables()

    def user_state(self, features: Mapping[str, Any], training: bool = False) -> State:
        """`{"user": (B, D)}`: the last position's output, 0 without behaviours."""
        item_ids = features["history"]["item"]
        outputs_bld = self.encode(item_ids, training)
        return {"user": last_of_real(outputs_bld, ranks_from_end(item_ids))}

    def encode(self, item_ids: Any, training: bool = False) -> Any:
        """Item ids `(B, L)` -> `(B, L, D)`; a position knows of no later one."""
        check_length(item_ids, self.config.max_history)
        items = self.embed({"item": item_ids}, fields=self.item_field)
        # The table's rows are the outputs' too; the official code scales the inputs.
        items = items * self.config.embedding_size**0.5
        hidden_bld = items + self.positions(ranks_from_end(item_ids))
        hidden_bld = self.drop(hidden_bld, training=training)
        for block in self.blocks:
            hidden_bld = block(hidden_bld, training=training)
        return self.norm(hidden_bld)

    def item_vectors(self, items: Mapping[str, Any]) -> Any:
        """Rows of the table that the inputs are looked up in."""
        return self.embed(items, fields=self.item_field)

    def score(self, state: State, vectors: Any, training: bool = False) -> Any:
        """Inner products float32 `(B, C)`."""
        return inner_product(state["user"], vectors)

    def training_losses(
        self, batch: Mapping[str, Any], negatives: Negatives, context: StepSeeds
    ) -> dict[str, tf.Tensor]:
        """Eq. 7 over all real positions: each is to say the item after it.

        The item after the last behaviour is the batch's positive. With S negatives a
        position their losses are averaged, so that they weigh what the positive does.
        """
        item_ids = batch["history"]["item"]
        outputs_bld = self.encode(item_ids, training=True)
        targets_bl = next_items(item_ids, batch["candidates"]["item"])
        positive_bld = self.item_vectors({"item": targets_bl})
        shape = [tf.shape(item_ids)[0], self.config.num_negatives]
        drawn = negatives.draw(shape, context.random_seed())
        users = batch["user"]["user"][:, tf.newaxis]
        weights_bs = 1.0 - tf.cast(negatives.is_met(users, drawn["item"]), tf.float32)
        negative_bsd = self.item_vectors(drawn)
        positive_bl = ops.einsum("bld,bld->bl", outputs_bld, positive_bld)
        negative_bls = ops.einsum("bld,bsd->bls", outputs_bld, negative_bsd)
        losses_bl = tf.nn.softplus(-tf.cast(positive_bl, tf.float32))
        losses_bls = tf.nn.softplus(tf.cast(negative_bls, tf.float32))
        count_b = tf.maximum(tf.reduce_sum(weights_bs, 1), 1.0)
        losses_bl += tf.einsum("bls,bs->bl", losses_bls, weights_bs / count_b[:, None])
        is_real = tf.cast(item_ids != 0, tf.float32)
        num_real = tf.maximum(tf.reduce_sum(is_real), 1.0)
        return {"cross_entropy": tf.reduce_sum(losses_bl * is_real) / num_real}


class CausalBlock(keras.layers.Layer):
    """x + Dropout(g(LayerNorm(x))) for self-attention and for two dense layers.

    One head, written out: query, key and value are one matrix product, which makes a
    step a fifth faster than `keras.layers.MultiHeadAttention` does on a CPU.

    Args:
        dropout: rate; none on the attention's weights, where the official code has it.
    Inputs: `(B, L, D)`. Outputs: `(B, L, D)`.
    Source: Kang & McAuley 2018, sections III-B and III-E.
    """

    def __init__(self, dropout: float):
        super().__init__()
        self.attention_norm = keras.layers.LayerNormalization()
        self.dense_norm = keras.layers.LayerNormalization()
        self.drops = [keras.layers.Dropout(dropout) for _ in range(2)]

    def build(self, input_shape: tuple) -> None:
        """Creates the variables for inputs `(B, L, D)`."""
        width = input_shape[-1]
        self.projections = keras.layers.Dense(3 * width)
        self.attended = keras.layers.Dense(width)
        self.inner = keras.layers.Dense(width, activation="relu")
        self.outer = keras.layers.Dense(width)
        for layer in (self.attention_norm, self.projections, self.attended):
            layer.build(input_shape)
        for layer in (self.dense_norm, self.inner, self.outer):
            layer.build(input_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """The block's output; pads are last, so the causal mask hides them too."""
        attended = self.attended(self._attend(self.attention_norm(inputs)))
        hidden = inputs + self.drops[0](attended, training=training)
        outputs = self.outer(self.inner(self.dense_norm(hidden)))
        return hidden + self.drops[1](outputs, training=training)

    def _attend(self, inputs: Any) -> Any:
        query, key, value = ops.split(self.projections(inputs), 3, axis=-1)
        length, width = inputs.shape[1:]
        logits_blm = ops.einsum("bld,bmd->blm", query * width**-0.5, key)
        sees_lm = ops.tril(ops.ones([length, length], logits_blm.dtype))
        # Keras's softmax warns where L is 1, as when variables are created.
        weights_blm = tf.nn.softmax(logits_blm + (sees_lm - 1) * 1e9)
        return ops.matmul(weights_blm, value)


def next_items(item_ids: Any, target_b1: Any) -> Any:
    """The item after each behaviour: the next one, the target after the last.

    Args:
        item_ids: `(B, L)`, padded by 0 at the end.
        target_b1: `(B, 1)`.
    Returns: `(B, L)`, 0 where `item_ids` is.
    """
    after = ops.pad(item_ids[:, 1:], [[0, 0], [0, 1]])
    return ops.where(ranks_from_end(item_ids) == 1, target_b1, after)
