"""Amazon 5-core reviews: ratings csv, or reviews as JSON lines; gz or plain.

Ids are in the order of raw ids. Time is exact to the day in most releases: rows of
equal time stay in the order of the file, and exact duplicates are dropped.
"""

import pathlib
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv, json

from tfrec.data.errors import DataError
from tfrec.data.readers.raw import dense_ids, drop_duplicates

_CSV = {
    "user": pa.string(),
    "item": pa.string(),
    "rating": pa.float32(),
    "timestamp": pa.int64(),
}
# Column names of the 2023 release, whose csv has a header and milliseconds.
_HEADER_2023 = ("user_id", "parent_asin", "rating", "timestamp")
_JSON = ("reviewerID", "asin", "overall", "unixReviewTime")
_MILLISECONDS_FROM = 10**11


def read(path: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Reads a file of ratings.

    Args:
        path: by its name: `*.json` or `*.json.gz`, lines with `reviewerID`, `asin`,
            `overall`, `unixReviewTime`; else csv: `user,item,rating,timestamp` without
            a header, or with the header of 2023.
    Returns: tables of the prepared format.
    Raises: DataError: a row has other columns, or values of another type.
    """
    is_json = ".json" in path.suffixes
    try:
        rows = _read_json(path) if is_json else _read_csv(path)
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        columns = _JSON if is_json else tuple(_CSV)
        raise DataError(
            f"`{path}` must have the columns {columns}. Received: {error}"
        ) from error
    raw_user, user = dense_ids(rows["user"].to_numpy(zero_copy_only=False))
    raw_item, item = dense_ids(rows["item"].to_numpy(zero_copy_only=False))
    time = rows["timestamp"].to_numpy()
    if time.size and time.min() >= _MILLISECONDS_FROM:
        time = time // 1000
    kept = drop_duplicates([user, time, item])
    kept = kept[np.lexsort([time[kept], user[kept]])]
    return {
        "interactions": {
            "user": user[kept],
            "item": item[kept],
            "timestamp": time[kept],
            "rating": rows["rating"].to_numpy()[kept],
        },
        "items": {
            "item": np.arange(1, raw_item.size + 1, dtype=np.int32),
            "raw_id": pa.array(raw_item, pa.string()),
        },
        "users": {
            "user": np.arange(1, raw_user.size + 1, dtype=np.int32),
            "raw_id": pa.array(raw_user, pa.string()),
        },
    }


def _read_csv(path: pathlib.Path) -> pa.Table:
    with pa.input_stream(str(path), compression="detect") as stream:
        first = stream.read(len(_HEADER_2023[0])).decode(errors="replace")
    header = _HEADER_2023 if first == _HEADER_2023[0] else None
    names = header or tuple(_CSV)
    types = dict(zip(names, _CSV.values(), strict=True))
    table = csv.read_csv(
        path,
        csv.ReadOptions(column_names=None if header else list(names)),
        convert_options=csv.ConvertOptions(
            column_types=types, include_columns=list(names)
        ),
    )
    return table.rename_columns(list(_CSV))


def _read_json(path: pathlib.Path) -> pa.Table:
    schema = pa.schema(list(zip(_JSON, _CSV.values(), strict=True)))
    options = json.ParseOptions(
        explicit_schema=schema, unexpected_field_behavior="ignore"
    )
    with pa.input_stream(str(path), compression="detect") as stream:
        table = json.read_json(stream, parse_options=options)
    return table.select(_JSON).rename_columns(list(_CSV))
