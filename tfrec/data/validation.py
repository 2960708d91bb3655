"""The rules of the prepared format, as checks that name what breaks them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from tfrec.data.errors import DataError
from tfrec.data.tables import Table

_STRING = "string"
_RAW = "int16, int32, int64 or string"
_TYPES = {
    "user": "int32",
    "item": "int32",
    "timestamp": "int64",
    "order": "int32",
    "rating": "float",
    "behavior": _STRING,
    "split": _STRING,
    "timestamp_exact": "bool",
    "ncf_item": "int32",
    "ncf_test": "bool",
    "category": "int32",
    "raw_id": _RAW,
    "title": _STRING,
    "genres": "list<string>",
    "attributes": "list<int32>",
}
_COLUMNS = {
    "interactions": (
        "user",
        "item",
        "timestamp",
        "order",
        "rating",
        "behavior",
        "split",
        "timestamp_exact",
        "ncf_item",
        "ncf_test",
    ),
    "items": ("item", "category", "raw_id", "title", "genres", "attributes"),
}
_REQUIRED = {"interactions": ("user", "item"), "items": ("item",), "users": ("user",)}
_ITEM_COLUMNS = ("item", "history", "target", "negatives")


def time_column(interactions: Mapping[str, Any]) -> str | None:
    """The column that orders a user's rows: `order`, else `timestamp`, else None."""
    return next((c for c in ("order", "timestamp") if c in interactions), None)


def check_tables(
    where: str, meta: Mapping[str, Any], tables: Mapping[str, Table]
) -> None:
    """Checks the tables of a set against the format and against `meta`.

    Args:
        where: the set's folder, for messages.
        meta: the content of `meta.json`; columns beyond the format's are declared as
            `{"columns": {table: {column: meaning}}}`.
        tables: by name.
    Raises: DataError: names the file, the column, the rule and the value.
    """
    if "interactions" not in tables:
        raise DataError(
            f"`{where}` must have interactions.parquet. Received: {sorted(tables)}"
        )
    for key in ("num_users", "num_items", "num_interactions"):
        if not isinstance(meta.get(key), int):
            raise DataError(
                f"`{where}/meta.json`, {key} must be a number. "
                f"Received: {meta.get(key)!r}"
            )
    for name, table in tables.items():
        file = f"{where}/{name}.parquet"
        _check_columns(file, name, table, meta.get("columns", {}).get(name, {}))
        expected = meta["files"][f"{name}.parquet"].get("rows", table.num_rows)
        if table.num_rows != expected:
            rule = f"must be {expected}, as meta.json says"
            raise _error(file, "rows", rule, table.num_rows)
        _check_ids(file, table, meta)
    file = f"{where}/interactions.parquet"
    rows = tables["interactions"]
    if rows.num_rows != meta["num_interactions"]:
        rule = f"must be num_interactions={meta['num_interactions']}"
        raise _error(file, "rows", rule, rows.num_rows)
    _check_order(file, rows)
    _check_duplicates(file, rows)
    for name, key in (("items", "item"), ("users", "user")):
        if name in tables:
            file = f"{where}/{name}.parquet"
            _check_dense(file, tables[name][key], key, meta[f"num_{name}"])


def _check_columns(
    file: str, name: str, table: Table, declared: Mapping[str, str]
) -> None:
    schema = table.arrow.schema
    if name in _COLUMNS:
        unknown = sorted(set(schema.names) - set(_COLUMNS[name]) - set(declared))
        if unknown:
            raise DataError(
                f"`{file}`, column {unknown[0]!r} must be one of {_COLUMNS[name]} "
                f"or be declared in meta.json `columns`. Received: {unknown}"
            )
    if missing := sorted(set(_REQUIRED.get(name, ())) - set(schema.names)):
        raise DataError(
            f"`{file}`, column {missing[0]!r} must exist. Received: {schema.names}"
        )
    if name not in _REQUIRED:
        return
    for field in schema:
        if field.name in declared or (name == "users" and field.name != "user"):
            continue
        expected = _TYPES[field.name]
        found = _type_name(field.type)
        if found != expected and not (expected == _RAW and found in _RAW):
            raise DataError(
                f"`{file}`, column {field.name!r} must be {expected}. Received: {found}"
            )


