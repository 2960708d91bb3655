"""The parts of a split and how row ranges become them."""

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
        history_rows: int64, the row of the interactions table of each id of `history`;
            None: the histories are not of that table.
    """

    user: np.ndarray
    history: np.ndarray
    history_splits: np.ndarray
    targets: np.ndarray
    target_splits: np.ndarray
    history_rows: np.ndarray | None = None

    @property
    def size(self) -> int:
        """E, the number of examples."""
        return self.user.size

    def take(self, chosen: np.ndarray) -> "Examples":
        """The examples of these positions, in their order."""
        splits, targets = self.history_splits, self.target_splits
        ends = splits[chosen], splits[chosen + 1]
        return Examples(
            self.user[chosen],
            *ragged_slices(self.history, *ends),
            *ragged_slices(self.targets, targets[chosen], targets[chosen + 1]),
            None if self.history_rows is None else self.history_rows[ranges(*ends)],
        )

    def with_history(self, is_kept: np.ndarray) -> "Examples":
        """The same examples with some rows of their histories alone.

        Args:
            is_kept: bool, one for each id of `history`.
        """
        counts = np.concatenate([[0], np.cumsum(is_kept)])
        rows = None if self.history_rows is None else self.history_rows[is_kept]
        return dataclasses.replace(
            self,
            history=self.history[is_kept],
            history_splits=counts[self.history_splits],
            history_rows=rows,
        )


@dataclasses.dataclass(frozen=True)
class Split:
    """What trains, what validates, what tests."""

    train: TargetRows
    validation: Examples
    test: Examples


def make_targets(
    dataset: PreparedDataset, source_rows: np.ndarray, ordered: bool
) -> TargetRows:
    """Makes targets of interaction rows; those without history are none.

    Args:
        dataset: gives users and items.
        source_rows: `(R,)` row numbers, grouped by user, in time order when `ordered`.
        ordered: whether a history is what comes before, or the user's other rows.
    """
    users = dataset.interactions["user"][source_rows]
    splits = user_row_splits(users, dataset.num_users)
    rows = np.arange(users.size)
    begin, end = splits[users - 1], splits[users]
    if ordered:
        end = rows
    has_history = end - begin > (0 if ordered else 1)
    return TargetRows(
        users=users,
        items=dataset.interactions["item"][source_rows],
        source_rows=source_rows,
        rows=rows[has_history],
        begin=begin[has_history],
        end=end[has_history],
        ordered=ordered,
    )


def make_examples(
    users: np.ndarray,
    items: np.ndarray,
    history: tuple[np.ndarray, np.ndarray],
    target_items: np.ndarray,
    target: tuple[np.ndarray, np.ndarray],
    source_rows: np.ndarray | None = None,
) -> Examples:
    """Makes examples of ranges.

    Args:
        users: `(E,)` 0-based users.
        items: the flat array that histories are ranges of.
        history: begin and end `(E,)` in `items`.
        target_items: the flat array that targets are ranges of.
        target: begin and end `(E,)` in `target_items`.
        source_rows: the interactions row of each of `items`; None: its own position.
    """
    rows = ranges(*history)
    return Examples(
        (users + 1).astype(np.int32),
        *ragged_slices(items, *history),
        *ragged_slices(target_items, *target),
        rows if source_rows is None else source_rows[rows],
    )


def ragged_slices(
    values: np.ndarray, begin: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the values of ranges, one after the other, and their row_splits."""
    splits = np.concatenate([[0], np.cumsum(end - begin)]).astype(np.int64)
    return values[ranges(begin, end)], splits


def ranges(begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Concatenates `arange(begin[i], end[i])` over i."""
    lengths = end - begin
    starts = np.cumsum(lengths) - lengths
    rows = np.repeat(begin - starts, lengths)
    rows += np.arange(rows.size)
    return rows


def user_row_splits(users: np.ndarray, num_users: int) -> np.ndarray:
    """int64 `(num_users + 1,)`: user u has `users[row_splits[u - 1] : row_splits[u]]`.

    Args:
        users: ascending, from 1.
        num_users: how many there are, with or without rows.
    """
    return np.searchsorted(users, np.arange(1, num_users + 2)).astype(np.int64)


def draw(population: np.ndarray, num: int, seed: int, what: str) -> np.ndarray:
    """Returns `num` of the population, drawn without replacement.

    Raises: DataError: there are fewer; the message names `num_<what>`.
    """
    if not 0 <= num <= population.size:
        raise DataError(
            f"`num_{what}` must be in [0, {population.size}], the number that has "
            f"enough rows. Received: {num}"
        )
    return generator(seed, what).permutation(population)[:num]


def generator(seed: int, stream: str) -> np.random.Generator:
    """A generator of its own for each seed and purpose."""
    entropy = np.random.SeedSequence([seed, *stream.encode()])
    return np.random.Generator(np.random.Philox(entropy))
