"""Taobao's UserBehavior.csv, streamed: 100 million rows in a few GB of memory.

The file is read twice, in blocks. The first pass finds users, items and categories;
the second writes rows with dense ids to bucket files, each a run of whole users of
about `rows_per_bucket` rows. A bucket fits memory: it is sorted by user and time and
becomes one row group of the output. Memory grows with users, items and the size of a
bucket, not with rows.
"""

import itertools
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from tfrec import artifacts
from tfrec.data.errors import DataError
from tfrec.data.prepared import FORMAT, KIND
from tfrec.data.readers.raw import dense_ids, drop_duplicates, ids_of

BEHAVIORS = ("buy", "cart", "fav", "pv")
_COLUMNS = {
    "user": pa.int64(),
    "item": pa.int64(),
    "category": pa.int64(),
    "behavior": pa.string(),
    "timestamp": pa.int64(),
}
_ROW = np.dtype(
    [("user", "i4"), ("item", "i4"), ("timestamp", "i8"), ("behavior", "i1")]
)


def prepare(
    path: pathlib.Path,
    target: pathlib.Path,
    meta: dict[str, Any],
    *,
    overwrite: bool = False,
    block_bytes: int = 32 << 20,
    rows_per_bucket: int = 4_000_000,
) -> None:
    """Writes the prepared set of a UserBehavior.csv.

    Ids are in the order of raw ids. An item with several categories gets the lowest.
    Exact duplicates (user, item, behaviour, time) are dropped; `meta.json` counts them
    as `duplicates_dropped`.

    Args:
        path: `user,item,category,behavior,timestamp`, no header.
        target: the set's folder.
        meta: goes into `meta.json`.
        overwrite: whether an existing folder is replaced.
        block_bytes: of the file, read at a time.
        rows_per_bucket: about how many rows are sorted at a time; a user's rows are
            never divided.
    Raises: DataError: a row has another number of fields, a value another type, or an
        unknown behaviour.
    """
    users, num_rows, items, categories = _survey(path, block_bytes)
    bucket_of_user = (np.cumsum(num_rows) - num_rows) // rows_per_bucket
    meta = dict(meta)
    target.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=target.parent, prefix=".buckets.") as scratch,
        artifacts.create(
            target, kind=KIND, format=FORMAT, meta=meta, overwrite=overwrite
        ) as folder,
    ):
        buckets = _scatter(
            path, block_bytes, users, items, bucket_of_user, pathlib.Path(scratch)
        )
        written = _write_interactions(buckets, folder / "interactions.parquet")
        pq.write_table(_item_table(items, categories), folder / "items.parquet")
        ids = np.arange(1, users.size + 1, dtype=np.int32)
        table = pa.table({"user": ids, "raw_id": users})
        pq.write_table(table, folder / "users.parquet", compression="zstd")
        meta.update(
            num_users=users.size,
            num_items=items.size,
            num_interactions=written,
            duplicates_dropped=int(num_rows.sum()) - written,
            files={
                "interactions.parquet": {"rows": written},
                "items.parquet": {"rows": items.size},
                "users.parquet": {"rows": users.size},
            },
        )


