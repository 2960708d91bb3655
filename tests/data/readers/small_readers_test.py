"""The Amazon and Gowalla readers on written-out files."""

import gzip
import json

import numpy as np
import pytest

from tfrec.data import catalog
from tfrec.data.errors import DataError

_ROWS = [  # user, item, rating, seconds
    ("B2", "0002", 5.0, 300),
    ("A1", "0009", 3.0, 200),
    ("A1", "0002", 4.0, 100),
    ("A1", "0001", 1.0, 200),
    ("A1", "0009", 3.0, 200),
]


def _assert_amazon(ds):
    assert list(ds.users["raw_id"]) == ["A1", "B2"]
    assert list(ds.raw_item_ids) == ["0001", "0002", "0009"]
    rows = ds.interactions
    np.testing.assert_array_equal(rows["user"], [1, 1, 1, 2])
    np.testing.assert_array_equal(rows["item"], [2, 3, 1, 2])
    np.testing.assert_array_equal(rows["timestamp"], [100, 200, 200, 300])
    np.testing.assert_array_equal(rows["rating"], [4, 3, 1, 5])


def test_amazon_csv(tmp_path):
    path = tmp_path / "ratings.csv"
    path.write_text("".join(f"{u},{i},{r},{t}\n" for u, i, r, t in _ROWS))
    _assert_amazon(catalog.prepare("amazon-beauty", path, tmp_path))


def test_amazon_csv_of_2023(tmp_path):
    path = tmp_path / "Beauty.csv.gz"
    lines = ["user_id,parent_asin,rating,timestamp"]
    late = 1_600_000_000  # seconds; the file has milliseconds
    lines += [f"{u},{i},{r},{late + t}123" for u, i, r, t in _ROWS]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    ds = catalog.prepare("amazon-beauty", path, tmp_path)
    rows = ds.interactions
    np.testing.assert_array_equal(rows["timestamp"] - late, [100, 200, 200, 300])
    np.testing.assert_array_equal(rows["item"], [2, 3, 1, 2])


def test_amazon_json(tmp_path):
    path = tmp_path / "reviews_Beauty_5.json.gz"
    names = ("reviewerID", "asin", "overall", "unixReviewTime")
    lines = [
        json.dumps({**dict(zip(names, row, strict=True)), "helpful": [n, 1]})
        for n, row in enumerate(_ROWS)
    ]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    _assert_amazon(catalog.prepare("amazon-beauty", path, tmp_path))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("r.csv", "a,b,1\n", "Expected 4 columns, got 3"),
        ("r.csv", "a,b,x,1\n", "CSV conversion error to float"),
        ("r.json", '{"reviewerID": "a", "asin": "b"', "JSON parse error"),
        ("r.json.gz", "not gzip", "must have the columns"),
    ],
)
def test_broken_amazon_files(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=rf"{name}`.*{message}"):
        catalog.prepare("amazon-beauty", tmp_path / name, tmp_path / "home")


def test_gowalla(tmp_path):
    (tmp_path / "train.txt").write_text("0 3 1\n1 0\n2 2 0 1\n")
    (tmp_path / "test.txt").write_text("0 2\n1\n2 3\n")
    ds = catalog.prepare("gowalla", tmp_path, tmp_path / "home")
    assert ds.time_column is None
    rows = zip(*(ds.interactions[n] for n in ("user", "item", "split")), strict=True)
    assert set(rows) == {
        *((1, 4, "train"), (1, 2, "train"), (1, 3, "test"), (2, 1, "train")),
        *((3, 3, "train"), (3, 1, "train"), (3, 2, "train"), (3, 4, "test")),
    }


def test_real_gowalla(require_dataset, tmp_path):
    ds = require_dataset("gowalla")
    user, item = ds.interactions["user"], ds.interactions["item"]
    kind = ds.interactions["split"]
    for name in ("train", "test"):
        mask = kind == name
        splits = np.searchsorted(user[mask], np.arange(1, ds.num_users + 2))
        items = (item[mask] - 1).astype(str)
        lines = [
            " ".join([str(u), *items[splits[u] : splits[u + 1]]])
            for u in range(ds.num_users)
        ]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines))
    found = catalog.prepare("gowalla", tmp_path, tmp_path / "home").interactions
    order = np.lexsort([item, user])
    np.testing.assert_array_equal(found["user"], user[order])
    np.testing.assert_array_equal(found["item"], item[order])
    np.testing.assert_array_equal(found["split"], kind[order])


def test_broken_gowalla(tmp_path):
    (tmp_path / "train.txt").write_text("0 1\n1 x\n")
    (tmp_path / "test.txt").write_text("0 2\n")
    with pytest.raises(DataError, match=r"`train\.txt`, line 2 must be whole numbers"):
        catalog.prepare("gowalla", tmp_path, tmp_path / "home")
