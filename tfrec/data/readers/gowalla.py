"""Gowalla in the split of NGCF and LightGCN: `train.txt` and `test.txt`.

A line is a user and the items of that user, from 0, without time.
"""

import pathlib
from typing import Any

import numpy as np
import pyarrow as pa

from tfrec.data.errors import DataError
from tfrec.data.readers.raw import RawFiles


def read(path: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Reads both files of a folder or zip; raw ids plus one are the ids.

    Raises: DataError: a line is not of whole numbers.
    """
    files = RawFiles(path)
    users, items, splits = [], [], []
    for code, name in enumerate(("train.txt", "test.txt")):
        for number, line in enumerate(files.read(name).splitlines(), 1):
            try:
                ids = np.array(line.split(), np.int64)
            except ValueError as error:
                raise DataError(
                    f"`{name}`, line {number} must be whole numbers. Received: {error}"
                ) from error
            if ids.size > 1:
                users.append(np.full([ids.size - 1], ids[0]))
                items.append(ids[1:])
                splits.append(np.full([ids.size - 1], code, np.int8))
    user, item = np.concatenate(users) + 1, np.concatenate(items) + 1
    order = np.lexsort([item, user])
    codes = pa.array(np.concatenate(splits)[order])
    return {
        "interactions": {
            "user": user[order].astype(np.int32),
            "item": item[order].astype(np.int32),
            "split": pa.DictionaryArray.from_arrays(codes, ["train", "test"]),
        }
    }
