"""Profiles, behaviours and moments in batches, against plain Python."""

import numpy as np
import pytest

from tfrec.data import fields, schema, sequences, split_parts, splits
from tfrec.data.errors import DataError

DAY = fields.DAY


@pytest.fixture
def dataset(write):
    """User 1 has 6 rows, user 2 has 3; ratings 1 to 5; some days between them."""
    days = np.array([0, 0, 1, 3, 9, 9, 0, 400, 1500])
    return write(
        {
            "user": np.array([1] * 6 + [2] * 3, np.int32),
            "item": np.array([1, 2, 3, 4, 5, 6, 1, 3, 7], np.int32),
            "timestamp": days * DAY + 7 * 3600,
            "rating": np.array([5, 1, 3, 3, 5, 1, 4, 5, 1], np.float32),
        },
        users={
            "user": np.array([1, 2], np.int32),
            "gender": ["M", "F"],
        },
    )


def batches(dataset, max_history, **what):
    found = fields.fields_for(dataset, **what)
    train = split_parts.make_targets(dataset, np.arange(9), ordered=True)
    split = splits.Split(train, None, None)
    found_schema = schema.schema_for(dataset, found, max_history)
    batch_list = list(
        sequences.training_dataset(
            dataset, split, 1, max_history, 0, 0, fields=found
        ).as_numpy_iterator()
    )
    for batch in batch_list:
        found_schema.check(batch)
    by_target = {
        10 * int(b["candidates"]["item"][0, 0]) + int(b["user"]["user"][0]): b
        for b in batch_list
    }
    return by_target, found_schema


def test_behaviours_and_profiles(dataset):
    found, found_schema = batches(
        dataset,
        4,
        user=("gender",),
        behaviour=("rating", "recency", "time_gap"),
        context=("step", "hour"),
    )
    batch = found[61]  # user 1's last row: the four before it are the history
    assert batch["history"]["item"].tolist() == [[2, 3, 4, 5]]
    assert batch["history"]["rating"].tolist() == [[1, 2, 2, 4]]  # of 1, 3, 4, 5
    assert batch["history"]["recency"].tolist() == [[4, 3, 2, 1]]
    # 9, 8, 6 and 0 days before the history's last: [8, 16), [8, 16), [4, 8), below 1.
    assert batch["history"]["time_gap"].tolist() == [[5, 5, 4, 1]]
    assert batch["user"]["gender"].tolist() == [2]
    assert batch["context"] == {"step": [3], "hour": [8]}
    short = found[32]  # user 2: one row before it
    assert short["history"]["item"].tolist() == [[1, 0, 0, 0]]
    assert short["history"]["recency"].tolist() == [[1, 0, 0, 0]]
    assert short["history"]["time_gap"].tolist() == [[1, 0, 0, 0]]
    assert short["user"]["gender"].tolist() == [1]
    names = [field.name for field in found_schema.behaviour]
    assert names == ["rating", "recency", "time_gap"]
    assert found_schema.tables["recency"].size == 5


def test_examples_see_the_same(dataset):
    """The batch of a test example is that of a training target with its history."""
    found, _ = batches(dataset, 4, user=("gender",), behaviour=("rating", "time_gap"))
    test = splits.leave_one_out(dataset).test
    what = fields.fields_for(dataset, ("gender",), ("rating", "time_gap"))
    examples = sequences.example_batches(test, 2, 4, fields=what)
    (batch,) = examples.as_numpy_iterator()
    for row, key in enumerate((61, 72)):
        for name, values in found[key]["history"].items():
            np.testing.assert_array_equal(batch["history"][name][row], values[0])
    assert batch["user"]["gender"].tolist() == [2, 1]


def test_taken_examples_keep_their_rows(dataset):
    test = splits.leave_one_out(dataset).test
    one = test.take(np.array([1]))
    assert one.user.tolist() == [2]
    assert one.history.tolist() == [1, 3]
    assert one.history_rows.tolist() == [6, 7]
    assert one.targets.tolist() == [7]


def test_part_of_the_histories(dataset):
    test = splits.leave_one_out(dataset).test
    part = test.with_history(test.history_rows % 2 == 0)
    assert part.history_rows.tolist() == [0, 2, 4, 6]
    assert part.history.tolist() == [1, 3, 5, 1]
    assert part.history_splits.tolist() == [0, 3, 4]
    assert part.targets.tolist() == test.targets.tolist()


def test_unknown_hours_are_zero(write):
    dataset = write(
        {
            "user": np.ones(3, np.int32),
            "item": np.arange(1, 4, dtype=np.int32),
            "order": np.arange(3, dtype=np.int32),
            "timestamp": np.array([0, 3600, 7200]),
            "timestamp_exact": np.array([True, False, True]),
        }
    )
    hours = fields.fields_for(dataset, context=("hour",)).hours
    assert hours.tolist() == [1, 0, 3]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"user": ("shoe_size",)}, "must have the column 'shoe_size'"),
        ({"behaviour": ("dwell",)}, "must have the column 'dwell'"),
        ({"context": ("position",)}, "must be of 'step', 'hour'"),
    ],
)
def test_refuses(dataset, what, message):
    with pytest.raises(DataError, match=message):
        fields.fields_for(dataset, **what)


def test_histories_of_elsewhere_have_no_behaviours(dataset):
    what = fields.fields_for(dataset, behaviour=("rating",))
    ones = np.array([0, 1])
    prefix = splits.Examples(np.array([0]), np.array([3]), ones, np.array([4]), ones)
    with pytest.raises(DataError, match="no rows of the interactions"):
        sequences.example_batches(prefix, 1, 2, fields=what)
