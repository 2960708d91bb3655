"""Splits of a data set: pure functions of the set, the arguments and a seed.

A split says which rows are training targets and what each may see as history, and
holds the validation and test examples. What is held out is in no training history.
A row without anything before it is no target: the papers predict b_{k+1} from
preceding behaviours. Rows of unknown position (`order` -1) are left out, except in
`ncf_leave_one_out`.
"""

import numpy as np

from tfrec.data.errors import DataError
from tfrec.data.prepared import PreparedDataset
from tfrec.data.split_parts import (
    Examples,
    Split,
    TargetRows,
    draw,
    generator,
    make_examples,
    make_targets,
    ragged_slices,
    ranges,
    user_row_splits,
)

__all__ = [
    "Examples",
    "Split",
    "TargetRows",
    "half_sequence",
    "leave_one_out",
    "ncf_leave_one_out",
    "official",
]


def half_sequence(
    dataset: PreparedDataset,
    num_validation_users: int,
    num_test_users: int,
    seed: int,
    min_user_rows: int = 1,
) -> Split:
    """Random validation and test users; the ceil(l/2)-th behaviour is the target.

    What comes before it is the history. No row of these users is a training target
    nor a training history: training has all behaviours of the other users.

    Args:
        dataset: a set with time.
        num_validation_users: drawn among users with at least 3 rows, so that the
            history is not empty.
        num_test_users: likewise, disjoint.
        seed: of the draw.
        min_user_rows: users with fewer rows are left out of everything (the paper: 10
            on UserBehavior).
    Raises: DataError: the set has no time, or too few users.
    Source: Chen et al. 2022 (NANN), section 5.1.1.
    """
    begin, end = _user_ranges(dataset)
    lengths = end - begin
    users = np.flatnonzero(lengths >= max(3, min_user_rows))
    held_out = draw(users, num_validation_users + num_test_users, seed, "users")
    trains = lengths >= min_user_rows
    trains[held_out] = False
    target = begin + (lengths + 1) // 2 - 1
    items = dataset.interactions["item"]
    parts = []
    for part in np.split(held_out, [num_validation_users]):
        part = np.sort(part)
        history = begin[part], target[part]
        found = make_examples(part, items, history, items, _one(target[part]))
        parts.append(found)
    rows = ranges(begin[trains], end[trains])
    return Split(make_targets(dataset, rows, ordered=True), *parts)


def leave_one_out(dataset: PreparedDataset, min_user_rows: int = 3) -> Split:
    """A user's last row is the test target, the one before it validates.

    The history of each is everything before it; training has what is before both.

    Args:
        dataset: a set with time.
        min_user_rows: users with fewer rows are in training with all their rows; at
            least 3, so that the validation history is not empty.
    Raises: DataError: the set has no time, or `min_user_rows` is below 3.
    """
    if min_user_rows < 3:
        raise DataError(
            f"`min_user_rows` must be at least 3. Received: {min_user_rows}"
        )
    begin, end = _user_ranges(dataset)
    users = np.flatnonzero(end - begin >= min_user_rows)
    items = dataset.interactions["item"]
    parts = []
    for target in (end[users] - 2, end[users] - 1):
        history = begin[users], target
        parts.append(make_examples(users, items, history, items, _one(target)))
    end = end.copy()
    end[users] -= 2
    return Split(make_targets(dataset, ranges(begin, end), ordered=True), *parts)


def ncf_leave_one_out(
    dataset: PreparedDataset, num_validation_users: int, seed: int
) -> Split:
    """The official test row of He et al. 2017 (column `ncf_test`).

    All other rows are training data and the test history, in `order`, also those
    after the test row. The last remaining row of drawn users validates.

    Args:
        dataset: a set with the column `ncf_test`.
        num_validation_users: how many users lose their last training row.
        seed: of the draw.
    Raises: DataError: the set has no such column.
    """
    rows = dataset.interactions
    if "ncf_test" not in rows:
        raise DataError(
            f"`{dataset.name}` must have the column 'ncf_test'. Received: {list(rows)}"
        )
    return _by_row(dataset, rows["ncf_test"], num_validation_users, None, seed, 0.0)


