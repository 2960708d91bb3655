"""The network of PDN (figure 2): TrigNet, SimNet, direct net, bias net.

A user is turned into a state once: its triggers with their weights, and p_u. Items meet
it in `score`. SimNet's first layer is linear in [x_j, c_ji, x_i], so it is split: the
trigger's and the item's part are computed once each, only c_ji is a pair's own.
"""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from tfrec.data.fields import RECENCY
from tfrec.data.schema import Field, Schema
from tfrec.layers.embedding import Embedding
from tfrec.pdn.config import PdnConfig
from tfrec.pdn.cooccurrence import NUM_BUCKETS, Cooccurrence

State = dict[str, Any]


class Pdn(keras.Model):
    """y_ui of eq. 7 and 12.

    Args:
        config: the architecture.
        schema: its fields are z_u (user), a_uj (behaviours), x (candidates) and the
            bias features (context); each becomes an embedding table.
        cooccurrence: of training rows, c_ji.
    Source: Li et al. 2021, section 4.
    """

    def __init__(self, config: PdnConfig, schema: Schema, cooccurrence: Cooccurrence):
        super().__init__(name="pdn")
        self.config = config
        self.schema = schema
        self.cooccurrence = cooccurrence
        sizes = {field.name: config.behaviour_size for field in schema.behaviour}
        self.tables = {
            name: Embedding(
                field.size, sizes.get(name, config.embedding_size), name=f"{name}_table"
            )
            for name, field in schema.tables.items()
        }
        output, slope = config.path_width, config.leaky_slope
        self.trigger_net = Mlp(
            config.trigger_units, output, slope, config.weight_start, "trigger_net"
        )
        self.similarity_net = SimilarityNet(config, len(cooccurrence.feature_names))
        if config.direct_units:
            *inner, width = config.direct_units
            self.user_tower = Mlp(inner, width, slope, 0.0, "user_tower")
            self.item_tower = Mlp(inner, width, slope, 0.0, "item_tower")
            self.direct_bias = self.add_weight(
                name="direct_bias",
                shape=(),
                initializer=keras.initializers.Constant(config.initial_direct),
            )
        if config.bias_net:
            self.bias_output = Mlp((), 1, slope, config.initial_direct, "bias_net")
        self._create_variables()

    def user_state(self, features: Mapping[str, Any]) -> State:
        """Everything of a user that `score` needs.

        Args:
            features: `{"user": {...: (B,)}, "history": {...: (B, L)}}`, ids.
        Returns: `trigger_ids` int32 `(B, L)`, 0 is padding; `weights` t_uj `(B, L, P)`;
            `gaps` int32 `(B, L)`; `hidden` `(B, L, H)`: the triggers in SimNet; `user`
            p_u `(B, D + 1)` with a direct net, its last element 1.
        """
        user, history = features["user"], features["history"]
        user_be = self._embed(user, self.schema.user)
        triggers_ble = self._embed(history, self.schema.candidates)
        parts = [triggers_ble]
        if self.schema.behaviour:
            parts.append(self._embed(history, self.schema.behaviour))
        state = {
            "trigger_ids": history["item"],
            "weights": self.trigger_net([user_be[:, tf.newaxis], *parts]),
            "hidden": self.similarity_net.trigger_part(triggers_ble),
        }
        if RECENCY in history:
            state["gaps"] = history[RECENCY]
        if self.config.direct_units:
            state["user"] = self.user_vectors(user)
        return state

    def user_vectors(self, user: Mapping[str, Any]) -> Any:
        """p_u of eq. 11 and a 1: user fields `(B,)` -> `(B, D + 1)`."""
        vectors_bd = self.user_tower([self._embed(user, self.schema.user)])
        return tf.pad(vectors_bd, [[0, 0], [0, 1]], constant_values=1.0)

    def item_vectors(self, items: Mapping[str, Any]) -> Any:
        """q_i of eq. 11 and the bias that p_u's 1 meets: `(...)` -> `(..., D + 1)`."""
        vectors = self.item_tower([self._embed(items, self.schema.candidates)])
        bias = tf.broadcast_to(self.direct_bias, tf.shape(vectors[..., :1]))
        return tf.concat([vectors, bias], -1)

    def score(self, state: State, items: Mapping[str, Any], own: Any = None) -> Any:
        """Eq. 12 without the bias net: what is ranked.

        Args:
            state: of B users.
            items: candidate fields, int32 ids `(B, C)`.
            own: float32 `(B, C)`, 1 where the user's row of the item is among the rows
                that co-occurrences were counted on.
        Returns: float32 `(B, C)`.
        """
        paths = self._paths(state, items, own)
        if not self.config.direct_units:
            return paths
        return paths + self.direct(state["user"], self.item_vectors(items))

    def direct(self, user_bd: Any, items: Any) -> Any:
        """softplus(d_ui), eq. 11-12, of items `(B, C, D + 1)` or `(C, D + 1)`."""
        equation = "bd,cd->bc" if len(items.shape) == 2 else "bd,bcd->bc"
        direct = tf.einsum(equation, user_bd, items)
        return (
            direct if self.config.merge == "unconstrained" else tf.nn.softplus(direct)
        )

    def bias(self, context: Mapping[str, Any]) -> Any:
        """softplus(y_bias) of eq. 12 `(B, 1)`, of the moment; training only."""
        bias = self.bias_output([self._embed(context, self.schema.context)])
        return bias if self.config.merge == "unconstrained" else tf.nn.softplus(bias)

    def similarity(self, triggers: Mapping[str, Any], items: Mapping[str, Any]) -> Any:
        """s_ji of eq. 9: item fields that broadcast, `(...)` -> `(..., path_width)`."""
        net = self.similarity_net
        buckets = self.cooccurrence.buckets(triggers["item"], items["item"])
        trigger = net.trigger_part(self._embed(triggers, self.schema.candidates))
        item = net.item_part(self._embed(items, self.schema.candidates))
        return net(trigger, item, buckets)

    def _paths(self, state: State, items: Mapping[str, Any], own: Any) -> Any:
        """The sum over triggers of PATH_uji, eq. 10: `(B, C)`."""
        trigger_ids, gaps = state["trigger_ids"][:, tf.newaxis], state.get("gaps")
        if own is not None:
            own = own[..., tf.newaxis]
            gaps = None if gaps is None else gaps[:, tf.newaxis]
        buckets_bclf = self.cooccurrence.buckets(
            trigger_ids, items["item"][..., tf.newaxis], own, gaps
        )
        items_bce = self._embed(items, self.schema.candidates)
        item = self.similarity_net.item_part(items_bce)[:, :, tf.newaxis]
        hidden = state["hidden"][:, tf.newaxis]
        similarity = self.similarity_net(hidden, item, buckets_bclf)
        paths = self.merge(state["weights"][:, tf.newaxis], similarity)
        return tf.reduce_sum(tf.where(trigger_ids != 0, paths, 0.0), axis=-1)

    def merge(self, weights: Any, similarity: Any) -> Any:
        """PATH of t and s, `(..., path_width)` each -> `(...)`; `config.merge`."""
        if self.config.path_width == 1:
            total = weights[..., 0] + similarity[..., 0]
        else:
            total = tf.reduce_sum(weights * similarity, -1) + self.config.path_start
        if self.config.merge == "softplus_sum":
            return tf.nn.softplus(total)
        return tf.exp(total) if self.config.merge == "product" else total

    def _embed(self, part: Mapping[str, Any], fields: tuple[Field, ...]) -> Any:
        """Concatenated embeddings: ids `(...)` -> `(..., sum of widths)`."""
        return tf.concat([self.tables[f.name](part[f.name]) for f in fields], axis=-1)

    def _create_variables(self) -> None:
        zero = tf.zeros([1, 2], tf.int32)
        history = {field.name: zero for field in self.schema.history}
        user = {field.name: zero[:, 0] for field in self.schema.user}
        state = self.user_state({"user": user, "history": history})
        self.score(state, {field.name: zero for field in self.schema.candidates})
        if self.config.bias_net:
            self.bias({field.name: zero[:, 0] for field in self.schema.context})
        self.built = True


