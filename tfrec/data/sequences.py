"""Targets and examples as `tf.data` batches, without Python per row.

The order of the targets, and the subset that is the history in a set without time, are
pure functions of (seed, epoch).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.data.errors import DataError
from tfrec.data.fields import HOUR, STEP, Fields, step_bucket
from tfrec.data.histories import (
    feature_tables,
    generator,
    history_fn,
    last_windows,
    training_windows,
    with_features,
)
from tfrec.data.prepared import PreparedDataset
from tfrec.data.splits import Examples, Split, TargetRows


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
    windows = training_windows(train, max_history, seed, epoch)
    histories = history_fn(windows, max_history, fields)
    users = _user_fn(train.users[train.rows], fields)
    targets = tf.constant(train.items[train.rows])
    features = feature_tables(fields.item)
    context = feature_tables(_context(train, fields))

    def make_batch(rows: tf.Tensor) -> dict[str, Any]:
        target = tf.gather(targets, rows)[:, tf.newaxis]
        batch = {
            "user": users(rows),
            "history": histories(rows),
            "candidates": with_features(target, features),
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
    windows = last_windows(
        examples.history,
        examples.history_rows,
        examples.history_splits[:-1],
        examples.history_splits[1:],
        max_history,
    )
    histories = history_fn(windows, max_history, fields)
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
    order = [generator(seed, "order", p).permutation(num_targets) for p in passes]
    skip = first - passes[0] * num_targets
    return np.concatenate(order)[skip : skip + size]


def _user_fn(
    users: np.ndarray, fields: Fields
) -> Callable[[tf.Tensor], dict[str, tf.Tensor]]:
    """Returns a function of rows (B,) -> ids of each user field (B,)."""
    ids, tables = tf.constant(users), feature_tables(fields.user)

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


def _check_sizes(batch_size: int, max_history: int) -> None:
    if batch_size < 1 or max_history < 1:
        raise DataError(
            "`batch_size` and `max_history` must be at least 1. "
            f"Received: {batch_size}, {max_history}"
        )
