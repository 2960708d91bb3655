"""Targets and examples as `tf.data` batches, without Python per row.

A history is a window of one flat array of items, gathered by index arithmetic and
padded at the end. The order of the targets, and the subset that is the history in a
set without time, are pure functions of (seed, epoch).
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.data.errors import DataError
from tfrec.data.fields import (
    DAY,
    GAP_DAYS,
    HOUR,
    RECENCY,
    STEP,
    TIME_GAP,
    Fields,
    step_bucket,
)
from tfrec.data.prepared import PreparedDataset
from tfrec.data.splits import Examples, Split, TargetRows


@dataclasses.dataclass(frozen=True)
class _Windows:
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


def training_dataset(
    dataset: PreparedDataset,
    split: Split,
    batch_size: int,
    max_history: int,
    seed: int,
    epoch: int,
    examples_per_epoch: int | None = None,
    fields: Fields | None = None,
) -> tf.data.Dataset:
    """Returns the batches of one epoch; a last smaller batch is dropped.

    In a set with time the history is the last L rows before the target. In a set
    without, it is the user's other training rows, a random L of them if there are
    more, drawn anew each epoch; never the target.

    Args:
        dataset: gives the item features.
        split: its training rows.
        batch_size: B.
        max_history: L.
        seed: of all draws.
        epoch: from 0.
        examples_per_epoch: how many targets an epoch has; None: all. See
            `epoch_targets`.
        fields: what batches hold besides ids; None: the set's item features.
    Returns: schema batches: user `(B,)`, history `(B, L)`, candidates `(B, 1)`: the
        target, labels `(B, 1)`: ones; with context fields also context `(B,)`.
    Raises: DataError: there are no targets, or fewer in an epoch than a batch.
    """
    _check_sizes(batch_size, max_history)
    train = split.train
    chosen = epoch_targets(train.size, seed, epoch, examples_per_epoch)
    num_batches = chosen.size // batch_size
    if num_batches == 0:
        raise DataError(
            f"`batch_size` must be at most the {chosen.size} examples of an epoch. "
            f"Received: {batch_size}"
        )
    fields = fields or Fields(item=dataset.item_features)
    windows = _training_windows(train, max_history, seed, epoch)
    histories = _history_fn(windows, max_history, fields)
    users = _user_fn(train.users[train.rows], fields)
    targets = tf.constant(train.items[train.rows])
    features = _tables(fields.item)
    context = _tables(_context(train, fields))

    def make_batch(rows: tf.Tensor) -> dict[str, Any]:
        target = tf.gather(targets, rows)[:, tf.newaxis]
        batch = {
            "user": users(rows),
            "history": histories(rows),
            "candidates": _with_features(target, features),
            "labels": tf.ones_like(target, tf.float32),
        }
        if context:
            batch["context"] = {k: tf.gather(v, rows) for k, v in context.items()}
        return batch

    rows = chosen[: num_batches * batch_size].reshape([num_batches, batch_size])
    batches = tf.data.Dataset.from_tensor_slices(rows)
    return batches.map(make_batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def example_batches(
    examples: Examples,
    batch_size: int,
    max_history: int,
    dataset: PreparedDataset | None = None,
    fields: Fields | None = None,
) -> tf.data.Dataset:
    """Returns user `(B,)` and history `(B, L)` of examples, in order, none dropped.

    Args:
        examples: E of them; the last batch holds the rest.
        batch_size: B.
        max_history: L: the last L items are kept.
        dataset: gives the item features; None: item ids only.
        fields: what batches hold besides ids, instead of the set's item features.
    Raises: DataError: `fields` describes behaviours, but the histories of `examples`
        are no rows of the interactions.
    """
    _check_sizes(batch_size, max_history)
    if fields is None:
        fields = Fields(item={} if dataset is None else dataset.item_features)
    windows = _last_windows(
        examples.history,
        examples.history_rows,
        examples.history_splits[:-1],
        examples.history_splits[1:],
        max_history,
    )
    histories = _history_fn(windows, max_history, fields)
    users = _user_fn(examples.user, fields)

    def make_batch(rows: tf.Tensor) -> dict[str, Any]:
        return {"user": users(rows), "history": histories(rows)}

    batches = tf.data.Dataset.range(examples.size).batch(batch_size)
    return batches.map(make_batch, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def epoch_targets(
    num_targets: int, seed: int, epoch: int, examples_per_epoch: int | None = None
) -> np.ndarray:
    """Returns which targets an epoch has, in its order: int64 `(examples_per_epoch,)`.

    The passes over all targets, each in a new random order, form one endless row;
    epoch e is its e-th window of `examples_per_epoch`. So with a cap every target
    still comes once a pass, and none is favoured.
    """
    size = num_targets if examples_per_epoch is None else examples_per_epoch
    if num_targets < 1 or size < 1:
        raise DataError(
            "`num_targets` and `examples_per_epoch` must be at least 1. "
            f"Received: {num_targets}, {size}"
        )
    first, last = epoch * size, (epoch + 1) * size
    passes = range(first // num_targets, (last - 1) // num_targets + 1)
    order = [_generator(seed, "order", p).permutation(num_targets) for p in passes]
    skip = first - passes[0] * num_targets
    return np.concatenate(order)[skip : skip + size]


def _training_windows(
    train: TargetRows, max_history: int, seed: int, epoch: int
) -> _Windows:
    if train.ordered:
        return _last_windows(
            train.items, train.source_rows, train.begin, train.end, max_history
        )
    # One random order of each user's rows; the L rows that follow the target in it,
    # around the end, are a uniform draw without replacement of the others.
    keys = _generator(seed, "history", epoch).random(train.items.size)
    order = np.lexsort([keys, train.users])
    position = np.empty_like(order)
    position[order] = np.arange(order.size)
    num_rows = train.end - train.begin
    return _Windows(
        flat=train.items[order],
        rows=train.source_rows[order],
        base=train.begin,
        offset=position[train.rows] - train.begin + 1,
        modulus=num_rows,
        length=np.minimum(num_rows - 1, max_history),
    )


def _last_windows(
    flat: np.ndarray,
    rows: np.ndarray | None,
    begin: np.ndarray,
    end: np.ndarray,
    max_history: int,
) -> _Windows:
    base = np.maximum(begin, end - max_history)
    length = end - base
    zeros = np.zeros_like(base)
    return _Windows(flat, rows, base, zeros, np.maximum(length, 1), length)


def _history_fn(
    windows: _Windows, max_history: int, fields: Fields
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Returns a function of rows (B,) -> ids of each history field (B, L)."""
    flat = tf.constant(windows.flat if windows.flat.size else np.zeros([1], np.int32))
    numbers = tf.constant(
        np.stack([windows.base, windows.offset, windows.modulus, windows.length], -1)
    )
    steps = tf.range(max_history, dtype=tf.int64)
    features = _tables(fields.item)
    behaviour = _tables({k: _by_position(v, windows) for k, v in fields.row.items()})
    times = None
    if fields.times is not None:
        times = tf.constant(_by_position(fields.times, windows))

    def histories(rows: tf.Tensor) -> dict[str, tf.Tensor]:
        base, offset, modulus, length = tf.split(tf.gather(numbers, rows), 4, axis=-1)
        is_real = steps < length
        index = tf.where(is_real, base + (offset + steps) % modulus, 0)

        def of_real(values: tf.Tensor) -> tf.Tensor:
            return tf.where(is_real, tf.cast(values, tf.int32), 0)

        history = _with_features(of_real(tf.gather(flat, index)), features)
        for name, values in behaviour.items():
            history[name] = of_real(tf.gather(values, index))
        if fields.recency:
            history[RECENCY] = of_real(length - steps)
        if times is not None:
            last = base + (offset + tf.maximum(length, 1) - 1) % modulus
            history[TIME_GAP] = of_real(_gaps(times, index, last))
        return history

    return histories


