"""Building the index: shard by shard in this process, or what a pipeline needs for it.

`tfrec.pdn.index_beam` builds the same shards in many processes; the index is equal
byte for byte where `score_pairs` gives equal numbers for equal batches.
"""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import rich.console

from tfrec.artifacts import ArtifactError
from tfrec.pdn import index as index_lib
from tfrec.pdn.candidates import Candidates
from tfrec.pdn.index import PathIndex
from tfrec.pdn.index_inputs import IndexInputs
from tfrec.pdn.index_progress import IndexProgress
from tfrec.pdn.index_shards import IndexConfig, ScorePairs, Shard, build_shard
from tfrec.pdn.shard_folder import ShardFolder


class Shards(Protocol):
    """Where shards are kept by number."""

    def __contains__(self, number: int, /) -> bool: ...

    def __getitem__(self, number: int, /) -> Shard: ...

    def __setitem__(self, number: int, shard: Shard, /) -> None: ...


def build(
    inputs: IndexInputs,
    score_pairs: ScorePairs,
    config: IndexConfig,
    model_version: str,
    path: str | os.PathLike | None = None,
    overwrite: bool = False,
    console: rich.console.Console | None = None,
) -> PathIndex:
    """Builds the index in this process.

    Args:
        inputs: pairs, profiles and popularity of the items.
        score_pairs: SimNet: `(trigger ids, item ids)`, int32 `(P,)` each, to s_ji,
            float32 `(P,)`, finite.
        config: k, k-hat, and how the work is cut.
        model_version: of SimNet, any text; readers compare it.
        path: where the index is saved. Shards are kept beside it in `<path>.shards`
            until then: a build that was stopped goes on. None: nothing is written.
        overwrite: whether an index at `path` is replaced.
        console: of the progress; standard error by default.
    Raises:
        ArtifactError: `inputs` break a rule, `path` exists, or the shards there are of
            other settings.
        ValueError: `score_pairs` gives another shape, or what is not finite.
    Source: Li et al. 2021, section 5.2.
    """
    inputs.check()
    meta = settings(inputs, config, model_version)
    if path is None:
        memory: dict[int, Shard] = {}
        _build_all(memory, inputs, score_pairs, config, console)
        return assemble(memory, inputs, config, meta)
    shards = begin(path, meta, overwrite)
    _build_all(shards, inputs, score_pairs, config, console)
    return finish(shards, path, inputs, config, meta, overwrite)


def settings(
    inputs: IndexInputs, config: IndexConfig, model_version: str
) -> dict[str, Any]:
    """What shards must agree in to be of one index."""
    return {
        "model_version": model_version,
        **dataclasses.asdict(config),
        "data_sha256": inputs.sha256(),
    }


def begin(
    path: str | os.PathLike, meta: dict[str, Any], overwrite: bool
) -> ShardFolder:
    """Returns the folder of shards beside `path`, new or of the same settings.

    Raises: ArtifactError: `path` exists and `overwrite` is False; a setting differs.
    """
    if pathlib.Path(path).exists() and not overwrite:
        raise ArtifactError(
            f"`path` must not exist yet, or pass overwrite=True. Received: {path}"
        )
    shards = ShardFolder(path)
    shards.begin(meta)
    return shards


def missing(shards: Shards, config: IndexConfig, num_items: int) -> list[int]:
    """Numbers of the shards that are still to be built."""
    return [n for n in range(config.num_shards(num_items)) if n not in shards]


def finish(
    shards: ShardFolder,
    path: str | os.PathLike,
    inputs: IndexInputs,
    config: IndexConfig,
    meta: dict[str, Any],
    overwrite: bool,
) -> PathIndex:
    """Puts all shards together, saves the index and removes the shards."""
    index = assemble(shards, inputs, config, meta)
    index_lib.save(index, path, overwrite)
    shards.remove()
    return index


def assemble(
    shards: Shards, inputs: IndexInputs, config: IndexConfig, meta: dict[str, Any]
) -> PathIndex:
    """Puts all shards together, ids becoming positions."""
    neighbours: list[np.ndarray] = []
    similarities: list[np.ndarray] = []
    degrees: list[np.ndarray] = []
    num_pairs = 0
    for number in range(config.num_shards(inputs.num_items)):
        shard = shards[number]
        is_real = shard.neighbours != 0
        neighbours.append(shard.neighbours[is_real] - np.int32(1))
        similarities.append(shard.similarities[is_real])
        degrees.append(is_real.sum(axis=1))
        num_pairs += shard.num_pairs
    index = PathIndex(
        np.concatenate(neighbours),
        np.concatenate(similarities),
        row_splits(degrees),
        np.array(inputs.item_ids, np.int64),
        {
            "model_version": meta["model_version"],
            "k": config.k,
            "k_hat": config.k_hat,
            "data_sha256": meta["data_sha256"],
            "num_pairs": num_pairs,
        },
    )
    index.check()
    return index


def row_splits(degrees: Sequence[np.ndarray]) -> np.ndarray:
    """Lengths of lists, in parts, to int64 row splits."""
    lengths = np.concatenate([np.zeros(1, np.int64), *degrees])
    return np.cumsum(lengths, dtype=np.int64)


def _build_all(
    shards: Shards,
    inputs: IndexInputs,
    score_pairs: ScorePairs,
    config: IndexConfig,
    console: rich.console.Console | None,
) -> None:
    todo = missing(shards, config, inputs.num_items)
    if not todo:
        return
    candidates = Candidates(inputs, config.k_hat)
    num_left = sum(config.shard_items(n, inputs.num_items).size for n in todo)
    num_done = inputs.num_items - num_left
    with IndexProgress(inputs.num_items, num_done, console) as progress:
        for number in todo:
            items = config.shard_items(number, inputs.num_items)
            shard = build_shard(items, candidates, score_pairs, config)
            shards[number] = shard
            progress.advance(items.size, shard.num_pairs)
