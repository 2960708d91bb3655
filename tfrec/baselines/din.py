"""DIN: behaviours are summed by weights that depend on the candidate.

The first layers are linear in a concatenation, so each is split by its inputs: what a
user or an item gives is computed once, and only what both give together a pair.
"""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfrec.baselines.base import Baseline, State
from tfrec.baselines.config import DinConfig
from tfrec.data.schema import Schema


class Din(Baseline):
    """An MLP of [user, interest, item]; the interest is an attention's sum.

    Differs from its paper: PReLU, not Dice, so that no score depends on its batch; the
    difference of key and query, linear in them, has no weights of its own; behaviour
    fields are in the key and the sum. As in the paper weights are not normalised.

    Args:
        config: sizes.
        schema: all its fields but the context's are read.
    Source: Zhou et al. 2018, section 4.3; Li et al. 2021 (PDN), section 6.1.2.
    """

    def __init__(self, config: DinConfig, schema: Schema):
        fields = (*schema.user, *schema.history, *schema.candidates)
        super().__init__(schema, fields, config.embedding_size)
        self.config = config
        dense, (first, *rest) = keras.layers.Dense, config.units
        self.unit = ActivationUnit(config.attention_units)
        self.first_user = dense(first, name="first_user")
        self.first_interest = dense(first, use_bias=False, name="first_interest")
        self.first_item = dense(first, use_bias=False, name="first_item")
        self.slopes = [ChannelPrelu() for _ in config.units]
        self.hidden = [dense(units) for units in rest]
        self.out = dense(1, name="out")
        self._create_variables()

    def user_state(self, features: Mapping[str, Any], training: bool = False) -> State:
        """Behaviours `(B, L, .)` and the user's part of the first layers."""
        history = features["history"]
        key = behaviours = self.embed(history, fields=self.schema.candidates)
        if self.schema.behaviour:
            others = self.embed(history, fields=self.schema.behaviour)
            behaviours = ops.concatenate([key, others], axis=-1)
        user = self.embed(features["user"], fields=self.schema.user)
        return {
            "hidden": self.first_user(user),
            "behaviours": behaviours,
            "key": key,
            "key_hidden": self.unit.key_part(behaviours),
            "is_real": history["item"] != 0,
        }

    def item_vectors(self, items: Mapping[str, Any]) -> Any:
        """Embeddings: ids `(...)` of each candidate field -> `(..., F * E)`."""
        return self.embed(items, fields=self.schema.candidates)

    def score(self, state: State, vectors: Any, training: bool = False) -> Any:
        """Logits float32 `(B, C)` of vectors `(B, C, D)` or, shared, `(C, D)`."""
        weights_bcl = self.unit(state["key"], state["key_hidden"], vectors)
        mask_b1l = ops.cast(state["is_real"], weights_bcl.dtype)[:, None]
        interest_bcd = ops.matmul(weights_bcl * mask_b1l, state["behaviours"])
        hidden = self.first_interest(interest_bcd) + self.first_item(vectors)
        hidden = self.slopes[0](hidden + state["hidden"][:, None])
        for layer, slope in zip(self.hidden, self.slopes[1:], strict=True):
            hidden = slope(layer(hidden))
        return ops.cast(self.out(hidden)[..., 0], "float32")


class ActivationUnit(keras.layers.Layer):
    """The weight of each behaviour for each candidate: one hidden layer with PReLU.

    Args:
        units: H.
    Source: Zhou et al. 2018, figure 2.
    """

    def __init__(self, units: int):
        super().__init__(name="activation_unit")
        dense = keras.layers.Dense
        self.units = units
        self.key_part = dense(units, name="key")
        self.query_part = dense(units, use_bias=False, name="query")
        self.slope = ChannelPrelu()
        self.out = dense(1, name="out")

    def build(self, key_shape: tuple, *unused: Any) -> None:
        """Creates the kernel of key * query, `(D, H)`."""
        self.product_kernel = self.add_weight(
            name="product_kernel", shape=(key_shape[-1], self.units)
        )

    def call(self, key_bld: Any, key_hidden_blh: Any, query: Any) -> Any:
        """Weights `(B, C, L)` of queries `(B, C, D)` or, shared, `(C, D)`.

        The kernel is scaled by each query, rather than each key by each query: the
        products are then one matrix product of keys as they are.
        """
        kernel = query[..., None] * self.product_kernel  # (..., C, D, H)
        hidden_bclh = ops.matmul(key_bld[:, None], kernel) + key_hidden_blh[:, None]
        hidden_bclh = hidden_bclh + self.query_part(query)[..., None, :]
        return self.out(self.slope(hidden_bclh))[..., 0]


class ChannelPrelu(keras.layers.Layer):
    """max(0, x) + slope * min(0, x), a slope a channel; inputs of any rank."""

    def build(self, input_shape: tuple) -> None:
        """Creates the slopes, 0.25 at first (He et al. 2015)."""
        self.slope = self.add_weight(
            name="slope",
            shape=(input_shape[-1],),
            initializer=keras.initializers.Constant(0.25),
        )

    def call(self, inputs: Any) -> Any:
        """The activation."""
        return ops.where(inputs > 0, inputs, self.slope * inputs)
