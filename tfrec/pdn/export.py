"""The exported model: raw ids and values in, raw ids and paths out, as a SavedModel.

Index, vectors and tables are variables, so the graph stays small and names no file.
`docs/export.md` describes the signatures and how a server runs them.
"""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.data.fields import RECENCY, TIME_GAP, Fields
from tfrec.data.histories import gap_buckets
from tfrec.pdn.index import PathIndex
from tfrec.pdn.model import Pdn
from tfrec.pdn.retrieval import PathRetriever, known_fields
from tfrec.serving import limits
from tfrec.serving.export import export as export_signatures
from tfrec.serving.model_card import ModelCard
from tfrec.serving.raw_ids import RawIds, latest_places, take_places
from tfrec.serving.vocabulary import Vocabulary

KIND = "pdn-export"
FORMAT = 1
CARD = ModelCard(
    "Li et al. 2021, Path-based Deep Network for Candidate Item Matching in "
    "Recommenders"
)
_WARMUP_K = 10


def export(
    model: Pdn,
    index: PathIndex,
    fields: Fields,
    path: str | os.PathLike,
    *,
    model_version: str,
    raw_user_ids: np.ndarray,
    num_triggers: int,
    num_paths: int = 3,
    ops: str = "custom",
    card: ModelCard = CARD,
    warmup_users: Sequence[int] = (1,),
) -> pathlib.Path:
    """Writes a SavedModel into the next version folder of `path`, whole or not at all.

    Args:
        model: scalar paths, merged as eq. 10.
        index: of this model, by its SimNet; its raw ids are the items'.
        fields: what the model was trained on, with its vocabularies.
        path: the root of the versions; its parents are made.
        model_version: of the model; an index of another one is refused.
        raw_user_ids: int64 `(U,)`, of user ids 1, 2, ...
        num_triggers: m, triggers of a request.
        num_paths: P, paths with each result.
        ops: "custom", or "reference" for a model without custom ops.
        card: `CARD` with what was trained, on which data, by which code.
        warmup_users: batch sizes B for which a server is warmed up by a `retrieve`.
            With (), there are no warm-up records, and the extra `[serving]` is not
            needed.
    Returns: the version folder, `<path>/<number>`.
    Raises:
        ValueError: an argument breaks its rule.
        ImportError: the extra is missing.
        ArtifactError: the index is of another model version (both are named), or
            another export took the folder.
        serving.export.ExportError: a file can't be written.
    """
    index.check_model(model_version)
    retriever = PathRetriever(model, index, fields.item, num_triggers, num_paths, ops)
    served = Served(retriever, index.item_ids, raw_user_ids, fields)
    meta = {
        "ops": ops,
        "model_version": model_version,
        "num_items": index.num_items,
        "max_history": model.config.max_history,
        "num_triggers": num_triggers,
        "num_paths": num_paths,
        "inputs": {name: spec.dtype.name for name, spec in served.request.items()},
    }
    examples = {
        "user": np.asarray(raw_user_ids),
        "history": index.item_ids,
        "history_timestamp": np.arange(model.config.max_history),
        **{f"user_{name}": fields.vocabularies[name] for name in fields.user},
        **{f"history_{name}": fields.vocabularies[name] for name in fields.row},
    }
    return export_signatures(
        served.signatures(),
        path,
        kind=KIND,
        format=FORMAT,
        meta=meta,
        card=card,
        warmup=_records(served, examples, warmup_users),
    )


