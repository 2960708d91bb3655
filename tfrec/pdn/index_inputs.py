"""What the offline index is made from: pairs met together, profiles, popularity."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tfrec import artifacts
from tfrec.artifacts import ArtifactError

KIND = "pdn-index-inputs"
FORMAT = 1


class Ragged(NamedTuple):
    """Lists one after the other: list r is `values[row_splits[r]:row_splits[r + 1]]`.

    Attributes:
        values: `(E,)`.
        row_splits: int `(R + 1,)`.
    """

    values: np.ndarray
    row_splits: np.ndarray


class Csr(NamedTuple):
    """The arrays of a SciPy CSR matrix, by the same names; they may be memory maps."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray


@dataclasses.dataclass(frozen=True)
class IndexInputs:
    """Items by id: 1 to N, 0 is padding.

    Attributes:
        item_ids: int64 `(N,)`, the raw id of id 1, 2, ...; none twice.
        counts: SciPy CSR `(N + 1, N + 1)` or `Csr`: how often a pair was met together,
            not negative; columns of a row ascend.
        profile: of each field the value of each item, int `(N + 1,)`, or its values, a
            `Ragged` of N + 1 lists; 0 is unknown and never shared. The order is that
            of preference.
        popularity: `(N + 1,)`, larger first among items of one value. None: the sum of
            an item's counts.
    """

    item_ids: np.ndarray
    counts: Any
    profile: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    popularity: np.ndarray | None = None

    @property
    def num_items(self) -> int:
        """N."""
        return int(self.item_ids.size)

    def popularity_of_items(self) -> np.ndarray:
        """`popularity`, or what stands for it: `(N + 1,)`."""
        if self.popularity is not None:
            return self.popularity
        sums = np.concatenate([[0.0], np.cumsum(self.counts.data, dtype=np.float64)])
        return np.diff(sums[self.counts.indptr])

    def check(self) -> None:
        """Raises: ArtifactError: an array breaks a rule above."""
        _check_ids(self.item_ids)
        _check_counts(self.counts, self.num_items)
        for name, values in self.profile.items():
            _check_field(name, values, self.num_items)
        popularity = self.popularity_of_items()
        if popularity.shape != (self.num_items + 1,) or np.isnan(popularity).any():
            raise ArtifactError(
                f"`popularity` must be ({self.num_items + 1},) numbers. "
                f"Received: {popularity.shape}, {np.isnan(popularity).sum()} NaN"
            )

    def sha256(self) -> str:
        """A digest of names, types and contents of all arrays."""
        digest = hashlib.sha256()
        for name, array in self._arrays().items():
            digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def save(self, path: str | os.PathLike, overwrite: bool = False) -> None:
        """Writes the folder, whole or not at all."""
        meta = {"num_items": self.num_items, "fields": list(self.profile)}
        with artifacts.create(
            path, kind=KIND, format=FORMAT, meta=meta, overwrite=overwrite
        ) as folder:
            for name, array in self._arrays().items():
                np.save(folder / f"{name}.npy", array, allow_pickle=False)

    def _arrays(self) -> dict[str, np.ndarray]:
        arrays = {
            "item_ids": self.item_ids,
            "counts_data": self.counts.data,
            "counts_indices": self.counts.indices,
            "counts_indptr": self.counts.indptr,
        }
        for number, values in enumerate(self.profile.values()):
            if isinstance(values, Ragged):
                arrays[f"field{number}_values"] = values.values
                arrays[f"field{number}_row_splits"] = values.row_splits
            else:
                arrays[f"field{number}"] = values
        if self.popularity is not None:
            arrays["popularity"] = self.popularity
        return arrays


