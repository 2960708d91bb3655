"""Sampled candidates: which items they are, and that they can be had again."""

import numpy as np
import pytest

from tfrec.data.errors import DataError
from tfrec.data.prepared import PreparedDataset
from tfrec.data.split_parts import Examples
from tfrec.data.splits import leave_one_out, ncf_leave_one_out
from tfrec.data.tables import Table, to_arrow
from tfrec.evaluation.negatives import official_negatives, sampled_negatives

ROWS = {1: [2, 5, 2, 9], 2: [1, 3], 3: [4, 6, 7, 8, 10, 12]}
NUM_ITEMS = 12


def _dataset(tmp_path, tables: dict | None = None) -> PreparedDataset:
    users = np.repeat(list(ROWS), [len(items) for items in ROWS.values()])
    columns = {"user": users, "item": np.concatenate(list(ROWS.values()))}
    every = {"interactions": columns, **(tables or {})}
    made = {name: Table(name, to_arrow(columns)) for name, columns in every.items()}
    meta = {"num_users": 3, "num_items": NUM_ITEMS}
    return PreparedDataset("tiny", tmp_path, meta, made)


def _examples(users: list[int], targets: list[int], history: list[int]) -> Examples:
    count = len(users)
    splits = np.array([0] * count + [len(history)])
    return Examples(
        np.array(users, np.int32),
        np.array(history, np.int32),
        splits,
        np.array(targets, np.int32),
        np.arange(count + 1),
    )


def test_negatives_are_what_a_user_has_no_row_of(tmp_path):
    examples = _examples([1, 2, 3, 0], [9, 3, 12, 1], history=[6, 7])
    # The last is no user of the set: what it met is its history and its target.
    met = [{2, 5, 9}, {1, 3}, {4, 6, 7, 8, 10, 12}, {1, 6, 7}]
    seen = [set() for _ in met]
    for seed in range(40):
        drawn = sampled_negatives(_dataset(tmp_path), examples, 6, seed)
        assert drawn.shape == (4, 6)
        assert drawn.dtype == np.int32
        for row, ids in enumerate(drawn.tolist()):
            assert len(set(ids)) == 6
            seen[row] |= set(ids)
    assert [set(range(1, 13)) - items for items in seen] == met


def test_negatives_are_drawn_alike(ml_100k):
    examples = leave_one_out(ml_100k).test.take(np.array([7]))
    counts = np.zeros(ml_100k.num_items + 1)
    for seed in range(500):
        np.add.at(counts, sampled_negatives(ml_100k, examples, 99, seed), 1)
    left = counts[counts > 0]
    # Binomial counts of 500 draws; the mean is exact by construction.
    expected = 500 * 99 / left.size
    assert left.std() == pytest.approx(np.sqrt(expected), rel=0.1)
    assert abs(left - expected).max() < 6 * np.sqrt(expected)


def test_a_seed_and_an_example_decide(tmp_path):
    dataset = _dataset(tmp_path)
    examples = _examples([1, 2, 3], [9, 3, 12], history=[])
    whole = sampled_negatives(dataset, examples, 5, seed=1)
    part = sampled_negatives(dataset, examples.take(np.array([2, 0])), 5, seed=1)
    np.testing.assert_array_equal(part, whole[[2, 0]])
    assert (sampled_negatives(dataset, examples, 5, seed=2) != whole).any()


def test_too_few_items_are_an_error(tmp_path):
    examples = _examples([2, 3], [3, 12], history=[])
    message = "`num_negatives` must be at most 6, .* user 3. Received: 7"
    with pytest.raises(DataError, match=message):
        sampled_negatives(_dataset(tmp_path), examples, 7, 0)


def test_several_targets_are_an_error(tmp_path):
    examples = _examples([2, 3], [3, 12], history=[])
    several = Examples(
        examples.user,
        examples.history,
        examples.history_splits,
        np.array([3, 12, 10]),
        np.array([0, 1, 3]),
    )
    with pytest.raises(DataError, match="one target each. Received: 2 in example 1"):
        sampled_negatives(_dataset(tmp_path), several, 2, 0)


def _official(tmp_path, items: list[int]) -> PreparedDataset:
    table = {"user": [3, 1], "item": items, "negatives": [[1, 2, 3], [7, 8, 11]]}
    return _dataset(tmp_path, {"ncf_negatives": table})


def test_official_negatives_follow_the_users(tmp_path):
    dataset = _official(tmp_path, [12, 9])
    examples = _examples([1, 3], [9, 12], history=[])
    found = official_negatives(dataset, examples)
    np.testing.assert_array_equal(found, [[7, 8, 11], [1, 2, 3]])


def test_official_negatives_of_another_target_are_an_error(tmp_path):
    dataset = _official(tmp_path, [12, 9])
    with pytest.raises(DataError, match="Received: user 3, item 10"):
        official_negatives(dataset, _examples([1, 3], [9, 10], history=[]))
    with pytest.raises(DataError, match="Received: user 2, item 3"):
        official_negatives(dataset, _examples([2], [3], history=[]))
    with pytest.raises(DataError, match="must have the table 'ncf_negatives'"):
        official_negatives(_dataset(tmp_path), _examples([1], [9], history=[]))


def test_official_negatives_of_ml_1m(require_dataset):
    dataset = require_dataset("ml-1m")
    test = ncf_leave_one_out(dataset, 0, 0).test
    found = official_negatives(dataset, test)
    assert found.shape == (6040, 99)
    pairs = test.user[:, None].astype(np.int64) * (dataset.num_items + 1)
    rows = dataset.interactions
    keys = rows["user"].astype(np.int64) * (dataset.num_items + 1) + rows["item"]
    is_met = np.isin(pairs + found, keys)
    np.testing.assert_array_equal(is_met, found == test.targets[:, None])
    # The official table has the target itself among the negatives of some users.
    assert is_met.any(axis=1).sum() == is_met.sum() == 156
