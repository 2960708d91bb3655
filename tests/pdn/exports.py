"""A model on features of every kind, its index, and what clients send for its users."""

import dataclasses
import pathlib

import numpy as np
import tensorflow as tf

from tests.pdn import indexes, problems
from tfrec.data import sequences
from tfrec.data.fields import DAY, GAP_DAYS, Fields
from tfrec.data.schema import Field
from tfrec.data.splits import Examples
from tfrec.pdn.export import export
from tfrec.pdn.index import PathIndex
from tfrec.pdn.model import Pdn

NUM_TRIGGERS, NUM_PATHS = 4, 2
RAW_USERS = 500 + 3 * np.arange(problems.NUM_USERS, dtype=np.int64)
GENDERS = np.array(["F", "M"], object)
RATINGS = np.array([0.5, 2.0, 3.5, 4.0, 5.0])
UNKNOWN = 77
SCHEMA = dataclasses.replace(
    problems.SCHEMA,
    history=(*problems.SCHEMA.history, Field("time_gap", len(GAP_DAYS) + 2)),
)


def model() -> Pdn:
    """A model of `SCHEMA` with random weights."""
    return problems.model(seed=8, schema=SCHEMA)


def fields() -> Fields:
    """Features of the users and rows of `problems.train_rows`."""
    rng = np.random.default_rng(2)
    num_rows = problems.train_rows().users.size
    seconds = rng.integers(1, 30 * DAY, num_rows)
    genders = np.append(0, rng.integers(1, 3, problems.NUM_USERS))
    return Fields(
        user={"gender": genders.astype(np.int32)},
        item={"category": problems.categories()},
        row={"rating": rng.integers(1, 6, num_rows).astype(np.int32)},
        recency=True,
        times=10**9 + np.cumsum(seconds),
        vocabularies={"gender": GENDERS, "rating": RATINGS},
    )


def examples() -> Examples:
    """A user without rows, then all users with all of theirs."""
    rows = problems.train_rows()
    users = np.arange(1, problems.NUM_USERS + 1)
    splits = np.append(0, np.searchsorted(rows.users, users, side="right"))
    return Examples(
        np.append(3, users).astype(np.int32),
        rows.items,
        np.append(0, splits),
        np.zeros(0, np.int32),
        np.zeros(users.size + 2, np.int64),
        rows.source_rows,
    )


def features() -> dict:
    """What `tfrec.data` makes of `examples` for the model."""
    batches = sequences.example_batches(
        examples(), examples().size, problems.MAX_HISTORY, fields=fields()
    )
    return next(iter(batches))


def request() -> dict[str, tf.Tensor]:
    """What a client sends for `examples`: raw ids and values, padded at the end."""
    some, values = examples(), fields()
    rows = some.history_rows

    def padded(flat: np.ndarray, padding: float) -> tf.Tensor:
        ragged = tf.RaggedTensor.from_row_splits(flat, some.history_splits)
        return ragged.to_tensor(tf.cast(padding, ragged.dtype))

    return {
        "user": tf.constant(RAW_USERS[some.user - 1]),
        "user_gender": tf.constant(GENDERS[values.user["gender"][some.user] - 1]),
        "history": padded(indexes.RAW_IDS[some.history - 1], -1),
        "history_rating": padded(
            RATINGS[values.row["rating"][rows] - 1].astype(np.float32), 0.0
        ),
        "history_timestamp": padded(values.times[rows], 0),
    }


def raw(positions: tf.Tensor) -> np.ndarray:
    """Raw item ids of positions."""
    positions = np.asarray(positions)
    return np.where(positions >= 0, indexes.RAW_IDS[positions], -1)


def write(
    model: Pdn, index: PathIndex, path: pathlib.Path, **options: object
) -> pathlib.Path:
    """Exports a model; `options` take the place of the defaults."""
    defaults = {
        "fields": fields(),
        "model_version": indexes.VERSION,
        "raw_user_ids": RAW_USERS,
        "num_triggers": NUM_TRIGGERS,
        "num_paths": NUM_PATHS,
    }
    return export(model, index, path=path, **{**defaults, **options})
