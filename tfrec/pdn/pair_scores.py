"""SimNet of a model in this process, as the function that the index build calls."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.pdn.index_shards import ScorePairs
from tfrec.pdn.model import Pdn
from tfrec.pdn.retrieval import known_fields


def pair_scorer(model: Pdn, item_features: Mapping[str, Any]) -> ScorePairs:
    """Scores pairs of item ids by a model with scalar paths.

    Args:
        model: whose s_ji, eq. 9, is asked for.
        item_features: `{name: (N + 1,)}`, features of an item besides its id; row 0 is
            padding. Items may be newer than the model: see `known_fields`.
    Raises: ValueError: paths are vectors.
    """
    if model.config.path_width != 1:
        raise ValueError(
            "`model` must have scalar paths. "
            f"Received: path_width={model.config.path_width}"
        )
    tables = {name: tf.constant(values) for name, values in item_features.items()}

    @tf.function(reduce_retracing=True)
    def score(triggers: tf.Tensor, items: tf.Tensor) -> tf.Tensor:
        pairs = []
        for ids in (triggers, items):
            fields = {name: tf.gather(table, ids) for name, table in tables.items()}
            pairs.append(known_fields(model, {**fields, "item": ids}))
        return model.similarity(*pairs)[..., 0]

    def score_pairs(triggers: np.ndarray, items: np.ndarray) -> np.ndarray:
        return score(tf.constant(triggers), tf.constant(items)).numpy()

    return score_pairs
