"""The similarity graph: HNSW over all item vectors, as plain arrays.

faiss builds the graph; its levels and links are read out, checked and saved as one
folder, whose files `docs/papers/nann.md` describes byte for byte.
"""

import dataclasses
import os
import pathlib
from typing import Any

import faiss
import numpy as np

from tfrec import artifacts
from tfrec.artifacts import ArtifactError
from tfrec.nann.config import IndexConfig

KIND = "nann-index"
FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Level:
    """One level's adjacency: node i's neighbours are `values[splits[i]:splits[i+1]]`.

    Attributes:
        values: int32 `(E,)`, positions.
        row_splits: int32 or int64 `(N + 1,)`; nodes that are not on the level have no
            neighbours.
    """

    values: np.ndarray
    row_splits: np.ndarray


@dataclasses.dataclass(frozen=True)
class HnswIndex:
    """Item vectors and the graph over them.

    Attributes:
        vectors: float32 `(N, D)`, e_v.
        item_ids: int64 `(N,)`, the original id of each position, no id twice.
        node_levels: uint8 `(N,)`, the highest level that a node is on.
        levels: from level 0 (all nodes) up.
    """

    vectors: np.ndarray
    item_ids: np.ndarray
    node_levels: np.ndarray
    levels: tuple[Level, ...]

    @property
    def num_items(self) -> int:
        """N."""
        return int(self.vectors.shape[0])

    def nodes(self, level: int) -> np.ndarray:
        """Positions of the nodes on a level, ascending: int32 `(n,)`."""
        return np.flatnonzero(self.node_levels >= level).astype(np.int32)

    def check(self) -> None:
        """Raises: ArtifactError: an array breaks a rule of the format."""
        _check_arrays(self)
        for number, level in enumerate(self.levels):
            _check_level(self, number, level)


def build(
    vectors: np.ndarray,
    item_ids: np.ndarray,
    config: IndexConfig,
    num_threads: int | None = None,
) -> HnswIndex:
    """Builds HNSW by l2 distance.

    Args:
        vectors: float32 `(N, D)`, finite.
        item_ids: int64 `(N,)`, original ids.
        config: links a node and candidates while building.
        num_threads: None: all cores; 1 gives the same graph every time.
    Raises: ArtifactError: vectors are not finite, or shapes do not fit.
    Source: Malkov & Yashunin 2018; Chen et al. 2022, section 3.2 and 5.1.4.
    """
    vectors = np.ascontiguousarray(vectors, np.float32)
    item_ids = np.asarray(item_ids, np.int64)
    if vectors.ndim != 2 or item_ids.shape != vectors.shape[:1]:
        raise ArtifactError(
            "`vectors` must be (N, D) and `item_ids` (N,). "
            f"Received: {vectors.shape} and {item_ids.shape}"
        )
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if broken.size:
        raise ArtifactError(
            "`vectors` must be finite. "
            f"Received: row {broken[0]} is {vectors[broken[0]]}"
        )
    graph = faiss.IndexHNSWFlat(vectors.shape[1], config.m)
    graph.hnsw.efConstruction = config.ef_construction
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(num_threads or threads)
    try:
        graph.add(vectors)
    finally:
        faiss.omp_set_num_threads(threads)
    index = _read_out(graph.hnsw, vectors, item_ids)
    index.check()
    return index


def save(index: HnswIndex, path: str | os.PathLike, overwrite: bool = False) -> None:
    """Writes the folder, whole or not at all.

    Raises: ArtifactError: `path` exists and `overwrite` is False.
    """
    meta = {
        "num_items": index.num_items,
        "width": int(index.vectors.shape[1]),
        "num_levels": len(index.levels),
    }
    arrays = {
        "vectors": index.vectors,
        "item_ids": index.item_ids,
        "node_levels": index.node_levels,
    }
    for number, level in enumerate(index.levels):
        arrays[f"level{number}_values"] = level.values
        arrays[f"level{number}_row_splits"] = level.row_splits
    with artifacts.create(
        path, kind=KIND, format=FORMAT, meta=meta, overwrite=overwrite
    ) as folder:
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)


