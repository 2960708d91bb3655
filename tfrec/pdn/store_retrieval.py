"""Retrieval whose index is in a key-value store: the lists of a user's triggers alone.

The same eq. 14 as `tfrec.pdn.retrieval`, for an index that outgrows the process, or
that other processes replace while this one serves.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec import ops as tfrec_ops
from tfrec.pdn.index_store import read_lists
from tfrec.pdn.model import Pdn
from tfrec.pdn.retrieval import PathRetriever, Retrieved
from tfrec.stores import Store, StoreError


class StoreRetriever:
    """Retrieves by a model in this process and lists in a store.

    Args:
        retriever: the model, m, P and q_i; the lists of its own index may be empty.
        store: holds the index, written by `tfrec.pdn.index_store.write_to_store`.
        model_version: of the model; an index of another one is refused.
    """

    def __init__(self, retriever: PathRetriever, store: Store, model_version: str):
        self._retriever = retriever
        self._store = store
        self._model_version = model_version

    @property
    def model(self) -> Pdn:
        """The model whose TrigNet weighs the triggers."""
        return self._retriever.model

    def retrieve(
        self,
        features: Mapping[str, Any],
        k: int,
        excluded: Any = None,
        available: Any = None,
    ) -> Retrieved:
        """The best items over the users' paths, all lists of one version of the index.

        Args:
            features: of the schema.
            k: K, at least 1.
            excluded: int32 `(B, S)` positions that a user does not get, -1 pads.
            available: bool `(N,)`, False for delisted items; None: all are there. Items
                newer than the retriever are left out by it.
        Raises:
            ArtifactError: the version has lost an item.
            ValueError: `available` is of another length.
            StoreError: the current version is of another model (both are named), or
                has newer items, whose q_i the retriever does not have.
            StoreUnavailable: the store does not answer: nobody gets a partial list.
                The same call works once it is back.
        """
        positions, weights, users = self._retriever.weigh(features)
        triggers = np.unique(positions.numpy())
        triggers = triggers[triggers >= 0]
        lists, similarities = read_lists(self._store, triggers, self._model_version)
        ids = np.union1d(triggers, lists.values).astype(np.int32)
        degrees = np.zeros(ids.size, np.int64)
        degrees[np.searchsorted(ids, triggers)] = np.diff(lists.row_splits)
        if excluded is None:
            excluded = np.zeros([len(positions), 0], np.int32)
        available = self._available(available)
        found = Retrieved(
            *tfrec_ops.path_top_k(
                _places(ids, positions.numpy()),
                weights,
                _places(ids, lists.values),
                similarities,
                np.concatenate([[0], np.cumsum(degrees)]),
                users,
                self._vectors(ids),
                _places(ids, np.asarray(excluded)),
                available if not available.size else _at(available, ids),
                k,
                num_paths=self._retriever.num_paths,
            )
        )
        return found._replace(
            positions=_positions(ids, found.positions.numpy()),
            path_triggers=_positions(ids, found.path_triggers.numpy()),
        )

    def _available(self, available: Any) -> np.ndarray:
        """The items that may be returned, bool `(N,)`; `(0,)` stands for all."""
        available = np.zeros(0, bool) if available is None else np.asarray(available)
        if available.shape not in ((0,), (self._retriever.num_items,)):
            raise ValueError(
                "`available` must have a value for each of the retriever's "
                f"{self._retriever.num_items} items. Received: shape {available.shape}"
            )
        return available

    def _vectors(self, ids: np.ndarray) -> Any:
        """q_i of ascending positions `(C,)`."""
        vectors = self._retriever.item_vectors
        num_items, width = vectors.shape
        if not width:
            return tf.zeros([ids.size, 0])
        if ids.size and ids[-1] >= num_items:
            raise StoreError(
                f"The index in the store must have the retriever's {num_items} items: "
                "newer ones need a retriever with their features. "
                f"Received: position {ids[-1]}"
            )
        return tf.gather(vectors, ids)


def _at(available: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The values at positions; False behind the end."""
    last = available.size - 1
    return available[np.minimum(positions, last)] & (positions <= last)


def _places(ids: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Where positions are among ascending `ids`, int32; -1 where they are not."""
    if not ids.size:
        return np.full(positions.shape, -1, np.int32)
    places = np.minimum(np.searchsorted(ids, positions), ids.size - 1)
    return np.where(ids[places] == positions, places, -1).astype(np.int32)


def _positions(ids: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The positions at places among `ids`; -1 where there is none."""
    if not ids.size:
        return places
    return np.where(places >= 0, ids[np.maximum(places, 0)], -1).astype(np.int32)
