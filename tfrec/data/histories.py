"""Histories: windows of a flat array, gathered by index arithmetic, padded last."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from tfrec.data.errors import DataError
from tfrec.data.fields import DAY, GAP_DAYS, RECENCY, TIME_GAP, Fields
from tfrec.data.splits import TargetRows


@dataclasses.dataclass(frozen=True)
class Windows:
    """T windows of a flat array.

    The j-th id of window t, j < length[t], is
    `flat[base[t] + (offset[t] + j) % modulus[t]]`. Behaviours are rows `rows[...]`, at
    the same index, of the interactions; None: there are none.
    """

    flat: np.ndarray
    rows: np.ndarray | None
    base: np.ndarray
    offset: np.ndarray
    modulus: np.ndarray
    length: np.ndarray


def training_windows(
    train: TargetRows, max_history: int, seed: int, epoch: int
) -> Windows:
    """The histories of T training targets; see `sequences.training_dataset`."""
    if train.ordered:
        return last_windows(
            train.items, train.source_rows, train.begin, train.end, max_history
        )
    # One random order of each user's rows; the L rows that follow the target in it,
    # around the end, are a uniform draw without replacement of the others.
    keys = generator(seed, "history", epoch).random(train.items.size)
    order = np.lexsort([keys, train.users])
    position = np.empty_like(order)
    position[order] = np.arange(order.size)
    num_rows = train.end - train.begin
    return Windows(
        flat=train.items[order],
        rows=train.source_rows[order],
        base=train.begin,
        offset=position[train.rows] - train.begin + 1,
        modulus=num_rows,
        length=np.minimum(num_rows - 1, max_history),
    )


def last_windows(
    flat: np.ndarray,
    rows: np.ndarray | None,
    begin: np.ndarray,
    end: np.ndarray,
    max_history: int,
) -> Windows:
    """The last `max_history` of ranges `[begin, end)` of `flat`."""
    base = np.maximum(begin, end - max_history)
    length = end - base
    zeros = np.zeros_like(base)
    return Windows(flat, rows, base, zeros, np.maximum(length, 1), length)


def history_fn(
    windows: Windows, max_history: int, fields: Fields
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Returns a function of rows (B,) -> ids of each history field (B, L)."""
    flat = tf.constant(windows.flat if windows.flat.size else np.zeros([1], np.int32))
    numbers = tf.constant(
        np.stack([windows.base, windows.offset, windows.modulus, windows.length], -1)
    )
    steps = tf.range(max_history, dtype=tf.int64)
    features = feature_tables(fields.item)
    behaviour = feature_tables(
        {k: _by_position(v, windows) for k, v in fields.row.items()}
    )
    times = None
    if fields.times is not None:
        times = tf.constant(_by_position(fields.times, windows))

    def histories(rows: tf.Tensor) -> dict[str, tf.Tensor]:
        base, offset, modulus, length = tf.split(tf.gather(numbers, rows), 4, axis=-1)
        is_real = steps < length
        index = tf.where(is_real, base + (offset + steps) % modulus, 0)

        def of_real(values: tf.Tensor) -> tf.Tensor:
            return tf.where(is_real, tf.cast(values, tf.int32), 0)

        history = with_features(of_real(tf.gather(flat, index)), features)
        for name, values in behaviour.items():
            history[name] = of_real(tf.gather(values, index))
        if fields.recency:
            history[RECENCY] = of_real(length - steps)
        if times is not None:
            last = base + (offset + tf.maximum(length, 1) - 1) % modulus
            last = tf.where(length > 0, last, 0)
            gaps = tf.gather(times, last) - tf.gather(times, index)
            history[TIME_GAP] = of_real(gap_buckets(gaps))
        return history

    return histories


def gap_buckets(seconds: tf.Tensor) -> tf.Tensor:
    """Buckets of times before the history's last, from 1: int32, see `GAP_DAYS`."""
    days = seconds // DAY
    edges = tf.constant(GAP_DAYS, tf.int64)
    flat = tf.searchsorted(edges, tf.reshape(days, [-1]), side="right")
    return tf.reshape(flat, tf.shape(days)) + 1


def _by_position(values: np.ndarray, windows: Windows) -> np.ndarray:
    """Values of interactions' rows, in the order of the flat array."""
    if windows.rows is None:
        raise DataError(
            "`fields` must not describe behaviours where histories are no rows of the "
            "interactions (test_prefixes)."
        )
    found = values[windows.rows]
    return found if found.size else np.zeros([1], values.dtype)


def feature_tables(features: Mapping[str, np.ndarray]) -> dict[str, tf.Tensor]:
    """Arrays by id as tensors."""
    return {k: tf.constant(v) for k, v in features.items()}


def with_features(
    items: tf.Tensor, features: dict[str, tf.Tensor]
) -> dict[str, tf.Tensor]:
    """Item ids of any shape and their features, by name."""
    return {"item": items, **{k: tf.gather(v, items) for k, v in features.items()}}


def generator(seed: int, stream: str, number: int) -> np.random.Generator:
    """A generator of its own for each seed, purpose and number, such as the epoch."""
    entropy = np.random.SeedSequence([seed, number, *stream.encode()])
    return np.random.Generator(np.random.Philox(entropy))
