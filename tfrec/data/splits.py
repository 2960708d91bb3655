"""Splits of a data set: pure functions of the set, the arguments and a seed.

A split says which rows are training targets and what each may see as history, and
holds the validation and test examples. What is held out is in no training history.
A row without anything before it is no target: the papers predict b_{k+1} from
preceding behaviours. Rows of unknown position (`order` -1) are left out, except in
`ncf_leave_one_out`.
"""

import dataclasses

import numpy as np

from tfrec.data.errors import DataError
from tfrec.data.prepared import PreparedDataset


@dataclasses.dataclass(frozen=True)
class TargetRows:
    """The rows that training sees, R of them, and the T targets among them.

    Attributes:
        users: int32 `(R,)`, ascending.
        items: int32 `(R,)`, in time order within a user.
        source_rows: int64 `(R,)`, the row numbers in the interactions table.
        rows: int64 `(T,)`, positions in `items` of the targets.
        begin: int64 `(T,)`; with `end` the positions that are a target's history.
        end: int64 `(T,)`; equals `rows` when ordered, else the range holds the target.
        ordered: False: a history is the user's other rows, the target left out.
    """

    users: np.ndarray
    items: np.ndarray
    source_rows: np.ndarray
    rows: np.ndarray
    begin: np.ndarray
    end: np.ndarray
    ordered: bool

    @property
    def size(self) -> int:
        """T, the number of targets."""
        return self.rows.size


@dataclasses.dataclass(frozen=True)
class Examples:
    """E users to evaluate.

    Attributes:
        user: int32 `(E,)`; 0: the user is not one of training (a test session).
        history: int32 item ids of all users, in time order.
        history_splits: int64 `(E + 1,)`.
        targets: int32 item ids to find.
        target_splits: int64 `(E + 1,)`.
    """

    user: np.ndarray
    history: np.ndarray
    history_splits: np.ndarray
    targets: np.ndarray
    target_splits: np.ndarray

    @property
    def size(self) -> int:
        """E, the number of examples."""
        return self.user.size


@dataclasses.dataclass(frozen=True)
class Split:
    train: TargetRows
    validation: Examples
    test: Examples


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
    held_out = _draw(users, num_validation_users + num_test_users, seed, "users")
    target = begin + (lengths + 1) // 2 - 1
    parts = [held_out[:num_validation_users], held_out[num_validation_users:]]
    examples = [
        _examples(dataset, np.sort(part), begin, target, target, target + 1)
        for part in parts
    ]
    trains = lengths >= min_user_rows
    trains[held_out] = False
    return Split(_ordered_targets(dataset, begin, end, trains), *examples)


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
    last = end.copy()
    last[users] -= 2
    everyone = np.ones([begin.size], bool)
    return Split(
        _ordered_targets(dataset, begin, last, everyone),
        _examples(dataset, users, begin, end - 2, end - 2, end - 1),
        _examples(dataset, users, begin, end - 1, end - 1, end),
    )


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
    return _held_out_rows(
        dataset, ~rows["ncf_test"], rows["ncf_test"], num_validation_users, seed
    )


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
    if "test_prefixes" in dataset.tables:
        train = np.ones([rows.num_rows], bool)
        split = _held_out_rows(dataset, train, ~train, num_validation_users, seed)
        return dataclasses.replace(
            split, test=_prefix_examples(dataset, num_test_users, seed)
        )
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
    train = codes == names.index("train")
    return _held_out_rows(
        dataset,
        train,
        ~train,
        num_validation_users,
        seed,
        num_test_users,
        validation_share,
    )


