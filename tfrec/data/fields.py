"""Features besides item and user ids, discretised: what a batch can hold more.

The paper's features are one-hot or are made so (Li et al. 2021 (PDN), section 4.2), so
every feature here is an int32 id, 0 where it is unknown or padding.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from tfrec.data.errors import DataError
from tfrec.data.prepared import PreparedDataset
from tfrec.data.tables import Table

RECENCY = "recency"
TIME_GAP = "time_gap"
STEP = "step"
HOUR = "hour"
DAY = 86_400
# A gap of bucket b, b > 1, is at least GAP_DAYS[b - 2] and below GAP_DAYS[b - 1].
GAP_DAYS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
MAX_STEP = 16


@dataclasses.dataclass(frozen=True)
class Fields:
    """The features of a data set that batches hold besides ids.

    Attributes:
        user: int32 `(num_users + 1,)` by user id; row 0 is no user of training.
        item: int32 `(num_items + 1,)` by item id; row 0 is padding.
        row: int32 `(num_interactions,)` by row of the interactions: of a behaviour.
        recency: whether a behaviour has its rank from the end of the history, from 1.
        times: int64 `(num_interactions,)` seconds; a behaviour then has the bucket of
            its time before the history's last; None: it has none.
        hours: int32 `(num_interactions,)` of a target, 1 to 24, 0 where unknown.
        step: whether a target has the bucket of its position among the user's rows.
        vocabularies: the values of a column that `user` or `row` has, in the order of
            their ids, from id 1.
    """

    user: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    item: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    row: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    recency: bool = False
    times: np.ndarray | None = None
    hours: np.ndarray | None = None
    step: bool = False
    vocabularies: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def behaviour_sizes(self, max_history: int) -> dict[str, int]:
        """Number of ids of each behaviour field, 0 included, by name."""
        sizes = {name: _size(values) for name, values in self.row.items()}
        if self.recency:
            sizes[RECENCY] = max_history + 1
        if self.times is not None:
            sizes[TIME_GAP] = len(GAP_DAYS) + 2
        return sizes

    def context_sizes(self) -> dict[str, int]:
        """Number of ids of each context field, 0 included, by name."""
        sizes = {STEP: MAX_STEP + 1} if self.step else {}
        return sizes if self.hours is None else {**sizes, HOUR: 25}


def fields_for(
    dataset: PreparedDataset,
    user: Sequence[str] = (),
    behaviour: Sequence[str] = (),
    context: Sequence[str] = (),
) -> Fields:
    """Discretises columns of a data set; item features are all that it has.

    Args:
        dataset: with the columns that are named.
        user: columns of `users`, each distinct value an id.
        behaviour: `"recency"`, `"time_gap"` (needs real times), or columns of the
            interactions, such as `"rating"`, each distinct value an id.
        context: `"step"`, `"hour"` (needs times; 0 where they are not exact).
    Raises: DataError: a column is not there.
    """
    rows = dataset.interactions
    columns = [name for name in behaviour if name not in (RECENCY, TIME_GAP)]
    unknown = [name for name in context if name not in (STEP, HOUR)]
    if unknown:
        raise DataError(f"`context` must be of 'step', 'hour'. Received: {unknown}")
    found = {name: _codes(rows, name) for name in columns}
    profile = {name: _codes(dataset.users, name) for name in user}
    return Fields(
        user={name: _by_user(dataset, codes) for name, (_, codes) in profile.items()},
        item=dataset.item_features,
        row={name: codes for name, (_, codes) in found.items()},
        recency=RECENCY in behaviour,
        times=_column(rows, "timestamp") if TIME_GAP in behaviour else None,
        hours=_hours(rows) if HOUR in context else None,
        step=STEP in context,
        vocabularies={
            name: values for name, (values, _) in {**profile, **found}.items()
        },
    )


def step_bucket(num_before: np.ndarray) -> np.ndarray:
    """1 + floor(log2(1 + n)) of the rows before a target, at most `MAX_STEP`."""
    buckets = 1 + np.log2(1.0 + num_before).astype(np.int32)
    return np.minimum(buckets, MAX_STEP).astype(np.int32)


def _by_user(dataset: PreparedDataset, codes: np.ndarray) -> np.ndarray:
    values = np.zeros([dataset.num_users + 1], np.int32)
    if dataset.users is not None:
        values[dataset.users["user"]] = codes
    return values


def _codes(table: Table | None, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The distinct values of a column, and their ids from 1 in each row."""
    values, codes = np.unique(_column(table, name), return_inverse=True)
    return values, (codes + 1).astype(np.int32)


def _hours(rows: Table) -> np.ndarray:
    hours = (_column(rows, "timestamp") // 3600 % 24 + 1).astype(np.int32)
    if "timestamp_exact" in rows:
        hours[~rows["timestamp_exact"]] = 0
    return hours


def _column(table: Table | None, name: str) -> np.ndarray:
    if table is None or name not in table:
        what = ("users", []) if table is None else (table.name, list(table))
        raise DataError(
            f"`{what[0]}` must have the column {name!r}. Received: {what[1]}"
        )
    return table[name]


def _size(values: np.ndarray) -> int:
    return int(values.max(initial=0)) + 1
