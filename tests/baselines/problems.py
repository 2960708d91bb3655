"""Small synthetic schemas, batches, negatives and models for the baselines' tests."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tests.layers import numpy_layers
from tfrec import training
from tfrec.baselines.base import Baseline
from tfrec.baselines.bst import Bst
from tfrec.baselines.config import (
    BstConfig,
    DinConfig,
    DssmConfig,
    SasRecConfig,
    YoutubeDnnConfig,
)
from tfrec.baselines.din import Din
from tfrec.baselines.dssm import Dssm
from tfrec.baselines.sasrec import SasRec
from tfrec.baselines.youtube_dnn import YoutubeDnn
from tfrec.data.negatives import Negatives
from tfrec.data.samplers import UnigramSampler
from tfrec.data.schema import Field, Schema
from tfrec.data.split_parts import TargetRows

NUM_USERS, NUM_ITEMS, NUM_CATEGORIES, LENGTH = 7, 30, 4, 6
ITEM = (Field("item", NUM_ITEMS + 1), Field("category", NUM_CATEGORIES + 1))
BEHAVIOUR = (Field("rating", 6),)
SCHEMA = Schema(
    user=(Field("user", NUM_USERS + 1), Field("gender", 3)),
    history=(*ITEM, *BEHAVIOUR),
    candidates=ITEM,
)
CONFIGS = {
    "dssm": DssmConfig(embedding_size=3, units=(6, 5)),
    "youtube_dnn": YoutubeDnnConfig(embedding_size=3, units=(6, 5)),
    "bst": BstConfig(
        embedding_size=3,
        width=4,
        num_blocks=2,
        num_heads=2,
        units=(6, 5),
        max_history=10,
    ),
    "din": DinConfig(embedding_size=3, attention_units=4, units=(6, 5)),
    "sasrec": SasRecConfig(embedding_size=6, num_negatives=3, max_history=10),
}
MODELS: dict[str, Callable[..., Baseline]] = {
    "dssm": Dssm,
    "youtube_dnn": YoutubeDnn,
    "bst": Bst,
    "din": Din,
    "sasrec": SasRec,
}
CATEGORIES = np.r_[0, np.arange(NUM_ITEMS) % NUM_CATEGORIES + 1].astype("int32")


def model(name: str, seed: int = 1, schema: Schema = SCHEMA) -> Baseline:
    """A baseline whose every trained variable is random."""
    built = MODELS[name](CONFIGS[name], schema)
    numpy_layers.randomise(built.trainable_variables, seed)
    return built


def items(ids: np.ndarray) -> dict[str, np.ndarray]:
    """Fields of items by their ids."""
    return {"item": ids, "category": CATEGORIES[ids]}


def batch(num_users: int = NUM_USERS, length: int = LENGTH, seed: int = 0) -> dict:
    """A schema batch: one positive a user, histories from empty to full."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(1, NUM_ITEMS + 1, (num_users, length), dtype=np.int32)
    rating = rng.integers(1, 6, (num_users, length), dtype=np.int32)
    is_real = np.arange(length) < np.arange(num_users)[:, None] % (length + 1)
    positives = rng.integers(1, NUM_ITEMS + 1, (num_users, 1), dtype=np.int32)
    return {
        "user": {
            "user": np.arange(1, num_users + 1, dtype=np.int32),
            "gender": rng.integers(1, 3, num_users, dtype=np.int32),
        },
        "history": {**items(drawn * is_real), "rating": rating * is_real},
        "candidates": items(positives),
        "labels": np.ones((num_users, 1), "float32"),
    }


def candidates(shape: tuple[int, ...], seed: int = 3) -> dict[str, np.ndarray]:
    """Random items of that shape."""
    rng = np.random.default_rng(seed)
    return items(rng.integers(1, NUM_ITEMS + 1, shape, dtype=np.int32))


def met_pairs() -> set[tuple[int, int]]:
    """(user, item) of the training rows: a third of all pairs."""
    return {
        (user, item)
        for user in range(1, NUM_USERS + 1)
        for item in range(1, NUM_ITEMS + 1)
        if (user + item) % 3 == 0
    }


def negatives(num_negatives: int) -> Negatives:
    """Draws all items alike."""
    users, item_ids = np.array(sorted(met_pairs()), np.int32).T
    empty = np.zeros(0, np.int64)
    rows = np.arange(users.size)
    train = TargetRows(users, item_ids, rows, empty, empty, empty, ordered=True)
    sampler = UnigramSampler(np.ones(NUM_ITEMS + 1), 0.0)
    return Negatives(sampler, {"category": CATEGORIES}, train, num_negatives)


def context(iteration: int = 0, seed: int = 0) -> training.StepContext:
    """Of a step that is run eagerly."""
    return training.StepContext(tf.constant(iteration, tf.int64), seed)
