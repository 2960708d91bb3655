"""Batches against plain Python: every example, its history and its padding."""

import collections

import numpy as np
import pytest

from tfrec.data import schema, sequences, split_parts, splits
from tfrec.data.errors import DataError


def _examples(batches):
    """[(user, history without padding, target)] of all batches."""
    found = []
    for batch in batches:
        histories = batch["history"]["item"].numpy()
        for user, history, target in zip(
            batch["user"]["user"].numpy(),
            histories,
            batch["candidates"]["item"].numpy()[:, 0],
            strict=True,
        ):
            length = np.count_nonzero(history)
            assert not history[length:].any()  # padding is at the end only
            found.append((int(user), tuple(history[:length].tolist()), int(target)))
    return found


def _no_time(random_set, seed):
    def train_or_test(rng, size):
        return np.where(rng.random(size) < 0.3, "test", "train")

    ds = random_set(seed, time=None, split=train_or_test)
    return ds, splits.official(ds, 4, None, seed=seed)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("max_history", [1, 4, 20])
def test_ordered_histories(random_set, seed, max_history):
    ds = random_set(seed)
    split = splits.half_sequence(ds, 3, 3, seed=seed)
    batches = sequences.training_dataset(ds, split, 1, max_history, seed, epoch=2)
    users, items = ds.interactions["user"], ds.interactions["item"]
    held_out = {*split.validation.user, *split.test.user}
    expected = []
    for row in range(users.size):
        before = [int(items[r]) for r in range(row) if users[r] == users[row]]
        if before and users[row] not in held_out:
            history = tuple(before[-max_history:])
            expected.append((int(users[row]), history, int(items[row])))
    assert collections.Counter(_examples(batches)) == collections.Counter(expected)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("max_history", [1, 3, 20])
def test_histories_without_time(random_set, seed, max_history):
    ds, split = _no_time(random_set, seed)
    train = split.train
    rows = {}
    for user, item in zip(train.users, train.items, strict=True):
        rows.setdefault(int(user), set()).add(int(item))
    batches = sequences.training_dataset(ds, split, 1, max_history, seed, epoch=1)
    found = _examples(batches)
    assert len(found) == train.size
    for user, history, target in found:
        assert len(set(history)) == len(history)
        assert len(history) == min(max_history, len(rows[user]) - 1)
        assert set(history) <= rows[user] - {target}
    targets = collections.Counter((user, target) for user, _, target in found)
    assert targets == {
        (user, item): 1 for user in rows if len(rows[user]) > 1 for item in rows[user]
    }


def test_subsets_without_time_are_uniform(write):
    """Each of the C(5, 2) pairs of the other rows is the history equally often."""
    num_users = 500
    users = np.repeat(np.arange(1, num_users + 1), 6)
    ds = write({"user": users, "item": np.tile(np.arange(1, 7), num_users)})
    train = split_parts.make_targets(ds, np.arange(users.size), ordered=False)
    split = splits.Split(train, None, None)
    batches = sequences.training_dataset(ds, split, 100, 2, seed=0, epoch=0)
    for target in (1, 3):
        found = [h for _, h, t in _examples(batches) if t == target]
        pairs = collections.Counter(tuple(sorted(h)) for h in found)
        assert sum(pairs.values()) == num_users
        assert len(pairs) == 10
        expected = num_users / 10
        statistic = sum((n - expected) ** 2 / expected for n in pairs.values())
        assert statistic < 9 + 5 * np.sqrt(18)


@pytest.mark.parametrize("time", ["timestamp", None])
def test_an_epoch_is_a_function_of_seed_and_epoch(random_set, time):
    if time:
        ds = random_set(0)
        split = splits.half_sequence(ds, 3, 3, seed=0)
    else:
        ds, split = _no_time(random_set, 0)

    def epoch(seed, number):
        batches = sequences.training_dataset(ds, split, 8, 3, seed, number)
        return _examples(batches)

    assert epoch(1, 0) == epoch(1, 0)
    assert epoch(1, 0) != epoch(1, 1)
    assert epoch(1, 0) != epoch(2, 0)