class Mlp(keras.layers.Layer):
    """Dense layers with LeakyReLU on a concatenation, the first layer split by input.

    Inputs: a list of `(..., D_k)` that broadcast. Outputs: `(..., output)`.
    """

    def __init__(
        self, units: Any, output: int, slope: float, initial: float, name: str
    ):
        super().__init__(name=name)
        self.widths = (*units, output)
        self.slope = slope
        self.initial = initial

    def build(self, input_shapes: Any) -> None:
        """Creates the variables; the last bias starts at `initial`."""
        total = sum(shape[-1] for shape in input_shapes)
        bound = (6.0 / (total + self.widths[0])) ** 0.5
        first = keras.initializers.RandomUniform(-bound, bound)
        self.inputs_kernels = [
            self.add_weight(
                name=f"kernel_{number}",
                shape=(shape[-1], self.widths[0]),
                initializer=first.clone(),
            )
            for number, shape in enumerate(input_shapes)
        ]
        last = keras.initializers.Constant(self.initial)
        self.first_bias = self.add_weight(
            name="bias",
            shape=(self.widths[0],),
            initializer=last if len(self.widths) == 1 else "zeros",
        )
        self.rest = []
        width = self.widths[0]
        for number, units in enumerate(self.widths[1:], 2):
            is_last = number == len(self.widths)
            dense = keras.layers.Dense(
                units, bias_initializer=last if is_last else "zeros"
            )
            dense.build((None, width))
            self.rest.append(dense)
            width = units

    def call(self, inputs: Any) -> Any:
        """The output for the concatenation of `inputs`."""
        hidden = self.first_bias
        for part, kernel in zip(inputs, self.inputs_kernels, strict=True):
            hidden = hidden + tf.tensordot(part, kernel, 1)
        for dense in self.rest:
            hidden = dense(tf.nn.leaky_relu(hidden, self.slope))
        return hidden


