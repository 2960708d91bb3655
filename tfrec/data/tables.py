"""A parquet table as NumPy columns, converted when they are first read."""

import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfrec.data.errors import DataError


class Table(Mapping[str, np.ndarray]):
    """Columns by name, converted to arrays when they are first read.

    Numbers and booleans are arrays of their type, strings are object arrays; a column
    of lists is read by `ragged`, a column with few distinct strings best by `codes`.
    """

    def __init__(self, name: str, arrow: pa.Table):
        self.name = name
        self.arrow = arrow
        self._columns: dict[str, np.ndarray] = {}

    def __getitem__(self, column: str) -> np.ndarray:
        if column not in self._columns:
            if pa.types.is_list(self._type(column)):
                raise DataError(
                    f"`{self.name}`, column {column!r} holds lists: "
                    f"read it with ragged({column!r})."
                )
            found = self.arrow[column]
            values = found.to_numpy()
            if values.dtype.kind in "if" and not found.null_count:
                number = self.arrow.schema.names.index(column)  # one copy, not two
                self.arrow = self.arrow.set_column(number, column, pa.array(values))
            self._columns[column] = values
        return self._columns[column]

    def __iter__(self) -> Iterator[str]:
        return iter(self.arrow.schema.names)

    def __len__(self) -> int:
        return len(self.arrow.schema.names)

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return self.arrow.num_rows

    def codes(self, column: str) -> tuple[np.ndarray, list[str]]:
        """Returns `(codes, names)` of a string column: `names[codes[row]]`."""
        values = self.arrow[column]
        if not pa.types.is_dictionary(self._type(column)):
            values = values.dictionary_encode()
        values = values.unify_dictionaries().combine_chunks()
        if isinstance(values, pa.ChunkedArray):
            if values.num_chunks == 0:
                return np.zeros([0], np.int32), []
            values = values.chunk(0)
        codes = values.indices.to_numpy(zero_copy_only=False)
        return codes, values.dictionary.to_pylist()

    def ragged(self, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Returns `(values, row_splits)` of a list column; row_splits int64."""
        lists = self.arrow[column]
        if not pa.types.is_list(self._type(column)):
            raise DataError(
                f"`{self.name}`, column {column!r} must hold lists. "
                f"Received: {self._type(column)}"
            )
        lengths = [np.zeros([1], np.int64)]
        values = []
        for chunk in lists.chunks:
            lengths.append(np.diff(chunk.offsets.to_numpy()).astype(np.int64))
            values.append(chunk.flatten().to_numpy(zero_copy_only=False))
        row_splits = np.cumsum(np.concatenate(lengths))
        return (np.concatenate(values) if values else np.zeros([0])), row_splits

    def _type(self, column: str) -> pa.DataType:
        if column not in self.arrow.schema.names:
            raise KeyError(
                f"`{self.name}` must have the column {column!r}. "
                f"Received: {self.arrow.schema.names}"
            )
        return self.arrow.schema.field(column).type


def read_table(path: pathlib.Path) -> Table:
    """Reads a parquet file.

    Raises: DataError: it is not a whole parquet file.
    """
    try:
        return Table(path.name, pq.read_table(path))
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"`{path}` must be a whole parquet file. Received: {error}"
        ) from error


def to_arrow(columns: Mapping[str, Any]) -> pa.Table:
    """Makes an arrow table of columns: arrays, lists or arrow arrays."""
    return pa.table(
        {
            name: pa.array(value)
            if not isinstance(value, (pa.Array, pa.ChunkedArray))
            else value
            for name, value in columns.items()
        }
    )
