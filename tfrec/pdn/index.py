"""The item-to-item index: of each item the k most similar ones with s_ji, as arrays.

Step 1 of the retrieval (section 5.1). `index_build` makes it, `index_extend` adds new
items, `index_store` puts it into a key-value store.
"""

import dataclasses
import os
import pathlib
from typing import Any

import numpy as np

from tfrec import artifacts
from tfrec.artifacts import ArtifactError
from tfrec.pdn.index_inputs import check_row_splits

KIND = "pdn-index"
FORMAT = 1
_META = ("model_version", "k", "k_hat", "data_sha256", "num_pairs")
_ARRAYS = ("neighbours", "similarities", "row_splits", "item_ids")


@dataclasses.dataclass(frozen=True)
class PathIndex:
    """Lists by position, which is the item's id - 1, as `tfrec.ops.path_top_k` has it.

    Attributes:
        neighbours: int32 `(E,)`, positions; the list of j is
            `neighbours[row_splits[j]:row_splits[j + 1]]`.
        similarities: float32 `(E,)`, s_ji, descending within a list; at equal ones the
            smaller position comes first.
        row_splits: int64 `(N + 1,)`.
        item_ids: int64 `(N,)`, the raw id of each position.
        meta: `model_version` (any text), `k`, `k_hat`, `data_sha256` of the inputs and
            `num_pairs`, how many pairs were scored.
    """

    neighbours: np.ndarray
    similarities: np.ndarray
    row_splits: np.ndarray
    item_ids: np.ndarray
    meta: dict[str, Any]

    @property
    def num_items(self) -> int:
        """N."""
        return int(self.item_ids.size)

    def check(self) -> None:
        """Raises: ArtifactError: an array breaks a rule of the format."""
        if missing := [name for name in _META if name not in self.meta]:
            raise ArtifactError(f"`meta` must hold {_META}. Received: no {missing}")
        _check_types(self)
        check_row_splits(
            "row_splits", self.row_splits, self.num_items, self.neighbours.size
        )
        _check_lists(self)

    def check_model(self, model_version: str) -> None:
        """Raises: ArtifactError: the index is of another model version."""
        if self.meta["model_version"] != model_version:
            raise ArtifactError(
                f"`model_version` of the index must be {model_version!r}. "
                f"Received: {self.meta['model_version']!r}"
            )


def save(index: PathIndex, path: str | os.PathLike, overwrite: bool = False) -> None:
    """Writes the folder, whole or not at all.

    Raises: ArtifactError: `path` exists and `overwrite` is False.
    """
    meta = {"num_items": index.num_items, **index.meta}
    with artifacts.create(
        path, kind=KIND, format=FORMAT, meta=meta, overwrite=overwrite
    ) as folder:
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(index, name), allow_pickle=False)


def load(
    path: str | os.PathLike, model_version: str | None = None, verify: bool = True
) -> PathIndex:
    """Reads a folder that `save` wrote.

    Args:
        path: the folder.
        model_version: what the index must be of. None: of any.
        verify: compare checksums and check every rule of the format.
    Raises:
        FileNotFoundError: there is no index.
        ArtifactError: the index is of another model version, a file is missing or
            damaged, or breaks a rule.
    """
    path = pathlib.Path(path)
    meta = artifacts.load(path, kind=KIND, format=FORMAT, verify=verify)

    def read(name: str) -> np.ndarray:
        return np.load(path / f"{name}.npy", allow_pickle=False)

    own = ("kind", "format", "num_items", "files")
    index = PathIndex(
        read("neighbours"),
        read("similarities"),
        read("row_splits"),
        read("item_ids"),
        {name: value for name, value in meta.items() if name not in own},
    )
    if model_version is not None:
        index.check_model(model_version)
    if verify:
        index.check()
    return index


def owners(index: PathIndex) -> np.ndarray:
    """The position whose list an entry is in: int64 `(E,)`."""
    return np.repeat(np.arange(index.num_items), np.diff(index.row_splits))


def _check_types(index: PathIndex) -> None:
    num_entries, num_items = index.neighbours.size, index.num_items
    expected = {
        "neighbours": (np.int32, (num_entries,)),
        "similarities": (np.float32, (num_entries,)),
        "row_splits": (np.int64, (num_items + 1,)),
        "item_ids": (np.int64, (num_items,)),
    }
    for name, (dtype, shape) in expected.items():
        array = getattr(index, name)
        if array.dtype != dtype or array.shape != shape:
            raise ArtifactError(
                f"`{name}` must be {np.dtype(dtype).name} {shape}. "
                f"Received: {array.dtype.name} {array.shape}"
            )
    unique, times = np.unique(index.item_ids, return_counts=True)
    if (times > 1).any():
        raise ArtifactError(
            f"`item_ids` must not repeat. Received: {unique[times.argmax()]} "
            f"{times.max()} times"
        )


def _check_lists(index: PathIndex) -> None:
    items, scores = index.neighbours, index.similarities
    if items.size and (items.min() < 0 or items.max() >= index.num_items):
        raise ArtifactError(
            f"`neighbours` must be in [0, {index.num_items}). "
            f"Received: from {items.min()} to {items.max()}"
        )
    if not np.isfinite(scores).all():
        raise ArtifactError(
            "`similarities` must be finite. "
            f"Received: {scores[~np.isfinite(scores)][0]}"
        )
    rows = owners(index)
    if (items == rows).any():
        raise ArtifactError(
            "No item may be in its own list. "
            f"Received: position {rows[items == rows][0]}"
        )
    pairs = np.sort(rows * index.num_items + items)
    if (twice := pairs[1:][pairs[1:] == pairs[:-1]]).size:
        raise ArtifactError(
            "No item may be in a list twice. Received: "
            f"position {twice[0] % index.num_items} in the list of "
            f"{twice[0] // index.num_items}"
        )
    same = rows[1:] == rows[:-1]
    later = scores[1:] > scores[:-1]
    later |= (scores[1:] == scores[:-1]) & (items[1:] < items[:-1])
    if (same & later).any():
        raise ArtifactError(
            "`similarities` must descend within a list, positions ascend at equal "
            f"ones. Received: the list of position {rows[1:][same & later][0]}"
        )
