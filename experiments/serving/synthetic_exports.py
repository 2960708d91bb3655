"""Exports of NANN and PDN with random weights: speed and memory need no training."""

import pathlib

import numpy as np
import tensorflow as tf

from experiments.nann import walk as nann_walk
from experiments.pdn import synthetic
from tfrec.data.fields import Fields
from tfrec.data.schema import Field, Schema
from tfrec.nann import config as nann_config
from tfrec.nann.export import export as export_nann
from tfrec.nann.model import Nann
from tfrec.pdn.export import export as export_pdn

_NANN_WIDTH = 64
_PDN_LIST, _PDN_TRIGGERS, _PDN_HISTORY = 100, 50, 50
_PDN_RATINGS = 5


def nann(
    path: pathlib.Path,
    num_items: int,
    walk: nann_config.WalkConfig,
    seed: int = 0,
) -> pathlib.Path:
    """Writes NANN's network of figure 9 over a synthetic graph of three levels.

    Args:
        path: the root of the versions.
        num_items: N; raw ids are 1 to N.
        walk: of `retrieve`, with an entry a level.
        seed: of graph and weights.
    Returns: the version folder.
    """
    tf.keras.utils.set_random_seed(seed)
    item = (Field("item", num_items + 1),)
    config = nann_config.user_behavior()
    model = Nann(config, Schema((Field("user", 2),), item, item), num_items)
    index = nann_walk.clustered_index(num_items, _NANN_WIDTH, seed)
    return export_nann(model, index, walk, path, max_history=config.max_history)


def pdn(path: pathlib.Path, num_items: int, seed: int = 0) -> pathlib.Path:
    """Writes PDN's default network and an index of popular items.

    Args:
        path: the root of the versions.
        num_items: N, above 100; raw ids are 1 to N.
        seed: of index and weights.
    Returns: the version folder.
    """
    train = synthetic.train_rows(100, num_items, min(50, num_items), seed)
    index = synthetic.path_index(num_items, _PDN_LIST, seed)
    model = synthetic.model(train, num_items, _PDN_HISTORY, seed)
    return export_pdn(
        model,
        index,
        _pdn_fields(num_items, seed),
        path,
        model_version=index.meta["model_version"],
        raw_user_ids=np.arange(1, synthetic.NUM_USERS + 1),
        num_triggers=_PDN_TRIGGERS,
    )


def _pdn_fields(num_items: int, seed: int) -> Fields:
    """Features by the names of the synthetic schema; raw values are numbers from 0."""
    random = np.random.default_rng(seed)
    schema = synthetic.schema(num_items, _PDN_HISTORY)
    sizes = {field.name: field.size for field in schema.user if field.name != "user"}
    vocabularies = {name: np.arange(size - 1) for name, size in sizes.items()}
    users = {
        name: random.integers(1, size, synthetic.NUM_USERS + 1, np.int32)
        for name, size in sizes.items()
    }
    return Fields(
        user=users,
        item=synthetic.item_features(num_items, seed),
        row={"rating": np.ones(1, np.int32)},
        recency=True,
        vocabularies={**vocabularies, "rating": np.arange(1.0, _PDN_RATINGS + 1)},
    )