def _held_out_rows(
    dataset: PreparedDataset,
    train: np.ndarray,
    test: np.ndarray,
    num_validation_users: int,
    seed: int,
    num_test_users: int | None = None,
    share: float | None = None,
) -> Split:
    """Splits by row masks; carves validation out of `train`: the last row of drawn
    users, or a share of their rows in a set without time."""
    users = dataset.interactions["user"]
    ordered = dataset.time_column is not None
    rows = np.arange(users.size)
    if not ordered:
        rows = rows[np.lexsort([_generator(seed, "rows").random(users.size), users])]
    visible = rows[train[rows]]
    splits = _row_splits(users[visible], dataset.num_users)
    lengths = np.diff(splits)
    take = np.ones_like(lengths)
    if share is not None and not ordered:
        take = np.ceil(lengths * share).astype(np.int64)
    drawn = _draw(
        np.flatnonzero(lengths > take), num_validation_users, seed, "validation"
    )
    drawn.sort()
    first = splits[1:] - take
    held = _ranges(first[drawn], splits[1:][drawn])
    kept = np.ones([visible.size], bool)
    kept[held] = False
    targets = rows[test[rows]]
    target_splits = _row_splits(users[targets], dataset.num_users)
    testers = np.flatnonzero((np.diff(target_splits) > 0) & (lengths > 0))
    if num_test_users is not None:
        testers = np.sort(_draw(testers, num_test_users, seed, "test"))
    items = dataset.interactions["item"]
    part = np.flatnonzero(kept)
    return Split(
        _targets(dataset, visible[part], ordered),
        Examples(
            (drawn + 1).astype(np.int32),
            *_ragged(items[visible], splits[:-1][drawn], first[drawn]),
            *_ragged(items[visible], first[drawn], splits[1:][drawn]),
        ),
        Examples(
            (testers + 1).astype(np.int32),
            *_ragged(items[visible], splits[:-1][testers], splits[1:][testers]),
            *_ragged(
                items[targets], target_splits[:-1][testers], target_splits[1:][testers]
            ),
        ),
    )


def _prefix_examples(
    dataset: PreparedDataset, num_test_users: int | None, seed: int
) -> Examples:
    table = dataset.table("test_prefixes")
    values, row_splits = table.ragged("history")
    chosen = np.arange(table.num_rows)
    if num_test_users is not None:
        chosen = np.sort(_draw(chosen, num_test_users, seed, "test"))
    return Examples(
        np.zeros([chosen.size], np.int32),
        *_ragged(values, row_splits[:-1][chosen], row_splits[1:][chosen]),
        table["target"][chosen],
        np.arange(chosen.size + 1, dtype=np.int64),
    )


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


def _ordered_targets(
    dataset: PreparedDataset, begin: np.ndarray, end: np.ndarray, trains: np.ndarray
) -> TargetRows:
    users = np.flatnonzero(trains)
    return _targets(dataset, _ranges(begin[users], end[users]), ordered=True)


def _targets(
    dataset: PreparedDataset, source_rows: np.ndarray, ordered: bool
) -> TargetRows:
    users = dataset.interactions["user"][source_rows]
    splits = _row_splits(users, dataset.num_users)
    rows = np.arange(users.size)
    begin, end = splits[users - 1], splits[users]
    if ordered:
        end = rows
    has_history = (end - begin) > (0 if ordered else 1)
    return TargetRows(
        users,
        dataset.interactions["item"][source_rows],
        source_rows,
        rows[has_history],
        begin[has_history],
        end[has_history],
        ordered,
    )


def _examples(
    dataset: PreparedDataset,
    users: np.ndarray,
    begin: np.ndarray,
    history_end: np.ndarray,
    target_begin: np.ndarray,
    target_end: np.ndarray,
) -> Examples:
    items = dataset.interactions["item"]
    return Examples(
        (users + 1).astype(np.int32),
        *_ragged(items, begin[users], history_end[users]),
        *_ragged(items, target_begin[users], target_end[users]),
    )


def _ragged(
    values: np.ndarray, begin: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    splits = np.concatenate([[0], np.cumsum(end - begin)]).astype(np.int64)
    return values[_ranges(begin, end)], splits


def _ranges(begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Concatenates `arange(begin[i], end[i])` over i."""
    lengths = end - begin
    starts = np.cumsum(lengths) - lengths
    return np.repeat(begin - starts, lengths) + np.arange(lengths.sum())


def _row_splits(users: np.ndarray, num_users: int) -> np.ndarray:
    return np.searchsorted(users, np.arange(1, num_users + 2))


def _draw(population: np.ndarray, num: int, seed: int, what: str) -> np.ndarray:
    if not 0 <= num <= population.size:
        raise DataError(
            f"`num_{what}` must be in [0, {population.size}], the users that have "
            f"enough rows. Received: {num}"
        )
    return _generator(seed, what).permutation(population)[:num]


def _generator(seed: int, stream: str) -> np.random.Generator:
    entropy = np.random.SeedSequence([seed, *stream.encode()])
    return np.random.Generator(np.random.Philox(entropy))
