"""MovieLens 100K and 1M: the official files, and the copy inside recbole's wheel.

All routes to ml-100k give the same tables. Users and items get ids in the order of
their raw ids; rows of equal time stay in the order of the file.
"""

import pathlib
import re
from typing import Any

import numpy as np
import pyarrow as pa

from tfrec.data.errors import DataError
from tfrec.data.readers.raw import RawFiles, dense_ids, ids_of, parse

Tables = dict[str, dict[str, Any]]

_GENRES_100K = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_RATINGS = {
    "user": pa.int64(),
    "item": pa.int64(),
    "rating": pa.float32(),
    "timestamp": pa.int64(),
}
_USERS_100K = {
    "raw_id": pa.int64(),
    "age": pa.int64(),
    "gender": pa.string(),
    "occupation": pa.string(),
    "zip": pa.string(),
}


def read_100k(path: pathlib.Path) -> Tables:
    """Reads `u.data`, `u.item` and `u.user` of the official zip or folder."""
    files = RawFiles(path)
    ratings = parse(files.read("u.data"), _RATINGS, "u.data")
    names = ["raw_id", "title", "date", "video_date", "url"]
    columns = {name: pa.string() for name in names} | {"raw_id": pa.int64()}
    columns |= {genre: pa.int8() for genre in _GENRES_100K}
    items = parse(
        files.read("u.item"), columns, "u.item", delimiter="|", encoding="latin-1"
    )
    flags = np.stack([items[genre].to_numpy() for genre in _GENRES_100K], axis=-1)
    genres = [[_GENRES_100K[i] for i in np.flatnonzero(row)] for row in flags]
    # The last bracket is the year; recbole's copy leaves it out.
    titles = [re.sub(r"\s*\([^()]*\)$", "", t.strip()) for t in _list(items["title"])]
    users = parse(files.read("u.user"), _USERS_100K, "u.user", delimiter="|")
    return _tables(ratings, items["raw_id"], titles, genres, _profile(users))


def read_recbole_100k(path: pathlib.Path) -> Tables:
    """Reads `ml-100k.inter`, `.item` and `.user` of recbole's wheel."""
    files = RawFiles(path)
    ratings = _RATINGS | {"timestamp": pa.float64()}
    ratings = parse(files.read("ml-100k.inter"), ratings, "ml-100k.inter", skip_rows=1)
    columns = {"raw_id": pa.int64(), "title": pa.string()}
    columns |= {"year": pa.string(), "genres": pa.string()}
    items = parse(files.read("ml-100k.item"), columns, "ml-100k.item", skip_rows=1)
    genres = [text.split(" ") for text in _list(items["genres"])]
    # Its item 267, "unknown" in u.item, is misspelt.
    titles = [t.replace("unkonwn", "unknown") for t in _list(items["title"])]
    users = parse(files.read("ml-100k.user"), _USERS_100K, "ml-100k.user", skip_rows=1)
    return _tables(ratings, items["raw_id"], titles, genres, _profile(users))


def read_1m(path: pathlib.Path) -> Tables:
    """Reads `ratings.dat`, `movies.dat` and `users.dat` of the official zip or folder.

    Only the 3,706 movies with ratings are items.
    """
    files = RawFiles(path)
    options: dict[str, Any] = {"delimiter": "::", "encoding": "latin-1"}
    ratings = parse(files.read("ratings.dat"), _RATINGS, "ratings.dat", **options)
    columns = {"raw_id": pa.int64(), "title": pa.string(), "genres": pa.string()}
    items = parse(files.read("movies.dat"), columns, "movies.dat", **options)
    is_rated = np.isin(items["raw_id"].to_numpy(), ratings["item"].to_numpy())
    items = items.filter(pa.array(is_rated))
    genres = [text.split("|") for text in _list(items["genres"])]
    columns = {
        "raw_id": pa.int64(),
        "gender": pa.string(),
        "age": pa.int64(),
        "occupation": pa.int64(),
        "zip": pa.string(),
    }
    users = parse(files.read("users.dat"), columns, "users.dat", **options)
    profile = _profile(users) | {"zip": users["zip"]}
    return _tables(ratings, items["raw_id"], _list(items["title"]), genres, profile)


def _tables(
    ratings: pa.Table,
    raw_items: pa.ChunkedArray,
    titles: list[str],
    genres: list[list[str]],
    profile: dict[str, Any],
) -> Tables:
    raw_item, item = dense_ids(raw_items.to_numpy())
    raw_user, user = dense_ids(profile["raw_id"].to_numpy())
    _check_ascending("items", item)
    _check_ascending("users", user)
    users = ids_of(ratings["user"].to_numpy(), raw_user, "ratings, column 'user'")
    items = ids_of(ratings["item"].to_numpy(), raw_item, "ratings, column 'item'")
    time = ratings["timestamp"].to_numpy().astype(np.int64)
    order = np.lexsort([time, users])
    names = sorted({genre for row in genres for genre in row})
    category = np.array([names.index(row[0]) + 1 for row in genres], np.int32)
    return {
        "interactions": {
            "user": users[order],
            "item": items[order],
            "timestamp": time[order],
            "rating": ratings["rating"].to_numpy()[order],
        },
        "items": {
            "item": item,
            "raw_id": raw_item,
            "title": titles,
            "genres": pa.array(genres, pa.list_(pa.string())),
            "category": category,
        },
        "users": {"user": user, **profile},
    }


def _profile(users: pa.Table) -> dict[str, Any]:
    names = ("raw_id", "gender", "age", "occupation")
    return {name: users[name] for name in names}


def _list(column: pa.ChunkedArray) -> list[str]:
    return column.to_pylist()


def _check_ascending(what: str, ids: np.ndarray) -> None:
    if not np.array_equal(ids, np.arange(1, ids.size + 1)):
        raise DataError(f"{what} must come once each, in the order of their raw ids.")
