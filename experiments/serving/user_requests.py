"""What a client would send for a user of a data set, and the titles of what it gets."""

from collections.abc import Mapping

import numpy as np

from tfrec.data.prepared import PreparedDataset
from tfrec.data.tables import Table
from tfrec.serving.client_calls import SignatureInfo, TensorInfo

MAX_HISTORY = 50


def raw_item_ids(dataset: PreparedDataset) -> np.ndarray:
    """The ids that exports take, int64 `(N,)`: dense ones where raw are no numbers."""
    return _numbers(dataset.raw_item_ids)


def titles(dataset: PreparedDataset) -> dict[int, str]:
    """Titles by raw item id, where the set has them."""
    items = dataset.items
    if items is None or "title" not in items:
        return {}
    codes, names = items.codes("title")
    ids = raw_item_ids(dataset).tolist()
    return dict(zip(ids, (names[code] for code in codes), strict=True))


def request_of(
    dataset: PreparedDataset, signature: SignatureInfo, user: int, k: int
) -> dict[str, np.ndarray]:
    """The inputs of `retrieve` for one user: the columns that the inputs are named for.

    Args:
        dataset: that the model was trained on.
        signature: `retrieve` of NANN or of PDN.
        user: id, from 1.
        k: results.
    Returns: inputs with a batch of one; 0 or "" where the data has no such column.
    """
    begin, end = dataset.row_splits[user - 1 : user + 1]
    rows = np.arange(max(begin, end - MAX_HISTORY), end)
    items = dataset.interactions["item"][rows]
    values: dict[str, np.ndarray] = {
        "history": raw_item_ids(dataset)[items - 1][np.newaxis],
        "user": _user_ids(dataset)[user - 1 : user],
        "k": np.array(k),
    }
    for name, info in signature.inputs.items():
        if name not in values:
            values[name] = _column(dataset, name, info, user, rows)
    return {
        name: values[name].astype(info.dtype) for name, info in signature.inputs.items()
    }


def _column(
    dataset: PreparedDataset, name: str, info: TensorInfo, user: int, rows: np.ndarray
) -> np.ndarray:
    """Values of an input `user_<column>` `(1,)` or `history_<column>` `(1, L)`."""
    table, _, column = name.partition("_")
    if table == "history":
        found = _values(dataset.interactions, column, rows, info)
        return found[np.newaxis]
    return _values(dataset.users, column, np.array([user - 1]), info)


def _values(
    table: Table | None, column: str, rows: np.ndarray, info: TensorInfo
) -> np.ndarray:
    if table is None or column not in table:
        return np.full(rows.shape, "" if info.dtype == object else 0, info.dtype)
    values = np.asarray(table[column])[rows]
    if info.dtype == object or np.issubdtype(values.dtype, np.number):
        return values
    return np.zeros(rows.shape, info.dtype)


def _user_ids(dataset: PreparedDataset) -> np.ndarray:
    users: Mapping | Table | None = dataset.users
    if users is not None and "raw_id" in users:
        return _numbers(users["raw_id"])
    return np.arange(1, dataset.num_users + 1, dtype=np.int64)


def _numbers(ids: np.ndarray) -> np.ndarray:
    if ids.dtype.kind in "iu":
        return ids.astype(np.int64)
    return np.arange(1, len(ids) + 1, dtype=np.int64)
