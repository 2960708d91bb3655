"""The prepared format, version 1: `<set>/meta.json` and parquet tables.

`docs/data.md` describes it. Everything here is NumPy and arrow, no TensorFlow.
"""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from tfrec import artifacts
from tfrec.data import validation
from tfrec.data.errors import DataError
from tfrec.data.tables import Table, read_table, to_arrow

FORMAT = 1
KIND = "dataset"


@dataclasses.dataclass(frozen=True)
class PreparedDataset:
    """A data set in memory.

    Attributes:
        name: for example `"ml-1m"`.
        path: its folder.
        meta: the content of `meta.json`.
        tables: by name, `interactions` always among them.
    """

    name: str
    path: pathlib.Path
    meta: dict[str, Any]
    tables: dict[str, Table]

    def table(self, name: str) -> Table:
        """Returns a table; DataError when the set has none of that name."""
        if name not in self.tables:
            raise DataError(
                f"`{self.name}` must have the table {name!r}. "
                f"Received: {sorted(self.tables)}"
            )
        return self.tables[name]

    @property
    def interactions(self) -> Table:
        """The rows of users and items, grouped by user in time order."""
        return self.tables["interactions"]

    @property
    def items(self) -> Table | None:
        """One row an item, or None."""
        return self.tables.get("items")

    @property
    def users(self) -> Table | None:
        """One row a user, or None."""
        return self.tables.get("users")

    @property
    def num_users(self) -> int:
        """Users have ids 1 to this."""
        return self.meta["num_users"]

    @property
    def num_items(self) -> int:
        """Items have ids 1 to this."""
        return self.meta["num_items"]

    @property
    def time_column(self) -> str | None:
        """What orders a user's rows: `order`, else `timestamp`, else None."""
        return validation.time_column(self.interactions)

    @functools.cached_property
    def row_splits(self) -> np.ndarray:
        """int64 `(num_users + 1,)`: user u has rows `row_splits[u - 1 : u + 1]`."""
        users = self.interactions["user"]
        return np.searchsorted(users, np.arange(1, self.num_users + 2)).astype(np.int64)

    @functools.cached_property
    def item_features(self) -> dict[str, np.ndarray]:
        """Each item feature, int32 `(num_items + 1,)` by item id; row 0 is padding.

        Only `category` so far, where the item table has it.
        """
        features = {}
        if self.items is not None and "category" in self.items:
            values = np.zeros([self.num_items + 1], np.int32)
            values[self.items["item"]] = self.items["category"]
            features["category"] = values
        return features

    @functools.cached_property
    def raw_item_ids(self) -> np.ndarray:
        """Raw id of item ids 1..num_items `(num_items,)`: numbers or strings."""
        if self.items is not None and "raw_id" in self.items:
            return self.items["raw_id"]
        return np.arange(1, self.num_items + 1, dtype=np.int64)

    @functools.cached_property
    def sha256(self) -> str:
        """One checksum of the whole set: over names and sha256 of its files."""
        return checksum(self.meta)


def checksum(meta: Mapping[str, Any]) -> str:
    """`PreparedDataset.sha256` of the set that has this `meta.json`."""
    files = {name: file["sha256"] for name, file in meta["files"].items()}
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()


def read(path: str | os.PathLike, *, verify: bool = True) -> PreparedDataset:
    """Reads and checks a prepared set.

    Args:
        path: its folder.
        verify: whether checksums and all rows are checked.

    Raises:
        FileNotFoundError: there is no `meta.json`.
        DataError: names the file, the column, the rule and the value.
    """
    path = pathlib.Path(path)
    try:
        meta = artifacts.load(path, kind=KIND, format=FORMAT, verify=verify)
    except artifacts.ArtifactError as error:
        raise DataError(str(error)) from error
    tables = {}
    for name in meta["files"]:
        if name.endswith(".parquet"):
            tables[name.removesuffix(".parquet")] = read_table(path / name)
    name = meta.get("name", path.name)
    if verify:
        validation.check_tables(str(path), meta, tables)
    elif "interactions" not in tables:
        raise DataError(f"`{path}` must have interactions.parquet.")
    return PreparedDataset(name, path, meta, tables)


def write(
    path: str | os.PathLike,
    meta: Mapping[str, Any],
    tables: Mapping[str, Mapping[str, Any]],
    *,
    overwrite: bool = False,
) -> None:
    """Checks tables and writes them as a prepared set.

    Args:
        path: the folder; it appears whole or not at all.
        meta: at least `name`, `time_kind`, `terms`, `source`; counts are added.
        tables: columns by name by table; `interactions` is required.
        overwrite: whether an existing folder is replaced.
    Raises: DataError: as `read`.
    """
    arrow = {name: Table(name, to_arrow(columns)) for name, columns in tables.items()}
    if "interactions" not in arrow:
        raise DataError(f"`{path}` must have interactions. Received: {sorted(arrow)}")
    content = {
        **meta,
        **counts(arrow),
        "files": {f"{name}.parquet": {"rows": t.num_rows} for name, t in arrow.items()},
    }
    validation.check_tables(str(path), content, arrow)
    with artifacts.create(
        path, kind=KIND, format=FORMAT, meta=content, overwrite=overwrite
    ) as folder:
        for name, table in arrow.items():
            pq.write_table(table.arrow, folder / f"{name}.parquet", compression="zstd")


def counts(tables: Mapping[str, Table]) -> dict[str, int]:
    """Returns num_users, num_items and num_interactions of a set's tables."""
    rows = tables["interactions"]
    sizes = {}
    for name, table, column in (
        ("num_users", tables.get("users"), "user"),
        ("num_items", tables.get("items"), "item"),
    ):
        sizes[name] = table.num_rows if table else int(rows[column].max(initial=0))
    return {**sizes, "num_interactions": rows.num_rows}
