"""Splits against plain Python on small random sets, and their rules on real ones."""

import math

import numpy as np
import pyarrow as pa
import pytest

from tfrec.data import splits
from tfrec.data.errors import DataError

SEEDS = range(5)


def _sequences(ds):
    """{user: [(row, item)]} in the order of the file."""
    found = {user: [] for user in range(1, ds.num_users + 1)}
    rows = zip(ds.interactions["user"], ds.interactions["item"], strict=True)
    for row, (user, item) in enumerate(rows):
        found[int(user)].append((row, int(item)))
    return found


def _examples(examples):
    """[(user, history, targets)] as lists."""
    h, t = examples.history_splits, examples.target_splits
    return [
        (
            int(user),
            examples.history[h[e] : h[e + 1]].tolist(),
            examples.targets[t[e] : t[e + 1]].tolist(),
        )
        for e, user in enumerate(examples.user)
    ]


def _targets(train):
    """{source row: source rows that may be its history, itself included}."""
    return {
        int(train.source_rows[row]): train.source_rows[begin:end].tolist()
        for row, begin, end in zip(train.rows, train.begin, train.end, strict=True)
    }


def _items(pairs):
    return [item for _, item in pairs]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("min_rows", [1, 6])
def test_half_sequence(random_set, seed, min_rows):
    ds = random_set(seed)
    split = splits.half_sequence(ds, 4, 6, seed=seed, min_user_rows=min_rows)
    rows = _sequences(ds)
    validation, test = _examples(split.validation), _examples(split.test)
    assert (len(validation), len(test)) == (4, 6)
    held_out = [user for user, _, _ in validation + test]
    assert len(set(held_out)) == 10
    for user, history, targets in validation + test:
        length = len(rows[user])
        half = math.ceil(length / 2)  # the half-th behaviour, counted from 1
        assert length >= max(3, min_rows)
        assert history == _items(rows[user])[: half - 1]
        assert targets == _items(rows[user])[half - 1 : half]
    expected = {
        row: [r for r, _ in rows[user][:n]]
        for user in rows
        if user not in held_out and len(rows[user]) >= min_rows
        for n, (row, _) in enumerate(rows[user])
        if n > 0
    }
    assert _targets(split.train) == expected
    assert not np.isin(split.train.users, held_out).any()


def test_half_sequence_is_a_function_of_the_seed(random_set):
    ds = random_set(0)
    one, same, other = (splits.half_sequence(ds, 4, 6, seed=s) for s in (1, 1, 2))
    assert _examples(one.test) == _examples(same.test)
    assert _examples(one.test) != _examples(other.test)
    larger = splits.half_sequence(ds, 4, 8, seed=1)  # validation users stay
    assert _examples(larger.validation) == _examples(one.validation)


@pytest.mark.parametrize("seed", SEEDS)
def test_leave_one_out(random_set, seed):
    ds = random_set(seed, time="order")
    split = splits.leave_one_out(ds)
    rows = _sequences(ds)
    users = [user for user in rows if len(rows[user]) >= 3]
    items = {user: _items(rows[user]) for user in users}
    assert _examples(split.test) == [(u, items[u][:-1], items[u][-1:]) for u in users]
    assert _examples(split.validation) == [
        (u, items[u][:-2], items[u][-2:-1]) for u in users
    ]
    kept = {u: rows[u][:-2] if u in users else rows[u] for u in rows}
    assert _targets(split.train) == {
        row: [r for r, _ in kept[u][:n]]
        for u in rows
        for n, (row, _) in enumerate(kept[u])
        if n > 0
    }


def test_rows_of_unknown_position_are_left_out(write):
    ds = write(
        {
            "user": [1] * 6 + [2] * 4,
            "item": [9, 8, 1, 2, 3, 4, 7, 1, 2, 3],
            "order": [-1, -1, 0, 1, 2, 3, -1, 0, 1, 2],
        }
    )
    split = splits.leave_one_out(ds)
    assert _examples(split.test) == [(1, [1, 2, 3], [4]), (2, [1, 2], [3])]
    assert _targets(split.train) == {3: [2]}
    half = splits.half_sequence(ds, 1, 1, seed=0)
    found = sorted(_examples(half.validation) + _examples(half.test))
    assert found == [(1, [1], [2]), (2, [1], [2])]


def _train_or_test(rng, size):
    return np.where(rng.random(size) < 0.3, "test", "train")


@pytest.mark.parametrize("seed", SEEDS)
def test_official_without_time(random_set, seed):
    ds = random_set(seed, time=None, split=_train_or_test)
    split = splits.official(ds, 6, None, seed=seed, validation_share=0.25)
    kind = ds.interactions["split"]
    train, test = {}, {}
    for user, pairs in _sequences(ds).items():
        train[user] = {item for row, item in pairs if kind[row] == "train"}
        test[user] = {item for row, item in pairs if kind[row] == "test"}
    for user, history, targets in _examples(split.test):
        assert set(history) == train[user]
        assert set(targets) == test[user]
    both = [user for user in train if train[user] and test[user]]
    assert split.test.user.tolist() == both
    held = {}
    for user, history, targets in _examples(split.validation):
        assert len(targets) == math.ceil(0.25 * len(train[user]))
        assert len(history) + len(targets) == len(train[user])
        assert history
        assert set(history) | set(targets) == train[user]
        held[user] = set(targets)
    assert len(held) == 6
    visible = {user: train[user] - held.get(user, set()) for user in train}
    items = ds.interactions["item"]
    targets = _targets(split.train)
    assert {
        user: {int(items[r]) for r in targets if ds.interactions["user"][r] == user}
        for user in train
    } == {user: found if len(found) > 1 else set() for user, found in visible.items()}
    for row, history in targets.items():
        user = int(ds.interactions["user"][row])
        assert {int(items[r]) for r in history} == visible[user]
    assert not split.train.ordered


