"""The exported model: raw ids in, raw ids out, as one versioned SavedModel.

Vectors, graph and embedding tables are variables, so the graph stays small and names
no file. `docs/export.md` describes the signatures and how a server runs them.
"""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.evaluation.scorer import Scorer
from tfrec.nann.config import WalkConfig
from tfrec.nann.index import HnswIndex
from tfrec.nann.retrieval import GraphRetriever
from tfrec.serving import limits
from tfrec.serving.export import export as export_signatures
from tfrec.serving.model_card import ModelCard
from tfrec.serving.raw_ids import MISSING_ID, RawIds, latest

KIND = "nann-export"
FORMAT = 1
CARD = ModelCard(
    "Chen et al. 2022, Approximate Nearest Neighbor Search under Neural Similarity "
    "Metric for Large-Scale Recommendation"
)
_WARMUP_K = 10


def export(
    scorer: Scorer,
    index: HnswIndex,
    walk: WalkConfig,
    path: str | os.PathLike,
    *,
    max_history: int,
    item_features: Mapping[str, Any] | None = None,
    user_fields: Sequence[str] = (),
    ops: str = "custom",
    jit: bool | None = None,
    card: ModelCard = CARD,
    warmup_users: Sequence[int] = (1,),
) -> pathlib.Path:
    """Writes a SavedModel into the next version folder of `path`, whole or not at all.

    Args:
        scorer: the model's two functions. Its history features are `"item"`, ids
            (position + 1) `(B, L)`, and those of `item_features`.
        index: vectors, graph and raw ids (`index.item_ids`, none of them -1).
        walk: the walk of `retrieve`.
        path: the root of the versions; its parents are made.
        max_history: L, latest behaviours that the scorer sees.
        item_features: `{name: (N + 1,)}`, a feature of each item id; row 0 is padding.
        user_fields: names of profile fields; each becomes an input `user_<name>`.
        ops: "custom", or "reference" for a model without custom ops.
        jit: compile the scoring by XLA; None: only with the custom ops.
        card: `CARD` with what was trained, on which data, by which code.
        warmup_users: batch sizes B for which a server is warmed up. With (), there are
            no warm-up records, and the extra `[serving]` is not needed.
    Returns: the version folder, `<path>/<number>`.
    Raises: ValueError: an argument breaks its rule.
        ImportError: the extra is missing.
        serving.export.ExportError: a file can't be written.
        artifacts.ArtifactError: another export took the version meanwhile.
    """
    if max_history < 1:
        raise ValueError(f"`max_history` must be at least 1. Received: {max_history}")
    features = {k: np.asarray(v) for k, v in (item_features or {}).items()}
    for name, values in features.items():
        if values.shape != (index.num_items + 1,):
            raise ValueError(
                f"`item_features[{name!r}]` must have shape ({index.num_items + 1},). "
                f"Received: {values.shape}"
            )
    jit = ops == "custom" if jit is None else jit
    retriever = GraphRetriever(scorer, index, walk, ops, jit)
    served = Served(retriever, RawIds(index.item_ids), features, max_history)
    meta = {
        "ops": ops,
        "jit": jit,
        "num_items": index.num_items,
        "max_history": max_history,
        "bucket_sizes": list(retriever.buckets),
    }
    return export_signatures(
        served.signatures(tuple(user_fields)),
        path,
        kind=KIND,
        format=FORMAT,
        meta=meta,
        card=card,
        warmup=_records(served, index.item_ids, tuple(user_fields), warmup_users),
    )


