"""A small set of interactions with every kind of feature, and models over it."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from tfrec.data import split_parts
from tfrec.data.schema import Field, Schema
from tfrec.pdn.config import CooccurrenceConfig, PdnConfig
from tfrec.pdn.cooccurrence import Cooccurrence
from tfrec.pdn.model import Pdn

NUM_ITEMS, NUM_USERS, MAX_HISTORY = 30, 25, 8
SCHEMA = Schema(
    user=(Field("user", NUM_USERS + 1), Field("gender", 3)),
    history=(
        Field("item", NUM_ITEMS + 1),
        Field("category", 5),
        Field("rating", 6),
        Field("recency", MAX_HISTORY + 1),
    ),
    candidates=(Field("item", NUM_ITEMS + 1), Field("category", 5)),
    context=(Field("step", 9),),
)
CONFIG = PdnConfig(
    embedding_size=4,
    behaviour_size=3,
    cooccurrence_size=2,
    trigger_units=(6, 5),
    similarity_units=(7, 5),
    direct_units=(6, 4),
    max_history=MAX_HISTORY,
    initial_path=-1.0,
    initial_direct=-0.5,
    cooccurrence=CooccurrenceConfig(windows=(1, 3)),
)


def categories() -> np.ndarray:
    """A category of each item id; 0 is padding's."""
    values = np.random.default_rng(5).integers(1, 5, NUM_ITEMS + 1)
    values[0] = 0
    return values.astype(np.int32)


def train_rows(seed: int = 0, ordered: bool = True) -> split_parts.TargetRows:
    """Rows of 25 users, some of whom have an item twice."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 12, NUM_USERS)
    users = np.repeat(np.arange(1, NUM_USERS + 1), lengths).astype(np.int32)
    items = rng.integers(1, NUM_ITEMS + 1, users.size).astype(np.int32)
    splits = split_parts.user_row_splits(users, NUM_USERS)
    rows = np.arange(users.size)
    begin = splits[users - 1]
    return split_parts.TargetRows(users, items, rows, rows, begin, rows, ordered)


def cooccurrence(config: PdnConfig = CONFIG, seed: int = 0) -> Cooccurrence:
    """Counts of `train_rows`."""
    return Cooccurrence(train_rows(seed), NUM_ITEMS, config.cooccurrence)


def model(seed: int = 0, schema: Schema = SCHEMA, **changes: object) -> Pdn:
    """A model with random weights, biases included, the same ones for a seed."""
    keras.utils.set_random_seed(seed)
    config = dataclasses.replace(CONFIG, **changes)
    made = Pdn(config, schema, cooccurrence(config))
    rng = np.random.default_rng(seed)
    for variable in made.trainable_variables:
        noise = rng.normal(0, 0.5, variable.shape).astype(np.float32)
        variable.assign(variable.value + noise)
    return made


def features(num_users: int = 5, seed: int = 1) -> dict:
    """Users with histories of 0 to 8 behaviours."""
    rng = np.random.default_rng(seed)
    lengths = np.array([0, MAX_HISTORY, *rng.integers(1, MAX_HISTORY, num_users)])
    lengths = lengths[:num_users, None]
    is_real = np.arange(MAX_HISTORY) < lengths
    shape = is_real.shape
    history = {
        "item": rng.integers(1, NUM_ITEMS + 1, shape) * is_real,
        "rating": rng.integers(1, 6, shape) * is_real,
        "recency": (lengths - np.arange(MAX_HISTORY)) * is_real,
    }
    history["category"] = categories()[history["item"]]
    user = {
        "user": rng.integers(1, NUM_USERS + 1, num_users),
        "gender": rng.integers(1, 3, num_users),
    }
    to_tensor = lambda part: {k: tf.constant(v, tf.int32) for k, v in part.items()}  # noqa: E731
    return {"user": to_tensor(user), "history": to_tensor(history)}


def items(ids: np.ndarray) -> dict:
    """Candidate fields of ids."""
    ids = np.asarray(ids, np.int32)
    return {"item": tf.constant(ids), "category": tf.constant(categories()[ids])}