class SimilarityNet(keras.layers.Layer):
    """SimNet, eq. 9: MLP of [E(x_j), E(c_ji), E(x_i)], first layer split in three."""

    def __init__(self, config: PdnConfig, num_features: int):
        super().__init__(name="similarity_net")
        first, *rest = config.similarity_units
        self.config = config
        self.num_features = num_features
        self.trigger_part = keras.layers.Dense(first, use_bias=False)
        self.item_part = keras.layers.Dense(first)
        self.pair_part = keras.layers.Dense(first, use_bias=False)
        last = keras.initializers.Constant(config.weight_start)
        self.hidden = [keras.layers.Dense(units) for units in rest]
        self.final = keras.layers.Dense(config.path_width, bias_initializer=last)

    def build(self, *shapes: Any) -> None:
        """Creates the table of all features' buckets."""
        self.cooccurrence_table = self.add_weight(
            name="cooccurrence_table",
            shape=(self.num_features * NUM_BUCKETS, self.config.cooccurrence_size),
            initializer="uniform",
        )
        self.built = True

    def call(self, trigger: Any, item: Any, buckets: Any) -> Any:
        """s_ji of prepared triggers and items and buckets `(..., F)`."""
        offsets = tf.range(self.num_features) * NUM_BUCKETS
        rows = tf.gather(
            tf.convert_to_tensor(self.cooccurrence_table), buckets + offsets
        )
        width = self.num_features * self.config.cooccurrence_size
        shape = tf.shape(buckets)[:-1]
        pairs = tf.reshape(rows, tf.concat([shape, [width]], 0))
        pairs = tf.ensure_shape(pairs, [*buckets.shape[:-1], width])
        hidden = self.pair_part(pairs) + trigger + item
        for dense in self.hidden:
            hidden = dense(tf.nn.leaky_relu(hidden, self.config.leaky_slope))
        return self.final(tf.nn.leaky_relu(hidden, self.config.leaky_slope))