def test_official_draws_test_users(random_set):
    ds = random_set(3, time=None, split=_train_or_test)
    everyone = splits.official(ds, 3, None, seed=1).test
    some = splits.official(ds, 3, 5, seed=1).test
    assert some.size == 5
    assert set(some.user) < set(everyone.user)
    assert (np.diff(some.user) > 0).all()


def test_official_history_order_is_random_without_time(random_set):
    ds = random_set(3, time=None, split=_train_or_test)
    one, other = (splits.official(ds, 3, None, seed=s).test for s in (1, 2))
    assert not np.array_equal(one.history, other.history)
    np.testing.assert_array_equal(one.history_splits, other.history_splits)


@pytest.mark.parametrize("seed", SEEDS)
def test_official_prefixes(write, seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 5, 20)
    prefixes = [rng.integers(1, 10, n).tolist() for n in rng.integers(1, 6, 12)]
    targets = rng.integers(1, 10, 12).astype(np.int32)
    ds = write(
        {
            "user": np.repeat(np.arange(1, 21), lengths),
            "item": rng.integers(1, 10, lengths.sum()),
            "order": np.concatenate([np.arange(n) for n in lengths]),
        },
        items={"item": np.arange(1, 11)},
        test_prefixes={
            "history": pa.array(prefixes, pa.list_(pa.int32())),
            "target": targets,
        },
    )
    rows = _sequences(ds)
    split = splits.official(ds, 5, None, seed=seed)
    assert _examples(split.test) == [
        (0, prefix, [target]) for prefix, target in zip(prefixes, targets, strict=True)
    ]
    held = set()
    for user, history, last in _examples(split.validation):
        assert history + last == _items(rows[user])
        assert len(last) == 1
        assert history
        held.add(rows[user][-1][0])
    assert len(held) == 5
    assert _targets(split.train) == {
        row: [r for r, _ in pairs[:n]]
        for pairs in rows.values()
        for n, (row, _) in enumerate(pairs)
        if n > 0 and row not in held
    }
    some = _examples(splits.official(ds, 5, 4, seed=seed).test)
    assert len(some) == 4
    assert all(example in _examples(split.test) for example in some)


def test_ncf_leave_one_out(write):
    ds = write(
        {
            "user": [1, 1, 1, 1, 2, 2, 2],
            "item": [5, 4, 3, 2, 1, 2, 3],
            "order": [-1, 0, 1, 2, 0, 1, 2],
            "ncf_test": np.array([0, 0, 1, 0, 0, 0, 1], bool),
        },
        items={"item": [1, 2, 3, 4, 5]},
    )
    split = splits.ncf_leave_one_out(ds, 1, seed=0)
    assert _examples(split.test) == [(1, [5, 4, 2], [3]), (2, [1, 2], [3])]
    (user, history, targets), *_ = _examples(split.validation)
    assert (history, targets) == {1: ([5, 4], [2]), 2: ([1], [2])}[user]
    assert _targets(split.train) == {1: {1: [0]}, 2: {1: [0], 3: [0, 1]}}[user]


def test_errors(random_set, write):
    ordered = random_set(0)
    with pytest.raises(DataError, match=r"`num_users` must be in \[0, \d+\].*: 80"):
        splits.half_sequence(ordered, 40, 40, seed=0)
    with pytest.raises(DataError, match="must have the table 'test_prefixes' or the"):
        splits.official(ordered, 1, None, seed=0)
    with pytest.raises(DataError, match="must have the column 'ncf_test'"):
        splits.ncf_leave_one_out(ordered, 1, seed=0)
    with pytest.raises(DataError, match=r"must be at least 3. Received: 2"):
        splits.leave_one_out(ordered, min_user_rows=2)
    rows = {"user": [1, 1], "item": [1, 2]}
    with pytest.raises(DataError, match="must have time"):
        splits.half_sequence(write(rows), 0, 0, seed=0)
    with pytest.raises(DataError, match="'split' must be train or test"):
        splits.official(write(rows | {"split": ["train", "dev"]}), 0, None, seed=0)


def test_real_gowalla(require_dataset):
    ds = require_dataset("gowalla")
    split = splits.official(ds, 1000, None, seed=0)
    assert (split.test.size, split.test.targets.size) == (29_858, 217_242)
    assert split.test.history.size == 810_128
    assert split.train.items.size + split.validation.targets.size == 810_128


def test_real_diginetica(require_dataset):
    ds = require_dataset("diginetica")
    split = splits.official(ds, 2000, None, seed=0)
    assert (split.test.size, split.validation.size) == (60_858, 2000)
    assert split.train.size == 906_140 - 186_670 - 2000