def load(path: str | os.PathLike, verify: bool = True) -> IndexInputs:
    """Reads a folder that `IndexInputs.save` wrote; arrays are memory maps.

    Raises:
        FileNotFoundError: there is none.
        ArtifactError: a file is missing or damaged, or (`verify`) breaks a rule.
    """
    path = pathlib.Path(path)
    meta = artifacts.load(path, kind=KIND, format=FORMAT, verify=verify)

    def read(name: str) -> np.ndarray:
        file = path / f"{name}.npy"
        return np.asarray(np.load(file, mmap_mode="r", allow_pickle=False))

    def field(number: int) -> np.ndarray | Ragged:
        if f"field{number}.npy" in meta["files"]:
            return read(f"field{number}")
        names = (f"field{number}_values", f"field{number}_row_splits")
        return Ragged(*(read(name) for name in names))

    names = ("counts_data", "counts_indices", "counts_indptr")
    inputs = IndexInputs(
        read("item_ids"),
        Csr(*(read(name) for name in names)),
        {name: field(number) for number, name in enumerate(meta["fields"])},
        read("popularity") if "popularity.npy" in meta["files"] else None,
    )
    if verify:
        inputs.check()
    return inputs


def _check_ids(item_ids: np.ndarray) -> None:
    if item_ids.ndim != 1 or item_ids.dtype != np.int64 or not item_ids.size:
        raise ArtifactError(
            "`item_ids` must be int64 (N,), N >= 1. "
            f"Received: {item_ids.dtype.name} {item_ids.shape}"
        )
    unique, times = np.unique(item_ids, return_counts=True)
    if (times > 1).any():
        raise ArtifactError(
            f"`item_ids` must not repeat. Received: {unique[times.argmax()]} "
            f"{times.max()} times"
        )


def _check_counts(counts: Any, num_items: int) -> None:
    check_row_splits("counts.indptr", counts.indptr, num_items + 1, counts.indices.size)
    columns, data = counts.indices, counts.data
    if columns.shape != data.shape or (
        columns.size and (columns.min() < 0 or columns.max() > num_items)
    ):
        raise ArtifactError(
            f"`counts` must be ({num_items + 1}, {num_items + 1}). Received: "
            f"{data.size} values, columns up to {columns.max(initial=-1)}"
        )
    if not (np.isfinite(data) & (data >= 0)).all():
        raise ArtifactError(
            f"`counts` must be finite and not negative. Received: {data.min()}"
        )
    steps = np.diff(columns.astype(np.int64))
    within = np.ones(steps.size, bool)
    edges = counts.indptr[1:-1]
    within[edges[(edges > 0) & (edges < columns.size)] - 1] = False
    if (steps[within] <= 0).any():
        raise ArtifactError(
            "`counts` must have ascending columns in a row: call sum_duplicates(). "
            f"Received: column {columns[1:][within & (steps <= 0)][0]} out of order"
        )


def _check_field(name: str, values: Any, num_items: int) -> None:
    flat = values
    if isinstance(values, Ragged):
        flat = values.values
        rows = num_items + 1
        check_row_splits(f"profile[{name!r}]", values.row_splits, rows, flat.size)
    elif values.shape != (num_items + 1,):
        raise ArtifactError(
            f"`profile[{name!r}]` must be ({num_items + 1},). Received: {values.shape}"
        )
    if flat.dtype.kind not in "iu" or flat.min(initial=0) < 0:
        raise ArtifactError(
            f"`profile[{name!r}]` must be integers >= 0. "
            f"Received: {flat.dtype.name}, smallest {flat.min(initial=0)}"
        )


def check_row_splits(name: str, splits: np.ndarray, rows: int, size: int) -> None:
    """Raises: ArtifactError: `splits` are not of `rows` lists of `size` values."""
    if splits.shape == (rows + 1,):
        steps = np.diff(splits)
        if splits[0] == 0 and splits[-1] == size and (steps >= 0).all():
            return
    raise ArtifactError(
        f"`{name}` must be ({rows + 1},) row splits, rise from 0 and end at {size}. "
        f"Received: {splits.shape}, from {splits[:1]} to {splits[-1:]}"
    )