def load(path: str | os.PathLike, verify: bool = True) -> HnswIndex:
    """Reads a folder that `save` wrote.

    Args:
        path: the folder.
        verify: compare checksums and check every rule of the format.
    Raises:
        FileNotFoundError: there is no index.
        ArtifactError: a file is missing or damaged, or breaks a rule.
    """
    path = pathlib.Path(path)
    meta = artifacts.load(path, kind=KIND, format=FORMAT, verify=verify)

    def read(name: str) -> np.ndarray:
        return np.load(path / f"{name}.npy", allow_pickle=False)

    index = HnswIndex(
        read("vectors"),
        read("item_ids"),
        read("node_levels"),
        tuple(
            Level(read(f"level{n}_values"), read(f"level{n}_row_splits"))
            for n in range(meta["num_levels"])
        ),
    )
    if verify:
        index.check()
    return index


def _read_out(hnsw: Any, vectors: np.ndarray, item_ids: np.ndarray) -> HnswIndex:
    """Reads faiss's rows: a node's links of all its levels, -1 where unused."""
    counts = faiss.vector_to_array(hnsw.levels)
    offsets = faiss.vector_to_array(hnsw.offsets).astype(np.int64)
    links = faiss.vector_to_array(hnsw.neighbors)
    places = faiss.vector_to_array(hnsw.cum_nneighbor_per_level)
    levels = []
    for number in range(int(counts.max(initial=0))):
        nodes = np.flatnonzero(counts > number)
        slots = np.arange(places[number], places[number + 1])
        rows = links[offsets[nodes][:, None] + slots]
        # faiss links a node to itself where vectors are equal.
        is_link = (rows >= 0) & (rows != nodes[:, None])
        degrees = np.zeros([counts.size + 1], np.int64)
        degrees[nodes + 1] = is_link.sum(axis=1)
        splits = np.cumsum(degrees)
        if splits[-1] < 2**31:
            splits = splits.astype(np.int32)
        levels.append(Level(rows[is_link].astype(np.int32), splits))
    return HnswIndex(vectors, item_ids, (counts - 1).astype(np.uint8), tuple(levels))


def _check_arrays(index: HnswIndex) -> None:
    rows = index.num_items
    expected = {
        "vectors": (index.vectors, np.float32, (rows, index.vectors.shape[-1])),
        "item_ids": (index.item_ids, np.int64, (rows,)),
        "node_levels": (index.node_levels, np.uint8, (rows,)),
    }
    for name, (array, dtype, shape) in expected.items():
        if array.dtype != dtype or array.shape != shape:
            raise ArtifactError(
                f"`{name}` must be {np.dtype(dtype).name} {shape}. "
                f"Received: {array.dtype.name} {array.shape}"
            )
    unique, counts = np.unique(index.item_ids, return_counts=True)
    if (counts > 1).any():
        raise ArtifactError(
            f"`item_ids` must not repeat. Received: {unique[counts.argmax()]} "
            f"{counts.max()} times"
        )
    top = int(index.node_levels.max(initial=0)) + 1
    if rows < 1 or len(index.levels) != top:
        raise ArtifactError(
            "`levels` must be as many as the highest of `node_levels` plus 1. "
            f"Received: {len(index.levels)} levels, highest {top - 1}, {rows} items"
        )


def _check_level(index: HnswIndex, number: int, level: Level) -> None:
    name, rows = f"level{number}", index.num_items
    values, splits = level.values, level.row_splits
    if values.dtype != np.int32 or splits.dtype not in (np.int32, np.int64):
        raise ArtifactError(
            f"`{name}` must have int32 values and int32 or int64 row_splits. "
            f"Received: {values.dtype.name}, {splits.dtype.name}"
        )
    degrees = np.diff(splits)
    if (
        splits.shape != (rows + 1,)
        or splits[0] != 0
        or splits[-1] != values.size
        or (degrees < 0).any()
    ):
        raise ArtifactError(
            f"`{name}_row_splits` must be ({rows + 1},), rise from 0 and end at the "
            f"{values.size} values. Received: {splits.shape}, from {splits[0]} to "
            f"{splits[-1]}, smallest step {degrees.min(initial=0)}"
        )
    if values.size and (values.min() < 0 or values.max() >= rows):
        raise ArtifactError(
            f"`{name}_values` must be in [0, {rows}). "
            f"Received: from {values.min()} to {values.max()}"
        )
    source = np.repeat(np.arange(rows), degrees)
    if (values == source).any():
        raise ArtifactError(
            f"`{name}` must have no self loops. "
            f"Received: node {source[values == source][0]}"
        )
    ends = np.concatenate([source, values])
    outside = ends[index.node_levels[ends] < number]
    if outside.size:
        raise ArtifactError(
            f"`{name}` must link nodes of that level or above. Received: node "
            f"{outside[0]}, whose highest level is {index.node_levels[outside[0]]}"
        )
