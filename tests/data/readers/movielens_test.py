"""MovieLens readers: two routes to ml-100k, and ml-1m, give the same tables."""

import zipfile

import numpy as np
import pytest

from tfrec.data import catalog, prepared
from tfrec.data.errors import DataError
from tfrec.data.readers import movielens

_GENRES = (
    "unknown|Action|Adventure|Animation|Children's|Comedy|Crime|Documentary|Drama|"
    "Fantasy|Film-Noir|Horror|Musical|Mystery|Romance|Sci-Fi|Thriller|War|Western"
)


def _official_100k(ds):
    """The three official files, written from prepared tables."""
    genres, row_splits = ds.items.ragged("genres")
    lines = []
    for number, title in enumerate(ds.items["title"]):
        mine = genres[row_splits[number] : row_splits[number + 1]]
        flags = [str(int(genre in mine)) for genre in _GENRES.split("|")]
        name = "unknown" if title == "unknown" else f"{title} (1995)"
        # As in the official file: brackets after the year, blanks at the end.
        name = {0: f"{name} ", 1411: f"{title} (V)"}.get(number, name)
        lines.append("|".join([str(number + 1), name, "01-Jan-1995", "", "u", *flags]))
    users = zip(
        *(ds.users[n] for n in ("raw_id", "age", "gender", "occupation")), strict=True
    )
    names = ("user", "item", "rating", "timestamp")
    ratings = list(zip(*(ds.interactions[n] for n in names), strict=True))
    # The file is shuffled, but rows of one user and time keep their order.
    rng = np.random.default_rng(0)
    ratings = [
        ratings[i]
        for i in np.argsort(
            rng.permutation(944)[ds.interactions["user"]], kind="stable"
        )
    ]
    return {
        "u.data": "".join(f"{u}\t{i}\t{r:.0f}\t{t}\n" for u, i, r, t in ratings),
        "u.item": "\n".join(lines) + "\n",
        "u.user": "".join("|".join(map(str, row)) + "|00000\n" for row in users),
    }


def _assert_equal(found, expected, but=()):
    assert set(found.tables) == set(expected.tables)
    for name, table in expected.tables.items():
        assert set(table) == set(found.tables[name])
        for column in set(table) - set(but):
            one = found.tables[name].arrow[column].to_pylist()
            assert one == table.arrow[column].to_pylist(), (name, column)


@pytest.fixture(scope="module")
def from_wheel(tmp_path_factory, monkeypatch_module):
    """ml-100k by the package index, the official site being out of reach."""
    home = tmp_path_factory.mktemp("home")
    return catalog.prepare("ml-100k", data_home=home)


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        known = catalog.KNOWN["ml-100k"]
        fields = {**vars(known), "url": "http://no-such-host.invalid/ml-100k.zip"}
        patch.setitem(catalog.KNOWN, "ml-100k", catalog.Known(**fields))
        yield patch


def test_the_package_index_is_enough(from_wheel):
    assert from_wheel.meta["source"] == "wheel recbole==1.2.1"
    assert from_wheel.interactions.num_rows == 100_000
    assert (from_wheel.num_users, from_wheel.num_items) == (943, 1682)
    assert not list(from_wheel.path.parent.glob(".download.*"))


def test_the_wheel_gives_the_prepared_set_at_hand(from_wheel, ml_100k):
    _assert_equal(from_wheel, ml_100k, but=["title"])
    one, other = from_wheel.items["title"], ml_100k.items["title"]
    # A folder prepared by others may keep the wheel's misspelling of item 267.
    assert set(np.flatnonzero(one != other)) <= {266}
    assert one[266] == "unknown"


