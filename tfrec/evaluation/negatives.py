"""The items that a target is ranked among under the sampled protocol."""

import numpy as np

from tfrec.data.errors import DataError
from tfrec.data.prepared import PreparedDataset
from tfrec.data.splits import Examples


def official_negatives(dataset: PreparedDataset, examples: Examples) -> np.ndarray:
    """The negatives that a set comes with, table `ncf_negatives`.

    Args:
        dataset: with that table, one row a user.
        examples: each of a user with one target, which must be the table's.
    Returns: int32 `(E, 99)`, item ids.
    Raises: DataError: there is no such table, or a target is another one.
    Source: He et al. 2017 (NCF), the authors' files.
    """
    table = dataset.table("ncf_negatives")
    values, row_splits = table.ragged("negatives")
    order = np.argsort(table["user"])
    rows = order[np.searchsorted(table["user"], examples.user, sorter=order)]
    wrong = np.flatnonzero(
        (table["user"][rows] != examples.user)
        | (table["item"][rows] != examples.targets)
    )
    if wrong.size:
        user, target = examples.user[wrong[0]], examples.targets[wrong[0]]
        raise DataError(
            f"`examples` must have the targets of {dataset.name}'s ncf_negatives. "
            f"Received: user {user} with target {target}"
        )
    lengths = np.diff(row_splits)
    if (lengths != lengths[0]).any():
        raise DataError("`ncf_negatives` must have as many negatives in each row.")
    return values.reshape(len(lengths), lengths[0])[rows].astype(np.int32)


def sampled_negatives(
    dataset: PreparedDataset, examples: Examples, num: int, seed: int
) -> np.ndarray:
    """Items that a user has no row of, drawn once: uniform, none twice.

    Args:
        dataset: all its rows count as met, those held out included.
        examples: E users.
        num: of negatives a user.
        seed: the same seed gives the same items, whatever other users there are.
    Returns: int32 `(E, num)`, item ids.
    Raises: DataError: a user has met too many items.
    """
    items, splits = dataset.interactions["item"], dataset.row_splits
    found = np.empty([examples.size, num], np.int32)
    for row, user in enumerate(examples.user.tolist()):
        is_free = np.ones([dataset.num_items + 1], bool)
        is_free[0] = False
        is_free[items[splits[user - 1] : splits[user]]] = False
        free = np.flatnonzero(is_free)
        if free.size < num:
            raise DataError(
                f"`num` must be at most the {free.size} items that user {user} has no "
                f"row of. Received: {num}"
            )
        rng = np.random.default_rng([seed, user])
        found[row] = rng.choice(free, num, replace=False)
    return found