class Served:
    """The functions of the signatures.

    Args:
        retriever: walks the graph.
        raw_ids: of the retriever's positions.
        item_features: `{name: (N + 1,)}` by item id.
        max_history: L.
    """

    def __init__(
        self,
        retriever: GraphRetriever,
        raw_ids: RawIds,
        item_features: Mapping[str, np.ndarray],
        max_history: int,
    ):
        self.retriever = retriever
        self.raw_ids = raw_ids
        self.max_history = max_history
        self.item_features = {
            name: tf.Variable(values, trainable=False, name=name)
            for name, values in item_features.items()
        }

    def signatures(self, user_fields: tuple[str, ...]) -> dict[str, Any]:
        """Concrete functions by name; the names of their arguments are the inputs'."""
        user = {f"user_{name}": _spec((None,), tf.int32) for name in user_fields}
        request = {"history": _spec((None, None), tf.int64), **user}
        k, ids = _spec((), tf.int32), _spec((None, None), tf.int64)
        filters = {"unavailable": _spec((None,), tf.int64), "seen": ids}
        sizes = {"users": k, "candidates": k}
        inputs: dict[Any, dict[str, tf.TensorSpec]] = {
            self.retrieve: {**request, "k": k},
            self.retrieve_filtered: {**request, "k": k, **filters},
            self.score: {**request, "items": ids},
        }
        functions = {
            method.__name__: tf.function(method).get_concrete_function(**specs)
            for method, specs in inputs.items()
        }

        def warmup(users: tf.Tensor, candidates: tf.Tensor) -> dict[str, tf.Tensor]:
            users = limits.bounded_count("users", users)
            candidates = limits.bounded("candidates", candidates, users)
            profile = {name: tf.zeros([users], tf.int32) for name in user}
            return self.warmup(users, candidates, profile)

        functions["warmup"] = tf.function(warmup).get_concrete_function(**sizes)
        return functions

    def retrieve(
        self, history: tf.Tensor, k: tf.Tensor, **user: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The best k items of each user: raw ids int64 and scores, both `(B, K)`."""
        k = limits.bounded("k", k, tf.shape(history)[0])
        return self._results(self._state(history, user), k)

    def retrieve_filtered(
        self,
        history: tf.Tensor,
        k: tf.Tensor,
        unavailable: tf.Tensor,
        seen: tf.Tensor,
        **user: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """`retrieve` without raw ids for all, `(U,)`, and for each user, `(B, S)`."""
        k = limits.bounded("k", k, tf.shape(history)[0])
        available = self.raw_ids.all_but(unavailable)
        state = self._state(history, user)
        return self._results(state, k, available, self.raw_ids.positions(seen))

    def score(
        self, history: tf.Tensor, items: tf.Tensor, **user: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Scores `(B, C)` of raw ids `(B, C)`; -inf for unknown ids."""
        positions = self.raw_ids.positions(limits.bounded_size("items", items))
        vectors = tf.gather(self.retriever.vectors, tf.maximum(positions, 0))
        scores = self.retriever.score_candidates(self._state(history, user), vectors)
        return {"scores": tf.where(positions >= 0, scores, -np.inf)}

    def warmup(
        self, users: tf.Tensor, candidates: tf.Tensor, user: Mapping[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """Calls both compiled functions of the walk at a size, on zeros."""
        state = self._state(tf.fill([users, 1], np.int64(MISSING_ID)), user)
        width = self.retriever.vectors.shape[1]
        vectors = tf.zeros([users, candidates, width])
        scores = self.retriever.score_candidates(state, vectors)
        entries = self.retriever.score_entries(state, self.retriever.entry_vectors)
        return {"scores": scores, "entry_scores": entries}

    def _state(self, history: tf.Tensor, user: Mapping[str, tf.Tensor]) -> Any:
        """`user_state`; its shapes are the same for every signature."""
        history = limits.bounded_rows("history", history)
        positions = latest(self.raw_ids.positions(history), self.max_history)
        item_ids = positions + 1
        fields = {k: tf.gather(v, item_ids) for k, v in self.item_features.items()}
        profile = {k.removeprefix("user_"): v for k, v in user.items()}
        features = {"user": profile, "history": {"item": item_ids, **fields}}
        return self.retriever.scorer.user_state(features)

    def _results(
        self, state: Any, k: tf.Tensor, available: Any = None, seen: Any = None
    ) -> dict[str, tf.Tensor]:
        found = self.retriever.walk(state, k, available, seen)
        pads = [[0, 0], [0, k - tf.shape(found.positions)[1]]]
        positions = tf.pad(found.positions, pads, constant_values=-1)
        return {
            "ids": self.raw_ids.of(positions),
            "scores": tf.pad(found.scores, pads, constant_values=-np.inf),
        }


def _records(
    served: Served,
    item_ids: np.ndarray,
    user_fields: tuple[str, ...],
    warmup_users: Sequence[int],
) -> list[Any]:
    """Warm-up records of each batch size: `warmup` by every bucket, a `retrieve`."""
    if not warmup_users:
        return []
    if min(warmup_users) < 1:
        raise ValueError(
            f"`warmup_users` must be at least 1 each. Received: {tuple(warmup_users)}"
        )
    from tfrec.serving.warmup import predict_log

    records = []
    for users in warmup_users:
        for candidates in served.retriever.buckets:
            sizes = np.array([users, candidates], np.int32)
            request = dict(zip(("users", "candidates"), sizes, strict=True))
            records.append(predict_log("warmup", request))
        request = {
            "history": np.resize(item_ids, [users, served.max_history]),
            "k": np.array(_WARMUP_K, np.int32),
            **{f"user_{name}": np.zeros([users], np.int32) for name in user_fields},
        }
        records.append(predict_log("retrieve", request))
    return records


def _spec(shape: tuple[int | None, ...], dtype: tf.DType) -> tf.TensorSpec:
    return tf.TensorSpec(shape, dtype)