@pytest.mark.parametrize("size", [1, 7, 10, 23, None])
def test_epochs_share_targets_evenly(size):
    epochs = [sequences.epoch_targets(10, 5, e, size) for e in range(10)]
    assert all(targets.size == (size or 10) for targets in epochs)
    together = np.concatenate(epochs)
    passes = together[: together.size // 10 * 10].reshape([-1, 10])
    np.testing.assert_array_equal(
        np.sort(passes), np.tile(np.arange(10), [len(passes), 1])
    )
    assert len({tuple(p) for p in passes}) == len(passes)


def test_batches_and_schema(random_set):
    ds = random_set(1)
    split = splits.half_sequence(ds, 3, 3, seed=0)
    batches = sequences.training_dataset(ds, split, 16, 5, 0, 0, examples_per_epoch=50)
    batches = list(batches)
    assert len(batches) == 3  # 50 // 16
    batch = batches[0]
    assert batch["history"]["item"].shape == (16, 5)
    np.testing.assert_array_equal(batch["labels"], np.ones([16, 1]))
    category = np.concatenate([[0], ds.items["category"]])
    for part in ("history", "candidates"):
        items = batch[part]["item"].numpy()
        np.testing.assert_array_equal(batch[part]["category"], category[items])
    found = schema.schema_for(ds)
    found.check(batch)
    assert found.tables["item"].size == ds.num_items + 1
    assert found.tables["category"].size == category.max() + 1
    assert found.tables["user"].size == ds.num_users + 1


def test_example_batches(random_set):
    ds = random_set(2)
    examples = splits.leave_one_out(ds).test
    batches = list(sequences.example_batches(examples, 8, 4, ds))
    users = np.concatenate([b["user"]["user"] for b in batches])
    np.testing.assert_array_equal(users, examples.user)
    histories = np.concatenate([b["history"]["item"] for b in batches])
    assert histories.shape == (examples.size, 4)
    for e, row in enumerate(histories):
        begin, end = examples.history_splits[e : e + 2]
        last = examples.history[max(begin, end - 4) : end]
        np.testing.assert_array_equal(row, np.pad(last, [0, 4 - last.size]))
    category = np.concatenate([[0], ds.items["category"]])
    found = np.concatenate([b["history"]["category"] for b in batches])
    np.testing.assert_array_equal(found, category[histories])
    plain = next(iter(sequences.example_batches(examples, 8, 4)))
    assert list(plain["history"]) == ["item"]


def test_errors(random_set):
    ds = random_set(0)
    split = splits.half_sequence(ds, 3, 3, seed=0)
    with pytest.raises(DataError, match=r"must be at most the 5 examples.*: 8"):
        sequences.training_dataset(ds, split, 8, 5, 0, 0, examples_per_epoch=5)
    with pytest.raises(DataError, match=r"must be at least 1. Received: 8, 0"):
        sequences.training_dataset(ds, split, 8, 0, 0, 0)
    with pytest.raises(DataError, match=r"must be at least 1. Received: 0, 0"):
        sequences.epoch_targets(0, 0, 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b["history"].pop("category"), r"`history` must have the fields"),
        (lambda b: b["user"].update(user=np.zeros([2, 1], np.int32)), "rank 1"),
        (lambda b: b.update(labels=np.zeros([2, 1], np.int64)), "labels.*float32"),
        (lambda b: b["candidates"].update(item=np.zeros([2, 1])), "must be int32"),
    ],
)
def test_schema_errors(random_set, change, message):
    ids, rows = np.zeros([2], np.int32), np.zeros([2, 3], np.int32)
    batch = {"user": {"user": ids}, "labels": np.ones([2, 1], np.float32)}
    for part in ("history", "candidates"):
        batch[part] = {"item": rows, "category": rows}
    found = schema.schema_for(random_set(0))
    found.check(batch)
    change(batch)
    with pytest.raises(DataError, match=message):
        found.check(batch)


def test_one_table_has_one_size():
    with pytest.raises(DataError, match="`item` must be one table"):
        schema.Schema((), (schema.Field("item", 3),), (schema.Field("item", 4),))
