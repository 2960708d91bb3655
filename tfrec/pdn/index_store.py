"""The index in a key-value store: a pair an item.

The key is the item's position. The value, little-endian and without gaps: uint32 n, the
length of the list; int64, the item's raw id; n int32, positions of the neighbours; n
float32, their s_ji, descending.
"""

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfrec.artifacts import ArtifactError
from tfrec.pdn import index as index_lib
from tfrec.pdn.index import PathIndex
from tfrec.pdn.index_build import row_splits
from tfrec.pdn.index_inputs import Ragged
from tfrec.stores import Store, StoreError, put_all

_HEADER = struct.Struct("<Iq")
_BATCH = 4096


def write_to_store(index: PathIndex, store: Store, version: str) -> None:
    """Writes and commits a version; `store.switch(version)` is left to the caller.

    After an interruption the same call is made again.

    Raises: StoreError: the version is sealed with another content.
    """
    put_all(store, version, _pairs(index), _BATCH)
    meta = {"kind": index_lib.KIND, "format": index_lib.FORMAT, **index.meta}
    store.commit(version, meta)


def read_lists(
    store: Store,
    positions: np.ndarray,
    model_version: str,
    version: str | None = None,
) -> tuple[Ragged, np.ndarray]:
    """The lists of a few items, such as a user's triggers.

    Args:
        store: that holds the index.
        positions: int `(M,)`; one that the index does not have, such as -1 or that of
            a newer item, gets an empty list.
        model_version: what the index must be of.
        version: of the store; by default the current one.
    Returns: neighbours, M lists of int32 positions, and their similarities, float32.
    Raises: StoreError: the version is of an index of another model, both being named,
        or is not readable. ArtifactError: a value breaks the layout, or is lost.
    """
    values = store.get(positions, version, _expected(model_version))
    none = [p for p, v in zip(positions, values, strict=True) if v is None and p >= 0]
    if none:
        _check_newer(store, min(none), version, model_version)
    lists = [_unpack(value) if value is not None else _EMPTY for value in values]
    neighbours, similarities, _, splits = _joined(lists)
    return Ragged(neighbours, splits), similarities


def read_from_store(
    store: Store, model_version: str, version: str | None = None
) -> PathIndex:
    """Reads a whole index.

    Args, raises: as `read_lists`; ArtifactError also where an item is missing.
    """
    name = store.current() if version is None else version
    if name is None:
        raise StoreError("A version of the store must be current. Received: none is")
    expect = _expected(model_version)
    store.get(np.zeros(0, np.int64), name, expect)
    meta = store.meta(name)
    lists = []
    for begin in range(0, meta["num_keys"], _BATCH):
        keys = np.arange(begin, min(begin + _BATCH, meta["num_keys"]))
        for key, value in zip(keys, store.get(keys, name, expect), strict=True):
            if value is None:
                raise _lost(name, key)
            lists.append(_unpack(value))
    neighbours, similarities, item_ids, splits = _joined(lists)
    own = ("kind", "format", "num_keys", "num_bytes", "checksum")
    index = PathIndex(
        neighbours,
        similarities,
        splits,
        item_ids,
        {key: value for key, value in meta.items() if key not in own},
    )
    index.check()
    return index


def _expected(model_version: str) -> dict[str, Any]:
    return {
        "kind": index_lib.KIND,
        "format": index_lib.FORMAT,
        "model_version": model_version,
    }


def _check_newer(
    store: Store, position: int, version: str | None, model_version: str
) -> None:
    """Raises ArtifactError if a version has lost an item that it should have."""
    name = version or store.current()
    if name is None or position >= store.meta(name)["num_keys"]:
        return
    # Of that version by name: another one may have become current since.
    if store.get(np.array([position]), name, _expected(model_version)) == [None]:
        raise _lost(name, position)


def _lost(version: str, position: int) -> ArtifactError:
    return ArtifactError(
        f"Version {version!r} must hold position {position}. Received: no value"
    )


_List = tuple[np.ndarray, np.ndarray, int]
_EMPTY: _List = (np.zeros(0, "<i4"), np.zeros(0, "<f4"), -1)


def _pairs(index: PathIndex) -> Iterator[tuple[int, bytes]]:
    neighbours = index.neighbours.astype("<i4")
    similarities = index.similarities.astype("<f4")
    splits = index.row_splits.tolist()
    for position, item_id in enumerate(index.item_ids.tolist()):
        entries = slice(splits[position], splits[position + 1])
        header = _HEADER.pack(entries.stop - entries.start, item_id)
        lists = neighbours[entries].tobytes() + similarities[entries].tobytes()
        yield position, header + lists


def _unpack(value: bytes) -> _List:
    """Neighbours, similarities and raw id of what `_pairs` made."""
    if len(value) >= _HEADER.size:
        length, item_id = _HEADER.unpack_from(value)
        if len(value) == _HEADER.size + 8 * length:
            middle = _HEADER.size + 4 * length
            neighbours = np.frombuffer(value, "<i4", length, _HEADER.size)
            return neighbours, np.frombuffer(value, "<f4", length, middle), item_id
    raise ArtifactError(
        f"A value of the index must have {_HEADER.size} + 8 n bytes, n in its first 4. "
        f"Received: {len(value)} bytes, {value[:4].hex()}"
    )


def _joined(
    lists: list[_List],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Neighbours and similarities one after the other, raw ids, row splits."""
    return (
        np.concatenate([np.zeros(0, np.int32), *(n for n, _, _ in lists)]),
        np.concatenate([np.zeros(0, np.float32), *(s for _, s, _ in lists)]),
        np.array([item_id for _, _, item_id in lists], np.int64),
        row_splits([np.array([n.size for n, _, _ in lists], np.int64)]),
    )
