"""The prepared format: what is written is read; what breaks a rule is named."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfrec import artifacts
from tfrec.data import prepared
from tfrec.data.errors import DataError

GOOD = {"user": [1, 1, 2], "item": [2, 1, 2], "timestamp": [5, 5, 1]}


def test_round_trip(write):
    ds = write(
        GOOD | {"behavior": pa.array(["pv", "buy", "pv"]), "rating": [1.5, 2, 3]},
        items={
            "item": [1, 2],
            "category": [4, 3],
            "raw_id": ["a", "b"],
            "genres": [["x", "y"], []],
        },
        extra={"user": [2], "history": pa.array([[1, 2]], pa.list_(pa.int32()))},
    )
    assert (ds.num_users, ds.num_items, ds.meta["num_interactions"]) == (2, 2, 3)
    assert ds.time_column == "timestamp"
    np.testing.assert_array_equal(ds.row_splits, [0, 2, 3])
    np.testing.assert_array_equal(ds.interactions["rating"], [1.5, 2, 3])
    assert ds.interactions["user"].dtype == np.int32
    codes, names = ds.interactions.codes("behavior")
    assert [names[c] for c in codes] == ["pv", "buy", "pv"]
    assert list(ds.interactions["behavior"]) == ["pv", "buy", "pv"]
    values, row_splits = ds.items.ragged("genres")
    assert (list(values), list(row_splits)) == (["x", "y"], [0, 2, 2])
    np.testing.assert_array_equal(ds.item_features["category"], [0, 4, 3])
    assert list(ds.raw_item_ids) == ["a", "b"]
    assert list(ds.table("extra").ragged("history")[0]) == [1, 2]
    with pytest.raises(DataError, match="column 'genres' holds lists"):
        ds.items["genres"]
    with pytest.raises(DataError, match="must have the table 'none'"):
        ds.table("none")


def test_ragged_of_sliced_chunks():
    lists = pa.array([[9], [1, 2], [], [3]], pa.list_(pa.int32()))
    chunks = pa.chunked_array([lists.slice(1, 2), lists.slice(3, 1)])
    table = prepared.Table("t", pa.table({"a": chunks}))
    values, row_splits = table.ragged("a")
    assert (list(values), list(row_splits)) == ([1, 2, 3], [0, 2, 2, 3])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dwell": [1, 2, 3]}, "column 'dwell' must be one of"),
        ({"user": None}, "column 'user' must exist"),
        ({"rating": pa.array(["a", "b", "c"])}, "column 'rating' must be float"),
        ({"user": [2, 2, 1]}, r"user must be sorted.*1 after 2 in row 2"),
        ({"timestamp": [6, 5, 1]}, r"timestamp must be sorted.*5 after 6 in row 1"),
        ({"order": [1, 0, 0]}, "order must be sorted"),
        ({"user": [0, 1, 2]}, r"user must be in \[1, 2\]. Received: 0"),
        ({"item": [2, -1, 2]}, r"item must be in \[1, 2\]. Received: -1"),
        ({"item": [2, 3, 2]}, r"item must be in \[1, 2\]. Received: 3"),
        ({"item": [2, 2, 2]}, r"no duplicate rows.*1 duplicates.*user 1, item 2"),
        ({"item": pa.array([2, None, 2], pa.int32())}, "item must have no nulls"),
        ({"timestamp": pa.array([1, None, 2])}, "timestamp must have no nulls"),
    ],
)
def test_interactions(write, changes, message):
    rows = {k: v for k, v in (GOOD | changes).items() if v is not None}
    items = {"item": [1, 2]}
    users = {"user": np.array([1, 2], np.int32)}
    with pytest.raises(DataError, match=rf"interactions\.parquet`.*{message}"):
        write(rows, items=items, users=users)


def test_duplicates_depend_on_what_is_known(write):
    again = {"user": [1, 1, 1], "item": [1, 2, 1]}
    write(again | {"timestamp": [1, 1, 2]})
    write(again | {"order": [0, 1, 2]})
    write(again | {"timestamp": [1, 1, 1], "behavior": ["pv", "pv", "buy"]})
    with pytest.raises(DataError, match="duplicate"):  # apart, at the same time
        write(again | {"timestamp": [1, 1, 1]})
    with pytest.raises(DataError, match="duplicate"):  # apart, without time
        write(again)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"items": {"item": [1, 3]}}, r"items.*item must be in \[1, 2\]. Received: 3"),
        ({"items": {"item": [2, 1]}}, r"item must be 1, 2, ... 2. Received: 2 in row"),
        ({"items": {"item": [1, 2], "colour": [1, 2]}}, "'colour' must be one of"),
        ({"users": {"user": [1, 1]}}, r"user must be 1, 2, ... 2. Received: 1 in row"),
        (
            {"prefixes": {"history": pa.array([[1, 9]]), "target": [1]}},
            r"prefixes.*history must be in \[1, 2\]. Received: 9",
        ),
    ],
)
def test_other_tables(write, tables, message):
    with pytest.raises(DataError, match=message):
        write(GOOD, **tables)


def test_a_declared_column_is_known(tmp_path):
    meta = {"name": "x", "columns": {"interactions": {"dwell": "seconds"}}}
    rows = {k: np.array(v, np.int32) for k, v in GOOD.items() if k != "timestamp"}
    rows |= {"dwell": np.array([1.0, 2, 3])}
    prepared.write(tmp_path / "x", meta, {"interactions": rows})
    ds = prepared.read(tmp_path / "x")
    np.testing.assert_array_equal(ds.interactions["dwell"], [1, 2, 3])


def _rewrite(ds, **meta):
    """Replaces the interactions without their checksum being wrong."""
    path = ds.path / "interactions.parquet"
    pq.write_table(ds.interactions.arrow.slice(0, 2), path)
    found = json.loads((ds.path / "meta.json").read_text())
    found["files"][path.name] |= {
        "bytes": path.stat().st_size,
        "sha256": artifacts.sha256(path),
    }
    artifacts.write_json(ds.path / "meta.json", found | meta)


def test_damaged_files(write):
    ds = write(GOOD)
    path = ds.path / "interactions.parquet"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DataError, match=r"interactions\.parquet` must have \d+ bytes"):
        prepared.read(ds.path)
    with pytest.raises(DataError, match="must be a whole parquet file"):
        prepared.read(ds.path, verify=False)
    _rewrite(ds)
    with pytest.raises(DataError, match=r"rows must be 3, as meta.json says.*: 2"):
        prepared.read(ds.path)
    path.unlink()
    with pytest.raises(DataError, match="must exist"):
        prepared.read(ds.path)


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"format": 2}, "format must be 1. Received: 2"),
        ({"kind": "index"}, "kind must be 'dataset'"),
        ({"num_items": "2"}, "num_items must be a number"),
        ({"num_items": 1}, r"item must be in \[1, 1\]. Received: 2"),
        ({"files": {}}, "must have interactions"),
    ],
)
def test_meta(write, meta, message):
    ds = write(GOOD)
    found = json.loads((ds.path / "meta.json").read_text())
    artifacts.write_json(ds.path / "meta.json", found | meta)
    with pytest.raises(DataError, match=message):
        prepared.read(ds.path)


def test_a_failed_write_leaves_nothing(write, tmp_path):
    with pytest.raises(DataError):
        write(GOOD | {"user": [2, 2, 1]})
    assert list(tmp_path.iterdir()) == []


def test_sha256_is_of_the_content(write):
    one = write(GOOD).sha256
    assert write(GOOD).sha256 == one
    assert write(GOOD | {"item": [1, 2, 2]}).sha256 != one


@pytest.mark.parametrize(
    ("name", "num_users", "num_items", "num_rows"),
    [
        ("ml-1m", 6040, 3706, 1_000_209),
        ("gowalla", 29_858, 40_981, 1_027_370),
        ("diginetica", 186_670, 43_097, 906_140),
        ("amazon-beauty", 22_363, 12_101, 198_502),
        ("amazon-sports", 35_598, 18_357, 296_337),
        ("taobao-userbehavior-84k", 815, 55_368, 84_475),
    ],
)
def test_real_sets(require_dataset, name, num_users, num_items, num_rows):
    ds = require_dataset(name)
    assert (ds.num_users, ds.num_items) == (num_users, num_items)
    assert ds.interactions.num_rows == num_rows


def test_real_ml_100k(ml_100k):
    assert (ml_100k.num_users, ml_100k.num_items) == (943, 1682)
    counts = np.diff(ml_100k.row_splits)
    assert (counts.sum(), counts.min(), counts.max()) == (100_000, 20, 737)
    assert ml_100k.items["title"][0] == "Toy Story"
    assert ml_100k.item_features["category"].max() == 19