@pytest.mark.parametrize("as_zip", [True, False])
def test_official_files_give_the_same_tables(from_wheel, tmp_path, as_zip):
    path = tmp_path / ("ml-100k.zip" if as_zip else "ml-100k")
    files = _official_100k(from_wheel)
    if as_zip:
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in files.items():
                archive.writestr(f"ml-100k/{name}", text.encode("latin-1"))
    else:
        path.mkdir()
        for name, text in files.items():
            (path / name).write_bytes(text.encode("latin-1"))
    found = catalog.prepare("ml-100k", path, tmp_path / "home")
    _assert_equal(found, from_wheel)


def _official_1m(ds, folder):
    raw_items = ds.items["raw_id"]
    genres, row_splits = ds.items.ragged("genres")
    movies = [
        f"{raw}::{title}::{'|'.join(genres[begin:end])}\n"
        for raw, title, begin, end in zip(
            raw_items, ds.items["title"], row_splits, row_splits[1:], strict=False
        )
    ]
    movies.insert(5, "6::Never rated (1995)::Drama\n" if raw_items[5] != 6 else "")
    movies.append("9999::Never rated either (1995)::Drama\n")
    users = zip(
        *(ds.users[n] for n in ("raw_id", "gender", "age", "occupation", "zip")),
        strict=True,
    )
    rows = ds.interactions
    ratings = zip(
        rows["user"],
        raw_items[rows["item"] - 1],
        rows["rating"],
        rows["timestamp"],
        strict=True,
    )
    content = {
        "movies.dat": "".join(movies),
        "users.dat": "".join("::".join(map(str, row)) + "\n" for row in users),
        "ratings.dat": "".join(f"{u}::{i}::{r:.0f}::{t}\n" for u, i, r, t in ratings),
    }
    folder.mkdir()
    for name, text in content.items():
        (folder / name).write_bytes(text.encode("latin-1"))


def test_ml_1m(require_dataset, tmp_path):
    ds = require_dataset("ml-1m")
    _official_1m(ds, tmp_path / "ml-1m")
    found = catalog.prepare("ml-1m", tmp_path / "ml-1m", tmp_path / "home")
    for table in ("items", "users"):
        for column in ds.table(table):
            one = found.table(table).arrow[column].to_pylist()
            assert one == ds.table(table).arrow[column].to_pylist(), (table, column)
    time = ds.interactions["timestamp"]
    order = np.lexsort([time, ds.interactions["user"]])
    for column in ("user", "item", "rating", "timestamp"):
        np.testing.assert_array_equal(
            found.interactions[column], ds.interactions[column][order]
        )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("u.data", "1\t1\t5\n", r"`u\.data` must have the columns.*Expected 4 columns"),
        ("u.data", "1\t1\tx\t3\n", r"`u\.data`.*CSV conversion error to float"),
        ("u.data", "1\t7\t5\t3\n", r"ratings, column 'item' must be a known id.*: 7"),
        ("u.user", "1|24|M|none\n", r"`u\.user`.*Expected 5 columns, got 4"),
    ],
)
def test_broken_files(tmp_path, name, text, message):
    flags = "|".join("1" + "0" * 18)
    files = {
        "u.data": "1\t1\t5\t3\n",
        "u.item": f"1|A (1990)|||u|{flags}\n",
        "u.user": "1|24|M|none|0\n",
    }
    for file, content in files.items():
        (tmp_path / file).write_text(content)
    tables = movielens.read_100k(tmp_path)
    assert prepared.Table("i", prepared.to_arrow(tables["items"]))["title"] == ["A"]
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        movielens.read_100k(tmp_path)


def test_a_truncated_zip(tmp_path):
    path = tmp_path / "ml-100k.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("u.data", "1\t1\t5\t3\n" * 100)
    with pytest.raises(DataError, match=r"must hold one u\.item. Received: 0"):
        movielens.read_100k(path)
    content = bytearray(path.read_bytes())
    content[60] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="must be a whole zip file"):
        movielens.read_100k(path)
    path.write_bytes(content[:100])
    with pytest.raises(DataError, match="must be a zip file or a folder"):
        movielens.read_100k(path)
