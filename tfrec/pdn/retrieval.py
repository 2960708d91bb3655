"""Greedy top-K retrieval over two-hop paths (section 5.1): steps 2 and 3.

The top-m triggers by TrigNet, their lists in the index, eq. 14 on what those hold.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from tfrec import ops as tfrec_ops
from tfrec.pdn.index import PathIndex
from tfrec.pdn.model import Pdn

OPS = ("custom", "reference")
_LOW = float("-inf")


class Retrieved(NamedTuple):
    """What users get; positions are item ids less 1, -1 where there is none.

    Attributes:
        positions: int32 `(B, K)`, best first.
        scores: float32 `(B, K)`, eq. 14; -inf where there is none.
        path_triggers: int32 `(B, K, P)`, positions of the triggers that contribute
            most, largest first.
        path_contributions: float32 `(B, K, P)`, ln(1 + e^(t + s)) of each; 0 where
            there is none.
    """

    positions: Any
    scores: Any
    path_triggers: Any
    path_contributions: Any


class PathRetriever(tf.Module):
    """Retrieves by a model and the index that its SimNet made.

    Args:
        model: scalar paths, merged as eq. 10.
        index: of the same model.
        item_features: `{name: (N + 1,)}`, features of an item besides its id; row 0 is
            padding. The index may have newer items than the model: see `known_fields`.
        num_triggers: m.
        num_paths: P, paths returned with each result.
        ops: "custom", or "reference" for a graph without custom ops.
    Raises: ValueError: an argument breaks its rule.
    """

    def __init__(
        self,
        model: Pdn,
        index: PathIndex,
        item_features: Mapping[str, Any],
        num_triggers: int,
        num_paths: int = 3,
        ops: str = "custom",
    ):
        super().__init__(name="path_retriever")
        if model.config.path_width != 1 or model.config.merge != "softplus_sum":
            raise ValueError(
                "`model` must have scalar paths, merged by softplus_sum (eq. 14). "
                f"Received: path_width={model.config.path_width}, "
                f"merge={model.config.merge!r}"
            )
        if num_triggers < 1 or num_paths < 0:
            raise ValueError(
                "`num_triggers` must be at least 1, `num_paths` at least 0. "
                f"Received: {num_triggers} and {num_paths}"
            )
        if ops not in OPS:
            raise ValueError(f"`ops` must be in {OPS}. Received: {ops!r}")
        for name, values in item_features.items():
            if tuple(values.shape) != (index.num_items + 1,):
                raise ValueError(
                    f"`item_features[{name!r}]` must have shape "
                    f"({index.num_items + 1},), a row an item of the index and one of "
                    f"padding. Received: {tuple(values.shape)}"
                )
        self.model = model
        self.num_triggers = num_triggers
        self.num_paths = num_paths
        self.num_items = index.num_items
        self._path_top_k = tfrec_ops.path_top_k
        if ops == "reference":
            self._path_top_k = tfrec_ops.path_top_k_reference
        self.neighbours = _variable(index.neighbours, "neighbours")
        self.similarities = _variable(index.similarities, "similarities")
        self.row_splits = _variable(index.row_splits, "row_splits")
        self.item_vectors = _variable(self._vectors(item_features), "item_vectors")

    def triggers(self, features: Mapping[str, Any]) -> tuple[tf.Tensor, tf.Tensor]:
        """Step 2: the m triggers that the user cares most for.

        Args:
            features: of the schema, `user` `(B,)` and `history` `(B, L)`.
        Returns: positions int32 `(B, m)`, -1 where there are fewer; t_uj float32
            `(B, m)`, largest first, 0 where there are fewer.
        """
        positions, weights, _ = self.weigh(features)
        return positions, weights

    def weigh(
        self, features: Mapping[str, Any]
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """`triggers`, and p_u `(B, D + 1)`, of width 0 without a direct net."""
        history = known_fields(self.model, features["history"])
        state = self.model.user_state({**features, "history": history})
        ids = features["history"]["item"]
        positions, weights = self._top_triggers(ids, state["weights"])
        no_direct = tf.zeros([tf.shape(positions)[0], 0])
        return positions, weights, state.get("user", no_direct)

    def retrieve(
        self,
        features: Mapping[str, Any],
        k: Any,
        excluded: Any = None,
        available: Any = None,
    ) -> Retrieved:
        """Steps 2 and 3: the best items over the user's paths.

        Args:
            features: of the schema.
            k: K, at least 1.
            excluded: int32 `(B, S)` positions that this user does not get, -1 pads.
            available: bool `(N,)`, False for delisted items; None: all are there.
        """
        positions, weights, users = self.weigh(features)
        if excluded is None:
            excluded = tf.zeros([tf.shape(positions)[0], 0], tf.int32)
        if available is None:
            available = tf.zeros([0], tf.bool)
        return Retrieved(
            *self._path_top_k(
                positions,
                weights,
                self.neighbours,
                self.similarities,
                self.row_splits,
                users,
                self.item_vectors,
                excluded,
                available,
                k,
                num_paths=self.num_paths,
            )
        )

    def similar_items(self, positions: Any, k: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """SimNet alone: the first k of the lists of items.

        Args:
            positions: int32 `(P,)`, -1 for an unknown item: its list is empty.
            k: how many, at least 1.
        Returns: positions int32 `(P, k)`, -1 where the list is shorter; s_ji float32
            `(P, k)`, -inf there.
        """
        known = tf.maximum(positions, 0)
        # As tensors: after a gather from the variable itself each read of it copies.
        row_splits = tf.convert_to_tensor(self.row_splits)
        begin = tf.gather(row_splits, known)
        length = tf.gather(row_splits, known + 1) - begin
        length = tf.where(positions >= 0, length, 0)
        steps = tf.range(tf.cast(k, length.dtype))
        is_real = steps < length[:, tf.newaxis]
        places = tf.where(is_real, begin[:, tf.newaxis] + steps, 0)
        if self.neighbours.shape[0] == 0:
            return tf.fill(tf.shape(places), -1), tf.fill(tf.shape(places), _LOW)
        found = tf.gather(tf.convert_to_tensor(self.neighbours), places)
        scores = tf.gather(tf.convert_to_tensor(self.similarities), places)
        return tf.where(is_real, found, -1), tf.where(is_real, scores, _LOW)

    def _top_triggers(self, ids: Any, weights: Any) -> tuple[tf.Tensor, tf.Tensor]:
        weights = tf.where(ids != 0, weights[..., 0], _LOW)
        count = tf.minimum(self.num_triggers, tf.shape(ids)[1])
        best, places = tf.math.top_k(weights, count)
        positions = tf.gather(ids, places, batch_dims=1) - 1
        return positions, tf.where(positions >= 0, best, 0.0)

    def _vectors(self, item_features: Mapping[str, Any]) -> tf.Tensor:
        """q_i by position `(N, D + 1)`; `(N, 0)` without a direct net."""
        if not self.model.config.direct_units:
            return tf.zeros([self.num_items, 0])
        fields = {
            name: tf.convert_to_tensor(values)[1:]
            for name, values in item_features.items()
        }
        fields["item"] = tf.range(1, self.num_items + 1)
        return self.model.item_vectors(known_fields(self.model, fields))


def known_fields(model: Pdn, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields in which an id that the model has no row of is padding: zeros.

    So an item newer than the model is what its other fields are: its category, say.
    """
    tables = model.schema.tables
    return {
        name: tf.where(ids < tables[name].size, ids, 0) for name, ids in fields.items()
    }


def _variable(values: Any, name: str) -> tf.Variable:
    return tf.Variable(values, trainable=False, name=name)
