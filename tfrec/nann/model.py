"""The network of NANN (figures 1, 8 and 9) and its two simpler architectures.

A user is turned into a state once; candidates meet it in `score`. The first layer of
the score network is linear in the concatenation [user, attention, item], so it is
split: the user's part is in the state, the item's part and the query are computed
once an item, and nothing of the user is broadcast through the layer.
"""

import math
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfrec.data.schema import Schema
from tfrec.layers.dense_block import Activation, DenseBlock
from tfrec.layers.embedding import Embedding
from tfrec.layers.target_attention import target_attention
from tfrec.layers.transformer_encoder import TransformerEncoder
from tfrec.nann.config import NannConfig

State = dict[str, Any]


class Nann(keras.Model):
    """s(v, u) of section 3.1: `score(user_state(features), item_vectors(items))`.

    Args:
        config: the architecture.
        schema: its fields become embedding tables; a user field is used when
            `config.encoder` is set, as the industrial network does.
        num_items: N; the scores start at -log N, where NCE puts a model that knows
            nothing.
    Source: Chen et al. 2022, section 3.1.2 and appendix A.
    """

    def __init__(self, config: NannConfig, schema: Schema, num_items: int):
        super().__init__(name="nann")
        self.config = config
        self.schema = schema
        profile = schema.user if config.encoder else ()
        fields = {f.name: f for f in (*profile, *schema.history, *schema.candidates)}
        self.tables = {
            name: Embedding(field.size, config.embedding_size, name=f"{name}_table")
            for name, field in fields.items()
        }
        self.profile_names = tuple(f.name for f in profile)
        self.encoder = None
        if config.encoder:
            self.encoder = TransformerEncoder(
                config.encoder.num_heads, config.encoder.feed_forward
            )
        self.item_network = ItemNetwork(config)
        if config.architecture == "two_sided":
            self.user_projection = keras.layers.Dense(config.item_units[-1])
            self.bias = self.add_weight(
                name="bias",
                shape=(),
                initializer=keras.initializers.Constant(-math.log(num_items)),
            )
        else:
            self.score_network = ScoreNetwork(config, -math.log(num_items))
        self._create_variables()

    def embed(self, part: Mapping[str, Any], names: tuple[str, ...]) -> Any:
        """Concatenates the embeddings of fields: ids `(...)` -> `(..., F * E)`."""
        return ops.concatenate([self.tables[n](part[n]) for n in names], axis=-1)

    def embed_history(self, history: Mapping[str, Any]) -> Any:
        """Behaviours `(B, L)` -> `(B, L, F * E)`, zeros where padded."""
        return self.embed(history, tuple(f.name for f in self.schema.history))

    def embed_items(self, items: Mapping[str, Any]) -> Any:
        """Items `(...)` -> `(..., F * E)`, the input of the item network."""
        return self.embed(items, tuple(f.name for f in self.schema.candidates))

    def embed_profile(self, user: Mapping[str, Any]) -> Any:
        """Profile fields `(B,)` -> `(B, fields, E)`, or None where there are none."""
        if not self.profile_names:
            return None
        return ops.stack([self.tables[n](user[n]) for n in self.profile_names], 1)

    def user_state(self, features: Mapping[str, Any]) -> State:
        """Everything of a user that `score` needs, computed once a request.

        Args:
            features: `{"user": {...: (B,)}, "history": {...: (B, L)}}`, ids.
        Returns: a dict of tensors whose first dimension is B.
        """
        history = features["history"]
        return self.encode_user(
            self.embed_profile(features.get("user", {})),
            self.embed_history(history),
            history["item"] != 0,
        )

    def encode_user(self, profile: Any, history_ble: Any, is_real: Any) -> State:
        """The user network on embedded features; see `user_state`."""
        pooled_be = ops.sum(history_ble, axis=1)
        user = pooled_be
        if self.encoder is not None:
            encoded = self.encoder(profile)
            user = ops.reshape(encoded, (-1, encoded.shape[1] * encoded.shape[2]))
        if self.config.architecture == "two_sided":
            both = ops.concatenate([user, pooled_be], axis=-1)
            return {"user": self.user_projection(both)}
        if self.config.architecture == "no_attention":
            return {"hidden": self.score_network.user_part(user, pooled_be)}
        return {
            "hidden": self.score_network.user_part(user, None),
            "key": self.score_network.key(history_ble),
            "value": self.score_network.value(history_ble),
            "is_real": is_real,
        }

    def item_vectors(self, items: Mapping[str, Any]) -> Any:
        """e_v: ids of each candidate field `(...)` -> `(..., D)`."""
        return self.item_network(self.embed_items(items))

    def score(self, state: State, vectors: Any, training: bool = False) -> Any:
        """s_u(e_v) for candidates of their own a user, or the same for all.

        Args:
            state: of B users.
            vectors: e_v, `(B, C, D)` or `(C, D)`.
            training: normalise by the batch's statistics.
        Returns: float32 `(B, C)`.
        """
        return self.score_prepared(state, self.prepare(vectors), training)

    def prepare(self, vectors: Any) -> dict[str, Any]:
        """What `score` computes of an item whoever the user is."""
        if self.config.architecture == "two_sided":
            return {"item": vectors}
        return self.score_network.item_part(vectors)

    def score_prepared(self, state: State, items: Any, training: bool = False) -> Any:
        """The rest of `score`, on `prepare`d items `(B, C, ...)` or `(C, ...)`."""
        if self.config.architecture != "two_sided":
            return self.score_network(state, items, training=training)
        shared = len(items["item"].shape) == 2
        equation = "bd,cd->bc" if shared else "bd,bcd->bc"
        scores_bc = ops.einsum(equation, state["user"], items["item"])
        return ops.cast(scores_bc, "float32") + self.bias

    def _create_variables(self) -> None:
        zero = tf.zeros([1, 2], tf.int32)
        history = dict.fromkeys((f.name for f in self.schema.history), zero)
        user = dict.fromkeys(self.profile_names, zero[:, 0])
        state = self.user_state({"user": user, "history": history})
        items = dict.fromkeys((f.name for f in self.schema.candidates), zero)
        self.score(state, self.item_vectors(items))
        self.built = True