def official(
    dataset: PreparedDataset,
    num_validation_users: int,
    num_test_users: int | None,
    seed: int,
    validation_share: float = 0.2,
) -> Split:
    """The split that the set comes with.

    With a table `test_prefixes`: test examples are its rows (users 0), training has
    all interactions, and the last row of drawn users with two rows or more validates.
    With a column `split`: the test targets of a user are its test rows, its history
    the train rows; of drawn users a share of the train rows validates, several
    targets each. Rows held out to validate are no training target nor in a training
    or validation history; the test history has them.

    Args:
        dataset: a set with either.
        num_validation_users: drawn among those with a history left.
        num_test_users: how many test examples are drawn; None: all.
        seed: of the draws, and of the order of rows in sets without time, so that any
            window of such a history is a random subset.
        validation_share: of a validation user's train rows, rounded up.
    Raises: DataError: the set has neither.
    """
    rows = dataset.interactions
    share = validation_share
    if "test_prefixes" in dataset.tables:
        is_test = np.zeros([rows.num_rows], bool)
        split = _by_row(dataset, is_test, num_validation_users, None, seed, share)
        test = _prefix_examples(dataset, num_test_users, seed)
        return Split(split.train, split.validation, test)
    if "split" not in rows:
        raise DataError(
            f"`{dataset.name}` must have the table 'test_prefixes' or the column "
            f"'split'. Received: {sorted(dataset.tables)}, {list(rows)}"
        )
    codes, names = rows.codes("split")
    if set(names) != {"train", "test"}:
        raise DataError(
            f"`{dataset.name}`, column 'split' must be train or test. Received: {names}"
        )
    is_test = codes == names.index("test")
    return _by_row(dataset, is_test, num_validation_users, num_test_users, seed, share)


def _by_row(
    dataset: PreparedDataset,
    is_test: np.ndarray,
    num_validation_users: int,
    num_test_users: int | None,
    seed: int,
    share: float,
) -> Split:
    """Tests on rows; validates on the end of drawn users' other rows."""
    train_rows, splits = _grouped(dataset, ~is_test, seed)
    begin, end = splits[:-1], splits[1:]
    ordered = dataset.time_column is not None
    take = 1 if ordered else np.ceil((end - begin) * share).astype(np.int64)
    keep = end - take
    users = np.flatnonzero((keep > begin) & (keep < end))
    users = np.sort(draw(users, num_validation_users, seed, "validation_users"))
    trains = np.ones([train_rows.size], bool)
    trains[ranges(keep[users], end[users])] = False
    items = dataset.interactions["item"]
    visible = items[train_rows]
    history, target = (begin[users], keep[users]), (keep[users], end[users])
    validation = make_examples(users, visible, history, visible, target, train_rows)
    test_rows, splits = _grouped(dataset, is_test, seed)
    testers = np.flatnonzero((splits[1:] > splits[:-1]) & (end > begin))
    if num_test_users is not None:
        testers = np.sort(draw(testers, num_test_users, seed, "test_users"))
    history = begin[testers], end[testers]
    target = splits[testers], splits[testers + 1]
    tested = items[test_rows]
    test = make_examples(testers, visible, history, tested, target, train_rows)
    return Split(make_targets(dataset, train_rows[trains], ordered), validation, test)


def _grouped(
    dataset: PreparedDataset, mask: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows of a mask by user, shuffled within each if there is no time."""
    users = dataset.interactions["user"]
    rows = np.arange(users.size)
    if dataset.time_column is None:
        rows = rows[np.lexsort([generator(seed, "rows").random(users.size), users])]
    rows = rows[mask[rows]]
    return rows, user_row_splits(users[rows], dataset.num_users)


def _prefix_examples(
    dataset: PreparedDataset, num_test_users: int | None, seed: int
) -> Examples:
    table = dataset.table("test_prefixes")
    values, row_splits = table.ragged("history")
    chosen = np.arange(table.num_rows)
    if num_test_users is not None:
        chosen = np.sort(draw(chosen, num_test_users, seed, "test_users"))
    return Examples(
        np.zeros([chosen.size], np.int32),
        *ragged_slices(values, row_splits[chosen], row_splits[chosen + 1]),
        table["target"][chosen],
        np.arange(chosen.size + 1, dtype=np.int64),
    )


def _one(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return rows, rows + 1


def _user_ranges(dataset: PreparedDataset) -> tuple[np.ndarray, np.ndarray]:
    """Returns [begin, end) of each user's rows of known position."""
    column = dataset.time_column
    if column is None:
        raise DataError(
            f"`{dataset.name}` must have time: a column 'order' or 'timestamp'. "
            f"Received: {list(dataset.interactions)}"
        )
    begin, end = dataset.row_splits[:-1].copy(), dataset.row_splits[1:]
    if column == "order":
        unknown = np.flatnonzero(dataset.interactions["order"] < 0)
        np.add.at(begin, dataset.interactions["user"][unknown] - 1, 1)
    return begin, end
