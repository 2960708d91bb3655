"""Counts of pairs against sets, and that a training pair does not see itself."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.pdn import problems
from tfrec.pdn.config import CooccurrenceConfig
from tfrec.pdn.cooccurrence import NUM_BUCKETS, Cooccurrence

N = problems.NUM_ITEMS


def histories(train, without_user=None):
    """Item lists of users."""
    found = {}
    for user, item in zip(train.users.tolist(), train.items.tolist(), strict=True):
        if user != without_user:
            found.setdefault(user, []).append(item)
    return found


def oracle(lists, j, i, windows):
    """count, cosine; P(i | j) and shares of j's users with i soon after; of i's."""
    of_j = [items for items in lists if j in items]
    both = sum(i in items for items in of_j)
    near = []
    for window in windows:
        after = [items[items.index(j) + 1 :][:window] for items in of_j]
        near.append(sum(i in soon for soon in after))
    num_j = max(len(of_j), 1)
    num_i = max(sum(i in items for items in lists), 1)
    shares = [[count / size for count in (both, *near)] for size in (num_j, num_i)]
    return [both, both / (num_j * num_i) ** 0.5, *shares[0], *shares[1]]


def unique_rows(seed):
    """Rows in which no user has an item twice."""
    train = problems.train_rows(seed)
    keys = train.users * 1000 + train.items
    keep = np.sort(np.unique(keys, return_index=True)[1])
    return problems.split_parts.TargetRows(
        train.users[keep],
        train.items[keep],
        keep,
        np.arange(keep.size),
        np.zeros(keep.size, int),
        np.arange(keep.size),
        True,
    )


@pytest.mark.parametrize("seed", range(3))
def test_against_sets(seed):
    train = unique_rows(seed)
    windows = (1, 2, 5)
    counts = Cooccurrence(train, N, CooccurrenceConfig(windows))
    lists = list(histories(train).values())
    j, i = np.meshgrid(np.arange(1, N + 1), np.arange(1, N + 1), indexing="ij")
    found = counts.statistics(tf.constant(j, tf.int32), tf.constant(i, tf.int32))
    for a, b in itertools.product(range(1, N + 1), repeat=2):
        if a != b:
            expected = oracle(lists, a, b, windows)
            np.testing.assert_allclose(found[a - 1, b - 1], expected, rtol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_a_training_pair_does_not_see_itself(seed):
    """With `own`, the counts are those of rows from which the target was taken."""
    train = unique_rows(seed)
    windows = (1, 3)
    counts = Cooccurrence(train, N, CooccurrenceConfig(windows))
    everybody = histories(train)
    checked = 0
    for user, items in everybody.items():
        for place in range(1, len(items)):
            target = items[place]
            # Nothing else of the user changes: its earlier behaviours still count.
            left = [x for u, x in everybody.items() if u != user]
            left.append([*items[:place], -1, *items[place + 1 :]])
            for gap in range(1, place + 1):
                j = items[place - gap]
                found = counts.statistics(
                    tf.constant([j]),
                    tf.constant([target]),
                    tf.constant([1.0]),
                    tf.constant([gap]),
                )
                expected = oracle(left, j, target, windows)
                np.testing.assert_allclose(found[0], expected, rtol=1e-5)
                checked += 1
    assert checked > 100


def test_held_out_rows_do_not_enter(ml_100k):
    """No pair of the validation or test targets is counted: only training rows are."""
    from tfrec.data import splits

    split = splits.leave_one_out(ml_100k)
    counts = Cooccurrence(split.train, ml_100k.num_items, CooccurrenceConfig())
    train = set(
        zip(split.train.users.tolist(), split.train.items.tolist(), strict=True)
    )
    for examples in (split.validation, split.test):
        for user, target in zip(examples.user, examples.targets, strict=True):
            assert (int(user), int(target)) not in train
    per_item = np.bincount(split.train.items, minlength=ml_100k.num_items + 1)
    matrix = counts.counts.tocoo()
    assert (matrix.data <= np.minimum(per_item[matrix.row], per_item[matrix.col])).all()
    lengths = np.bincount(split.train.users).astype(np.int64)
    assert matrix.data.sum() == (lengths * (lengths - 1)).sum()


def test_items_that_come_back_count_once():
    train = problems.split_parts.TargetRows(
        np.ones(4, np.int32),
        np.array([1, 2, 1, 2], np.int32),
        np.arange(4),
        np.arange(4),
        np.zeros(4, int),
        np.arange(4),
        True,
    )
    counts = Cooccurrence(train, 3, CooccurrenceConfig((1,)))
    assert counts.counts[1, 2] == 1


def test_a_set_without_time_has_no_windows():
    train = problems.train_rows(ordered=False)
    counts = Cooccurrence(train, N, CooccurrenceConfig((1, 5)))
    names = ("count", "cosine", "conditional", "conditional_of_item")
    assert counts.feature_names == names
    found = counts.buckets(tf.constant([1]), tf.constant([2]), tf.constant([1.0]))
    assert found.shape == (1, 4)


def test_buckets():
    """Two an octave: of 1 + count, of a share times 2^15; 0 is 0."""
    counts = problems.cooccurrence()
    j, i = tf.constant([[1], [2], [3]]), tf.constant([[4, 5, 6]])
    values = counts.statistics(j, i).numpy().astype(np.float64)
    scale = np.array([1.0, *[2.0**15] * 7])
    expected = np.ceil(2 * np.log2(1 + values * scale)).astype(int)
    found = counts.buckets(j, i).numpy()
    assert (np.abs(found - expected) <= 1).all()  # a float32 logarithm at an edge
    assert (found == np.minimum(expected, NUM_BUCKETS - 1)).mean() > 0.9
    assert (found[values == 0] == 0).all()


def test_missing_scipy_is_named():
    code = (
        "import sys; sys.modules['scipy'] = None\n"
        "from tests.pdn import problems\n"
        "problems.cooccurrence()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert 'pip install "tfrec[pdn]"' in done.stderr
