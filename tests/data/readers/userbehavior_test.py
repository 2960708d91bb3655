"""UserBehavior.csv in many blocks and buckets, against plain Python."""

import numpy as np
import pytest

from tfrec.data import catalog, prepared
from tfrec.data.errors import DataError
from tfrec.data.readers import userbehavior

_META = {"name": "ub", "time_kind": "unix", "terms": "none", "source": "made up"}


def _rows(seed, num_rows=3000):
    """Rows in random order, with ties in time, repeats and exact duplicates."""
    rng = np.random.default_rng(seed)
    rows = [
        (
            int(rng.integers(1, 60)) ** 3,
            int(rng.integers(1, 200)) * 7,
            str(rng.choice(["pv", "pv", "buy", "cart", "fav"])),
            int(rng.integers(-3, 15)),
        )
        for _ in range(num_rows)
    ]
    rows += [rows[i] for i in rng.integers(0, num_rows, 20)]
    return [(u, i, 900 - i % 11 - (i // 7) % 2, b, t) for u, i, b, t in rows]


def _expected(rows):
    users = {u: n for n, u in enumerate(sorted({r[0] for r in rows}), 1)}
    items = {i: n for n, i in enumerate(sorted({r[1] for r in rows}), 1)}
    unique = list(dict.fromkeys(rows))
    unique.sort(key=lambda r: (users[r[0]], r[4]))  # stable: ties in file order
    return users, items, [(users[u], items[i], t, b) for u, i, _, b, t in unique]


def _write(path, rows):
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("seed", range(3))
def test_many_blocks_and_buckets(tmp_path, seed, monkeypatch):
    rows = _rows(seed)
    users, items, expected = _expected(rows)
    path = _write(tmp_path / "UserBehavior.csv", rows)
    seen = {"blocks": 0, "buckets": 0}
    blocks, write = userbehavior._blocks, userbehavior._write_interactions

    def count_blocks(*args):
        for block in blocks(*args):
            seen["blocks"] += 1
            yield block

    def count_buckets(buckets, output):
        seen["buckets"] = len(buckets)
        return write(buckets, output)

    monkeypatch.setattr(userbehavior, "_blocks", count_blocks)
    monkeypatch.setattr(userbehavior, "_write_interactions", count_buckets)
    userbehavior.prepare(
        path, tmp_path / "ub", _META, block_bytes=4096, rows_per_bucket=300
    )
    assert seen["blocks"] > 20
    assert seen["buckets"] > 5
    ds = prepared.read(tmp_path / "ub")
    found = (ds.interactions[n] for n in ("user", "item", "timestamp", "behavior"))
    assert list(zip(*found, strict=True)) == expected
    assert ds.meta["duplicates_dropped"] == len(rows) - len(expected) > 0
    assert list(ds.users["raw_id"]) == sorted(users)
    assert list(ds.raw_item_ids) == sorted(items)
    lowest = {}
    for _, item, category, _, _ in rows:
        lowest[item] = min(category, lowest.get(item, category))
    ranks = {c: n for n, c in enumerate(sorted(set(lowest.values())), 1)}
    assert list(ds.items["category"]) == [ranks[lowest[i]] for i in sorted(items)]
    assert [p.name for p in sorted(tmp_path.iterdir())] == ["UserBehavior.csv", "ub"]


def test_one_bucket_gives_the_same(tmp_path):
    path = _write(tmp_path / "UserBehavior.csv", _rows(7))
    userbehavior.prepare(path, tmp_path / "a", _META)
    userbehavior.prepare(
        path, tmp_path / "b", _META, block_bytes=1 << 12, rows_per_bucket=1
    )
    one, other = prepared.read(tmp_path / "a"), prepared.read(tmp_path / "b")
    for name, table in one.tables.items():
        for column in table:
            np.testing.assert_array_equal(table[column], other.table(name)[column])


def test_real_subset(require_dataset, tmp_path):
    ds = require_dataset("taobao-userbehavior-84k")
    rows = ds.interactions
    items = ds.items
    path = _write(
        tmp_path / "UserBehavior.csv",
        zip(
            rows["user"],
            items["raw_id"][rows["item"] - 1],
            items["category"][rows["item"] - 1],
            rows["behavior"],
            rows["timestamp"],
            strict=True,
        ),
    )
    found = catalog.prepare("taobao-userbehavior", path, tmp_path / "home")
    for column in ("user", "item", "timestamp", "behavior"):
        np.testing.assert_array_equal(found.interactions[column], rows[column])
    for column in ("item", "category", "raw_id"):
        np.testing.assert_array_equal(found.items[column], items[column])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3,pv,4\n1,2,3\n", "Expected 5 columns, got 3"),
        ("1,2,3,pv,x\n", "CSV conversion error to int64"),
        ("1,2,3,look,4\n", r"'behavior' must be one of.*Received: 'look'"),
        ("", "Empty CSV file"),
    ],
)
def test_broken_files(tmp_path, text, message):
    path = tmp_path / "UserBehavior.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"UserBehavior\.csv`.*{message}"):
        userbehavior.prepare(path, tmp_path / "ub", _META)
    assert [p.name for p in tmp_path.iterdir()] == ["UserBehavior.csv"]