def _gaps(times: tf.Tensor, index: tf.Tensor, last: tf.Tensor) -> tf.Tensor:
    days = (tf.gather(times, last) - tf.gather(times, index)) // DAY
    edges = tf.constant(GAP_DAYS, tf.int64)
    flat = tf.searchsorted(edges, tf.reshape(days, [-1]), side="right")
    return tf.reshape(flat, tf.shape(days)) + 1


def _by_position(values: np.ndarray, windows: _Windows) -> np.ndarray:
    """Values of interactions' rows, in the order of the flat array."""
    if windows.rows is None:
        raise DataError(
            "`fields` must not describe behaviours where histories are no rows of the "
            "interactions (test_prefixes)."
        )
    found = values[windows.rows]
    return found if found.size else np.zeros([1], values.dtype)


def _user_fn(
    users: np.ndarray, fields: Fields
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Returns a function of rows (B,) -> ids of each user field (B,)."""
    ids, tables = tf.constant(users), _tables(fields.user)

    def features(rows: tf.Tensor) -> dict[str, tf.Tensor]:
        found = tf.gather(ids, rows)
        return {"user": found, **{k: tf.gather(v, found) for k, v in tables.items()}}

    return features


def _context(train: TargetRows, fields: Fields) -> dict[str, np.ndarray]:
    """Ids of each context field of the targets, `(T,)`."""
    found = {}
    if fields.step:
        found[STEP] = step_bucket(train.end - train.begin)
    if fields.hours is not None:
        found[HOUR] = fields.hours[train.source_rows[train.rows]]
    return found


def _tables(features: Mapping[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {k: tf.constant(v) for k, v in features.items()}


def _with_features(
    items: tf.Tensor, features: dict[str, tf.Tensor]
) -> dict[str, tf.Tensor]:
    return {"item": items, **{k: tf.gather(v, items) for k, v in features.items()}}


def _check_sizes(batch_size: int, max_history: int) -> None:
    if batch_size < 1 or max_history < 1:
        raise DataError(
            "`batch_size` and `max_history` must be at least 1. "
            f"Received: {batch_size}, {max_history}"
        )


def _generator(seed: int, stream: str, number: int) -> np.random.Generator:
    entropy = np.random.SeedSequence([seed, number, *stream.encode()])
    return np.random.Generator(np.random.Philox(entropy))