class ItemNetwork(keras.layers.Layer):
    """NN_v: embedded item features `(..., F * E)` -> e_v `(..., D)`."""

    def __init__(self, config: NannConfig):
        super().__init__(name="item_network")
        *inner, last = config.item_units
        self.blocks = [DenseBlock(units) for units in inner]
        final = DenseBlock if config.activate_item_output else keras.layers.Dense
        self.final = final(last)
        self.activates = config.activate_item_output

    def call(self, inputs: Any, training: bool = False) -> Any:
        """e_v of embedded features; `training` as in `BatchNorm`."""
        hidden = inputs
        for block in self.blocks:
            hidden = block(hidden, training=training)
        if self.activates:
            return self.final(hidden, training=training)
        return self.final(hidden)


class ScoreNetwork(keras.layers.Layer):
    """Target attention and the fully connected layers, first layer split."""

    def __init__(self, config: NannConfig, initial_score: float):
        super().__init__(name="score_network")
        dense = keras.layers.Dense
        first, *rest = config.score_units
        self.with_attention = config.architecture == "attention"
        if self.with_attention:
            self.query = dense(config.attention_units, name="query")
            self.key = dense(config.attention_units, name="key")
            self.value = dense(config.attention_units, name="value")
        self.first_user = dense(first, name="first_user")
        self.first_interest = dense(first, use_bias=False, name="first_interest")
        self.first_item = dense(first, use_bias=False, name="first_item")
        self.first_activation = Activation()
        self.blocks = [DenseBlock(units) for units in rest]
        self.out = dense(
            1, bias_initializer=keras.initializers.Constant(initial_score), name="out"
        )

    def user_part(self, user: Any, interest: Any) -> Any:
        """First layer of the user `(B, .)`, and of an interest no item changes."""
        hidden = self.first_user(user)
        return hidden if interest is None else hidden + self.first_interest(interest)

    def item_part(self, vectors: Any) -> dict[str, Any]:
        """First layer and query of items `(..., D)`."""
        parts = {"hidden": self.first_item(vectors)}
        if self.with_attention:
            parts["query"] = self.query(vectors)
        return parts

    def call(self, state: State, items: dict[str, Any], training: bool = False) -> Any:
        """Scores float32 `(B, C)`."""
        hidden_bch = state["hidden"][:, None, :] + items["hidden"]
        if self.with_attention:
            interest = target_attention(
                items["query"], state["key"], state["value"], state["is_real"]
            )
            hidden_bch = hidden_bch + self.first_interest(interest)
        hidden_bch = self.first_activation(hidden_bch, training=training)
        for block in self.blocks:
            hidden_bch = block(hidden_bch, training=training)
        return ops.cast(self.out(hidden_bch)[..., 0], "float32")