def _survey(
    path: pathlib.Path, block_bytes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns raw users, their numbers of rows, raw items, their raw categories."""
    users = _Merged(np.add)
    items = _Merged(np.minimum)
    for block in _blocks(path, block_bytes):
        raw, counts = np.unique(block["user"].to_numpy(), return_counts=True)
        users.add(raw, counts)
        items.add(block["item"].to_numpy(), block["category"].to_numpy())
    if not users.size:
        raise DataError(f"`{path}` must have rows. Received: none")
    return *users.result(), *items.result()


class _Merged:
    """Keys with values combined by a ufunc, merged when new ones pile up."""

    def __init__(self, combine: np.ufunc):
        self.combine = combine
        self.pending: list[tuple[np.ndarray, np.ndarray]] = []
        self.size = 0
        self.num_pending = 0

    def add(self, keys: np.ndarray, values: np.ndarray) -> None:
        self.pending.append(self._reduce(keys, values))
        self.num_pending += self.pending[-1][0].size
        if self.num_pending > 2 * self.size:
            self.result()

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        keys, values = zip(*self.pending, strict=True)
        merged = self._reduce(np.concatenate(keys), np.concatenate(values))
        self.pending = [merged]
        self.size = self.num_pending = merged[0].size
        return merged

    def _reduce(
        self, keys: np.ndarray, values: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        first = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]][: keys.size])
        if not first.size:
            return keys, values
        return keys[first], self.combine.reduceat(values[order], first)


def _blocks(path: pathlib.Path, block_bytes: int) -> Iterator[pa.RecordBatch]:
    try:
        yield from csv.open_csv(
            path,
            csv.ReadOptions(column_names=list(_COLUMNS), block_size=block_bytes),
            csv.ParseOptions(quote_char=False),
            csv.ConvertOptions(column_types=_COLUMNS, strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        raise DataError(
            f"`{path}` must have the columns {list(_COLUMNS)}. Received: {error}"
        ) from error


def _scatter(
    path: pathlib.Path,
    block_bytes: int,
    users: np.ndarray,
    items: np.ndarray,
    bucket_of_user: np.ndarray,
    scratch: pathlib.Path,
) -> list[pathlib.Path]:
    """Appends every row to the file of its user's bucket; rows keep their order."""
    names = np.unique(bucket_of_user)
    paths = [scratch / str(name) for name in names]
    for block in _blocks(path, block_bytes):
        rows = np.empty([block.num_rows], _ROW)
        rows["user"] = ids_of(block["user"].to_numpy(), users, f"`{path}`, 'user'")
        rows["item"] = ids_of(block["item"].to_numpy(), items, f"`{path}`, 'item'")
        rows["timestamp"] = block["timestamp"].to_numpy()
        rows["behavior"] = _behavior_codes(block["behavior"], path)
        bucket = np.searchsorted(names, bucket_of_user[rows["user"] - 1])
        order = np.argsort(bucket, kind="stable")
        ends = np.cumsum(np.bincount(bucket, minlength=len(paths)))
        for name, (begin, end) in zip(
            paths, itertools.pairwise([0, *ends]), strict=True
        ):
            if end > begin:
                with name.open("ab") as file:
                    rows[order[begin:end]].tofile(file)
    return paths


def _behavior_codes(column: pa.Array, path: pathlib.Path) -> np.ndarray:
    values = column.dictionary_encode()
    names = values.dictionary.to_pylist()
    if unknown := sorted(set(names) - set(BEHAVIORS)):
        raise DataError(
            f"`{path}`, column 'behavior' must be one of {BEHAVIORS}. "
            f"Received: {unknown[0]!r}"
        )
    codes = np.array([BEHAVIORS.index(name) for name in names], np.int8)
    return codes[values.indices.to_numpy()]


def _write_interactions(buckets: list[pathlib.Path], output: pathlib.Path) -> int:
    """Sorts each bucket into a row group; returns the number of rows."""
    kind = pa.dictionary(pa.int8(), pa.string())
    schema = pa.schema(
        {"user": pa.int32(), "item": pa.int32(), "timestamp": pa.int64()}
        | {"behavior": kind}
    )
    names = pa.array(BEHAVIORS)
    num_rows = 0
    with pq.ParquetWriter(output, schema, compression="zstd") as writer:
        for bucket in buckets:
            rows = np.fromfile(bucket, _ROW)
            bucket.unlink()
            keys = [rows[n] for n in ("user", "timestamp", "item", "behavior")]
            rows = rows[drop_duplicates(keys)]
            rows = rows[np.lexsort([rows["timestamp"], rows["user"]])]
            columns = [np.ascontiguousarray(rows[n]) for n in schema.names]
            behavior = pa.DictionaryArray.from_arrays(columns.pop(), names)
            writer.write_table(pa.table([*columns, behavior], schema=schema))
            num_rows += rows.size
    return num_rows


def _item_table(items: np.ndarray, categories: np.ndarray) -> pa.Table:
    ids = np.arange(1, items.size + 1, dtype=np.int32)
    return pa.table(
        {"item": ids, "category": dense_ids(categories)[1], "raw_id": items}
    )
