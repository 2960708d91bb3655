"""Items that a held-out target is ranked among under the sampled protocol."""

import numpy as np

from tfrec.data.errors import DataError
from tfrec.data.prepared import PreparedDataset
from tfrec.data.split_parts import Examples

_STREAM = b"evaluation negatives"


def official_negatives(dataset: PreparedDataset, examples: Examples) -> np.ndarray:
    """The negatives that come with a set, table `ncf_negatives`.

    Args:
        dataset: a set with that table: a row a user, with its test item.
        examples: each has one target, the one of the table.
    Returns: int32 `(E, S)` item ids; 99 on ml-1m, where 156 users have their target
        among them (`ranking.sampled_ranks` can leave it out).
    Raises: DataError: no such table, a user without a row, or another target.
    Source: He et al. 2017 (NCF), section 4.1.
    """
    _check_one_target(examples)
    table = dataset.table("ncf_negatives")
    values, splits = table.ragged("negatives")
    counts = np.unique(np.diff(splits))
    if counts.size != 1:
        raise DataError(
            f"`{dataset.name}`, table 'ncf_negatives' must have as many negatives in "
            f"each row. Received: {counts.tolist()}"
        )
    rows = np.full(dataset.num_users + 1, -1)
    rows[table["user"]] = np.arange(table.num_rows)
    found = rows[examples.user]
    is_wrong = (found < 0) | (table["item"][found] != examples.targets)
    if is_wrong.any():
        first = int(np.argmax(is_wrong))
        raise DataError(
            f"`{dataset.name}`, table 'ncf_negatives' must have the target of each "
            f"example. Received: user {examples.user[first]}, "
            f"item {examples.targets[first]}"
        )
    return values.reshape(-1, counts[0])[found].astype(np.int32)


def sampled_negatives(
    dataset: PreparedDataset, examples: Examples, num_negatives: int, seed: int
) -> np.ndarray:
    """Draws items that a user has no row of, all alike, none twice.

    What an example gets depends on the seed, its user and its target alone, so a
    selection of examples gets what all of them would.

    Args:
        dataset: what users have met, held-out rows among it.
        examples: each has one target.
        num_negatives: S, each.
        seed: of the draws.
    Returns: int32 `(E, S)` item ids.
    Raises: DataError: an example with more or fewer targets, or too few items left.
    Source: He et al. 2017 (NCF), section 4.1, without replacement.
    """
    _check_one_target(examples)
    items, row_splits = dataset.interactions["item"], dataset.row_splits
    found = np.empty([examples.size, num_negatives], np.int32)
    for row in range(examples.size):
        user, target = int(examples.user[row]), int(examples.targets[row])
        begin, end = examples.history_splits[row : row + 2]
        met = [examples.history[begin:end], np.array([target])]
        if user > 0:
            met.append(items[row_splits[user - 1] : row_splits[user]])
        generator = _generator(seed, user, target)
        positions = np.unique(np.concatenate(met)) - 1
        num_left = dataset.num_items - positions.size
        if num_left < num_negatives:
            raise DataError(
                f"`num_negatives` must be at most {num_left}, what is left for "
                f"user {user}. Received: {num_negatives}"
            )
        drawn = generator.choice(num_left, num_negatives, replace=False)
        found[row] = _left_over(drawn, positions) + 1
    return found


def _left_over(ranks: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """The positions of these ranks among those that are not in `taken`, ascending."""
    below = np.searchsorted(taken - np.arange(taken.size), ranks, side="right")
    return ranks + below


def _generator(seed: int, user: int, target: int) -> np.random.Generator:
    entropy = np.random.SeedSequence([seed, user, target, *_STREAM])
    return np.random.Generator(np.random.Philox(entropy))


def _check_one_target(examples: Examples) -> None:
    counts = np.diff(examples.target_splits)
    if (counts != 1).any():
        row = int(np.argmax(counts != 1))
        raise DataError(
            "`examples` must have one target each. "
            f"Received: {counts[row]} in example {row}"
        )