class Served:
    """The functions of the signatures.

    Args:
        retriever: model and index.
        item_ids: int64 `(N,)`, raw ids by position.
        raw_user_ids: int64 `(U,)`, of user ids 1, 2, ...
        fields: features and their vocabularies.
    """

    def __init__(
        self,
        retriever: PathRetriever,
        item_ids: np.ndarray,
        raw_user_ids: np.ndarray,
        fields: Fields,
    ):
        self.retriever = retriever
        self.raw_ids = RawIds(item_ids)
        self.users = Vocabulary(np.asarray(raw_user_ids, np.int64))
        self.profile = {n: Vocabulary(fields.vocabularies[n]) for n in fields.user}
        self.behaviour = {n: Vocabulary(fields.vocabularies[n]) for n in fields.row}
        self.has_times = fields.times is not None
        self.item_features = {
            name: tf.Variable(values, trainable=False, name=name)
            for name, values in fields.item.items()
        }

    @property
    def request(self) -> dict[str, tf.TensorSpec]:
        """The inputs that describe users, by name."""
        specs = {
            "user": tf.TensorSpec([None], tf.int64),
            "history": tf.TensorSpec([None, None], tf.int64),
        }
        for name, vocabulary in self.profile.items():
            specs[f"user_{name}"] = tf.TensorSpec([None], vocabulary.dtype)
        for name, vocabulary in self.behaviour.items():
            specs[f"history_{name}"] = tf.TensorSpec([None, None], vocabulary.dtype)
        if self.has_times:
            specs["history_timestamp"] = tf.TensorSpec([None, None], tf.int64)
        return specs

    def signatures(self) -> dict[str, Any]:
        """Concrete functions by name; the names of their arguments are the inputs'."""
        k = tf.TensorSpec([], tf.int32)
        ids = tf.TensorSpec([None], tf.int64)
        filters = {
            "unavailable": ids,
            "seen": tf.TensorSpec([None, None], tf.int64),
        }
        inputs: dict[Any, dict[str, tf.TensorSpec]] = {
            self.retrieve: {**self.request, "k": k},
            self.retrieve_filtered: {**self.request, "k": k, **filters},
            self.triggers: self.request,
            self.similar_items: {"items": ids, "k": k},
            self.similarities: {"triggers": ids, "items": ids},
        }
        return {
            method.__name__: tf.function(method).get_concrete_function(**specs)
            for method, specs in inputs.items()
        }

    def retrieve(self, k: tf.Tensor, **request: tf.Tensor) -> dict[str, tf.Tensor]:
        """Eq. 14: ids `(B, K)`, scores, and the paths `(B, K, P)` behind each."""
        return self._results(self.features(request), k, None, None)

    def retrieve_filtered(
        self,
        k: tf.Tensor,
        unavailable: tf.Tensor,
        seen: tf.Tensor,
        **request: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """`retrieve` without raw ids for all, `(U,)`, and for each user, `(B, S)`."""
        available = self.raw_ids.all_but(unavailable)
        excluded = self.raw_ids.positions(seen)
        return self._results(self.features(request), k, excluded, available)

    def triggers(self, **request: tf.Tensor) -> dict[str, tf.Tensor]:
        """Raw ids of the top-m triggers and their weights t_uj, both `(B, m)`."""
        positions, weights = self.retriever.triggers(self.features(request))
        return {"ids": self.raw_ids.of(positions), "weights": weights}

    def similar_items(self, items: tf.Tensor, k: tf.Tensor) -> dict[str, tf.Tensor]:
        """SimNet's lists of items `(P,)`: raw ids and s_ji, both `(P, K)`."""
        k = limits.bounded("k", k, tf.shape(items)[0])
        positions = self.raw_ids.positions(items)
        found, scores = self.retriever.similar_items(positions, k)
        return {"ids": self.raw_ids.of(found), "similarities": scores}

    def similarities(
        self, triggers: tf.Tensor, items: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """s_ji of eq. 9 of pairs of raw ids `(P,)`, for an index to be built."""
        model = self.retriever.model
        pairs = [
            known_fields(model, self._item_fields(self.raw_ids.positions(ids) + 1))
            for ids in map(
                limits.bounded_size, ("triggers", "items"), (triggers, items)
            )
        ]
        return {"similarities": model.similarity(*pairs)[..., 0]}

    def features(self, request: Mapping[str, tf.Tensor]) -> dict[str, Any]:
        """The model's features of a request; unknown items are left out."""
        history = limits.bounded_rows("history", request["history"])
        request = _with_checked_shapes({**request, "history": history})
        positions = self.raw_ids.positions(request["history"])
        length = self.retriever.model.config.max_history
        places = latest_places(positions, length)
        item_ids = take_places(positions, places, -1) + 1
        history = self._item_fields(item_ids)
        for name, vocabulary in self.behaviour.items():
            values = vocabulary.ids(request[f"history_{name}"])
            history[name] = take_places(values, places, 0)
        counts = tf.reduce_sum(tf.cast(item_ids > 0, tf.int32), axis=1, keepdims=True)
        ranks = counts - tf.range(length)
        schema = {field.name for field in self.retriever.model.schema.history}
        if RECENCY in schema:
            history[RECENCY] = tf.maximum(ranks, 0)
        if TIME_GAP in schema:
            times = take_places(request["history_timestamp"], places, 0)
            last = tf.gather(times, tf.maximum(counts - 1, 0), batch_dims=1)
            history[TIME_GAP] = tf.where(item_ids > 0, gap_buckets(last - times), 0)
        user = {
            name: v.ids(request[f"user_{name}"]) for name, v in self.profile.items()
        }
        return {
            "user": {"user": self.users.ids(request["user"]), **user},
            "history": history,
        }

    def _results(
        self, features: Any, k: tf.Tensor, excluded: Any, available: Any
    ) -> dict[str, tf.Tensor]:
        k = limits.bounded("k", k, tf.shape(features["history"]["item"])[0])
        found = self.retriever.retrieve(features, k, excluded, available)
        return {
            "ids": self.raw_ids.of(found.positions),
            "scores": found.scores,
            "path_triggers": self.raw_ids.of(found.path_triggers),
            "path_contributions": found.path_contributions,
        }

    def _item_fields(self, item_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        fields = {k: tf.gather(v, item_ids) for k, v in self.item_features.items()}
        return {"item": item_ids, **fields}


def _records(
    served: Served, examples: Mapping[str, np.ndarray], warmup_users: Sequence[int]
) -> list[Any]:
    """Warm-up records: a `retrieve` for each batch size, of values that exist."""
    if not warmup_users:
        return []
    if min(warmup_users) < 1:
        raise ValueError(
            f"`warmup_users` must be at least 1 each. Received: {tuple(warmup_users)}"
        )
    from tfrec.serving.warmup import predict_log

    length = served.retriever.model.config.max_history
    records = []
    for users in warmup_users:
        request = {"k": np.array(_WARMUP_K, np.int32)}
        for name, spec in served.request.items():
            shape = [users, length][: spec.shape.rank]
            values = examples[name].astype(spec.dtype.as_numpy_dtype)
            request[name] = np.resize(values, shape)
        records.append(predict_log("retrieve", request))
    return records


def _with_checked_shapes(request: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """What describes users or behaviours must be of those of `history`.

    Nothing else runs on a request that is not: its message would come first by chance.
    """
    shape = tf.shape(request["history"])
    checks = []
    for name, values in request.items():
        is_behaviour = name.startswith("history")
        rule = "the shape of" if is_behaviour else "an element for each row of"
        check = tf.debugging.assert_equal(
            tf.shape(values),
            shape if is_behaviour else shape[:1],
            f"`{name}` must have {rule} `history`",
        )
        checks.append(check)
    with tf.control_dependencies(checks):
        return {name: tf.identity(values) for name, values in request.items()}