def _type_name(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        return _type_name(kind.value_type)
    if pa.types.is_list(kind):
        return f"list<{_type_name(kind.value_type)}>"
    return _STRING if pa.types.is_large_string(kind) else str(kind)


def _check_ids(file: str, table: Table, meta: Mapping[str, Any]) -> None:
    for column in table:
        if column == "user":
            limit = meta["num_users"]
        elif column in _ITEM_COLUMNS:
            limit = meta["num_items"]
        else:
            continue
        _check_no_nulls(file, table, column)
        is_list = pa.types.is_list(table.arrow.schema.field(column).type)
        ids = table.ragged(column)[0] if is_list else table[column]
        if ids.size:
            low, high = int(ids.min()), int(ids.max())
            if low < 1 or high > limit:
                wrong = low if low < 1 else high
                raise _error(file, column, f"must be in [1, {limit}]", wrong)


def _check_no_nulls(file: str, table: Table, column: str) -> None:
    if nulls := table.arrow[column].null_count:
        raise _error(file, column, "must have no nulls", nulls)


def _check_order(file: str, rows: Table) -> None:
    users = rows["user"]
    falls = np.flatnonzero(users[1:] < users[:-1])
    if falls.size:
        row = int(falls[0]) + 1
        value = f"{users[row]} after {users[row - 1]} in row {row}"
        raise _error(file, "user", "must be sorted: rows are grouped by user", value)
    column = time_column(rows)
    if column is None:
        return
    _check_no_nulls(file, rows, column)
    time = rows[column]
    falls = np.flatnonzero((time[1:] < time[:-1]) & (users[1:] == users[:-1]))
    if falls.size:
        row = int(falls[0]) + 1
        value = f"{time[row]} after {time[row - 1]} in row {row} of user {users[row]}"
        raise _error(file, column, "must be sorted within a user", value)


def _check_duplicates(file: str, rows: Table) -> None:
    """Raises at a duplicate: the same user, item, time and behaviour.

    An item may come back at another time. Without a time column it comes once.
    """
    keys = [rows["user"], rows["item"]]
    column = time_column(rows)
    subset = None
    if column is not None:  # only rows that share user and time can be duplicates
        time = rows[column]
        tie = (time[1:] == time[:-1]) & (keys[0][1:] == keys[0][:-1])
        near = np.zeros([rows.num_rows], bool)
        near[1:] |= tie
        near[:-1] |= tie
        subset = np.flatnonzero(near)
        keys.append(time)
    if "behavior" in rows:
        keys.append(rows.codes("behavior")[0])
    if subset is not None:
        keys = [key[subset] for key in keys]
    order = np.lexsort(keys[::-1])
    same = np.ones([max(order.size - 1, 0)], bool)
    for key in keys:
        key = key[order]
        same &= key[1:] == key[:-1]
    found = np.flatnonzero(same)
    if found.size:
        row = int(order[found[0] + 1])
        row = row if subset is None else int(subset[row])
        names = ", ".join(["user", "item", *([column] if column else [])])
        value = (
            f"{found.size} duplicates, the first in row {row}: "
            f"user {rows['user'][row]}, item {rows['item'][row]}"
        )
        raise _error(file, names, "must have no duplicate rows", value)


def _check_dense(file: str, ids: np.ndarray, column: str, size: int) -> None:
    expected = np.arange(1, size + 1)
    if np.array_equal(ids, expected):
        return
    value = f"{ids.size} rows"
    if ids.size == size:
        row = int(np.flatnonzero(ids != expected)[0])
        value = f"{ids[row]} in row {row}"
    raise _error(file, column, f"must be 1, 2, ... {size}", value)


def _error(file: str, column: str, rule: str, value: Any) -> DataError:
    return DataError(f"`{file}`, {column} {rule}. Received: {value}")
