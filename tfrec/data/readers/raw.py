"""What readers share: files in a zip or a folder, delimited text, dense ids."""

import pathlib
import zipfile
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from pyarrow import csv

from tfrec.data.errors import DataError


class RawFiles:
    """The files of an official archive or of the folder that it unpacks to."""

    def __init__(self, path: pathlib.Path):
        """Opens `path`: a zip file or a folder.

        Raises: DataError: it is neither.
        """
        self.path = path
        if not (path.is_dir() or zipfile.is_zipfile(path)):
            raise DataError(f"`{path}` must be a zip file or a folder.")

    def read(self, name: str) -> bytes:
        """Returns the content of the one file of that name, at whatever depth.

        Raises: DataError: there is none, or more than one, or the zip is damaged.
        """
        if self.path.is_dir():
            found = [p for p in self.path.rglob(name) if p.is_file()]
            self._check_one(name, found)
            return found[0].read_bytes()
        try:
            with zipfile.ZipFile(self.path) as archive:
                members = [
                    m for m in archive.namelist() if pathlib.PurePath(m).name == name
                ]
                self._check_one(name, members)
                return archive.read(members[0])
        except zipfile.BadZipFile as error:
            raise DataError(
                f"`{self.path}` must be a whole zip file. Received: {error}"
            ) from error

    def _check_one(self, name: str, found: list) -> None:
        if len(found) != 1:
            raise DataError(
                f"`{self.path}` must hold one {name}. Received: {len(found)}"
            )


def parse(
    content: bytes,
    columns: Mapping[str, pa.DataType],
    file: str,
    *,
    delimiter: str = "\t",
    encoding: str = "utf8",
    skip_rows: int = 0,
) -> pa.Table:
    """Parses delimited text without quotes or a header.

    Args:
        content: of the file.
        columns: names and types, in the order of the file.
        file: its name, for messages.
        delimiter: between fields; more than one character is replaced by a tab.
        encoding: of the text.
        skip_rows: rows to leave out at the start.
    Raises: DataError: a row has another number of fields, or a value another type.
    """
    if len(delimiter) > 1:
        content = content.replace(delimiter.encode(), b"\t")
        delimiter = "\t"
    try:
        return csv.read_csv(
            pa.BufferReader(content),
            csv.ReadOptions(
                column_names=list(columns), encoding=encoding, skip_rows=skip_rows
            ),
            csv.ParseOptions(delimiter=delimiter, quote_char=False),
            csv.ConvertOptions(column_types=dict(columns), strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        raise DataError(
            f"`{file}` must have the columns {list(columns)}. Received: {error}"
        ) from error


def dense_ids(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns `(raw, ids)`: sorted raw ids, and for each value its rank from 1."""
    raw, ranks = np.unique(values, return_inverse=True)
    return raw, (ranks + 1).astype(np.int32)


def ids_of(values: np.ndarray, raw: np.ndarray, what: str) -> np.ndarray:
    """Returns the dense id of each value.

    Args:
        values: raw ids.
        raw: sorted raw ids of the ids 1, 2, ...
        what: the file and column, for messages.
    Raises: DataError: a value is not in `raw`.
    """
    ranks = np.minimum(np.searchsorted(raw, values), raw.size - 1)
    wrong = raw[ranks] != values
    if wrong.any():
        raise DataError(
            f"{what} must be a known id. Received: {values[np.argmax(wrong)]}"
        )
    return (ranks + 1).astype(np.int32)


def drop_duplicates(keys: list[np.ndarray]) -> np.ndarray:
    """Returns the positions, ascending, of the first row of each equal set of keys."""
    order = np.lexsort(keys[::-1])  # stable: equal rows stay in their order
    is_first = np.ones([order.size], bool)
    if order.size:
        same = [key[order[1:]] == key[order[:-1]] for key in keys]
        is_first[1:] = ~np.logical_and.reduce(same)
    return np.sort(order[is_first])
