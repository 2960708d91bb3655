"""A store in a folder of this machine, by LMDB: several processes, no server."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from tfrec.stores import pairs
from tfrec.stores.catalog import Catalog, Version, checked_meta
from tfrec.stores.growing_lmdb import GrowingLmdb

_CATALOG_KEY = b"catalog"
_MAP_SIZE = 64 * 1024 * 1024
_DELETE_BATCH = 10_000


class LmdbStore:
    """A `Store` in one LMDB environment.

    Each `put`, `commit` and `switch` is one transaction, on disk when the call returns;
    a writer that is killed leaves what it had put. Reads see one snapshot and do not
    wait for the writer. One process opens a folder once and shares the store among its
    threads; a forked process opens its own.

    Versions that are written one after the other, with ascending keys that are not
    negative, fill the file's pages; in another order half of each may stay empty.

    Args:
        path: a folder, made unless `readonly`.
        map_size: bytes of address space at first; it doubles when it is full.
        readonly: whether writes are refused; the folder must exist.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        map_size: int = _MAP_SIZE,
        readonly: bool = False,
    ):
        self._env = GrowingLmdb(path, map_size, readonly)

    def __enter__(self) -> "LmdbStore":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def put(self, version: str, keys: Any, values: Sequence[bytes]) -> None:
        """See `Store.put`."""
        encoded = pairs.encode_keys(keys)
        pairs.check_values(values, len(encoded))
        value_of = dict(zip(encoded, values, strict=True))
        packed = [(key, pairs.pack(key, value_of[key])) for key in sorted(value_of)]

        def write(transaction: Any) -> None:
            catalog = _catalog(transaction)
            begun = catalog.begin(version)
            _replace(transaction, catalog, begun)
            prefix = _prefix(begun.find(version))
            _put_sorted(transaction, [(prefix + key, stored) for key, stored in packed])

        self._env.write(write)

    def commit(
        self, version: str, meta: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """See `Store.commit`."""
        meta = checked_meta(meta)

        def seal(transaction: Any) -> dict[str, Any]:
            catalog = _catalog(transaction)
            totals = _totals(transaction, version, catalog.find(version)).as_dict()
            sealed = catalog.seal(version, meta, totals)
            _replace(transaction, catalog, sealed)
            return dict(sealed.find(version).meta)

        return self._env.write(seal)

    def switch(self, version: str) -> None:
        """See `Store.switch`."""

        def change(transaction: Any) -> None:
            catalog = _catalog(transaction)
            _replace(transaction, catalog, catalog.switch(version))

        self._env.write(change)

    def current(self) -> str | None:
        """See `Store.current`."""
        return self._env.read(_catalog).current

    def versions(self) -> dict[str, str]:
        """See `Store.versions`."""
        catalog = self._env.read(_catalog)
        return {name: version.state for name, version in catalog.versions.items()}

    def meta(self, version: str) -> dict[str, Any]:
        """See `Store.meta`."""
        return dict(self._env.read(_catalog).readable(version)[1].meta)

    def get(
        self,
        keys: Any,
        version: str | None = None,
        expect: Mapping[str, Any] | None = None,
    ) -> list[bytes | None]:
        """See `Store.get`."""
        encoded = pairs.encode_keys(keys)

        def read(transaction: Any) -> list[bytes | None]:
            name, found = _catalog(transaction).readable(version, expect)
            prefix = _prefix(found)
            values = [transaction.get(prefix + key) for key in encoded]
            return [
                None if stored is None else pairs.unpack(key, stored, name)
                for key, stored in zip(encoded, values, strict=True)
            ]

        return self._env.read(read)

    def verify(self, version: str) -> None:
        """See `Store.verify`."""

        def read(transaction: Any) -> None:
            _, found = _catalog(transaction).readable(version)
            _totals(transaction, version, found).check(found.meta, version)

        self._env.read(read)

    def delete(self, version: str) -> None:
        """See `Store.delete`. In transactions of 10,000 pairs, so that none is huge."""

        def begin(transaction: Any) -> None:
            catalog = _catalog(transaction)
            _replace(transaction, catalog, catalog.begin_delete(version))

        def erase(transaction: Any) -> bool:
            catalog = _catalog(transaction)
            if version not in catalog.versions:
                return True
            prefix = _prefix(catalog.find(version))
            cursor = transaction.cursor()
            for _ in range(_DELETE_BATCH):
                if not cursor.set_range(prefix) or not _starts(cursor.key(), prefix):
                    _replace(transaction, catalog, catalog.end_delete(version))
                    return True
                cursor.delete()
            return False

        self._env.write(begin)
        while not self._env.write(erase):
            pass

    def close(self) -> None:
        """See `Store.close`."""
        self._env.close()


def _catalog(transaction: Any) -> Catalog:
    raw = transaction.get(_CATALOG_KEY)
    return Catalog.from_bytes(None if raw is None else bytes(raw))


def _replace(transaction: Any, old: Catalog, new: Catalog) -> None:
    if new != old:
        transaction.put(_CATALOG_KEY, new.to_bytes())


def _prefix(version: Version) -> bytes:
    """The newest version's pairs are the last ones."""
    return b"pair/" + version.number.to_bytes(8, "big")


def _put_sorted(transaction: Any, items: list[tuple[bytes, bytes]]) -> None:
    """Writes pairs; what goes behind all others fills pages to the brim."""
    cursor = transaction.cursor()
    is_last = bool(items) and cursor.last() and items[0][0] > bytes(cursor.key())
    cursor.putmulti(items, append=is_last)


def _starts(key: Any, prefix: bytes) -> bool:
    return bytes(key[: len(prefix)]) == prefix


def _totals(transaction: Any, name: str, version: Version) -> pairs.Totals:
    totals = pairs.Totals()
    prefix = _prefix(version)
    cursor = transaction.cursor()
    if cursor.set_range(prefix):
        for key, stored in cursor:
            if not _starts(key, prefix):
                break
            totals.add(bytes(key[len(prefix) :]), stored, name)
    return totals
