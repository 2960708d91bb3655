"""The protocol of every store: batches of pairs in versions, one of them current."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Store(Protocol):
    """Pairs of an int64 key and bytes, in versions that are switched atomically.

    A version is open, then sealed, then perhaps deleted. Pairs go into an open one,
    reads come from sealed ones, and one sealed version may be current.

    A version has one writer at a time; any number of processes may read. Every method
    raises `StoreError` when a rule is broken or what is stored is damaged, and
    `StoreUnavailable` when the store does not answer: then the same call may be made
    again, whether or not it took effect.
    """

    def put(self, version: str, keys: Any, values: Sequence[bytes]) -> None:
        """Writes a batch of pairs into an open version, made if there is none.

        Args:
            version: letters, digits, `.`, `_` and `-`, at most 64.
            keys: integers `(N,)` within int64. A key that is there is replaced, so
                a writer that was killed starts over or goes on.
            values: N byte strings.
        """
        ...

    def commit(
        self, version: str, meta: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Reads an open version back, and seals it.

        Args:
            version: from now on it refuses `put`. Again with equal `meta`, nothing
                happens.
            meta: JSON of the caller's, such as the model's version, at most 16 KiB.
        Returns: as `meta`.
        """
        ...

    def switch(self, version: str) -> None:
        """Makes a sealed version current; a reader sees the old one or the new."""
        ...

    def current(self) -> str | None:
        """The current version, None before the first `switch`."""
        ...

    def versions(self) -> dict[str, str]:
        """Every version's state by name: `"open"`, `"sealed"` or `"deleting"`."""
        ...

    def meta(self, version: str) -> dict[str, Any]:
        """What `commit` was given, and `num_keys`, `num_bytes` and `checksum`.

        `num_bytes` counts values. `checksum` is the sum modulo 2**64 of the pairs'
        digests in hex: equal for equal pairs in any order and in any store.
        """
        ...

    def get(
        self,
        keys: Any,
        version: str | None = None,
        expect: Mapping[str, Any] | None = None,
    ) -> list[bytes | None]:
        """Reads a batch, all of it from one version.

        Args:
            keys: integers `(N,)` within int64, in any order, repeated or not.
            version: a sealed one, by default the one that is current at the call.
            expect: what the version's `meta` must hold, such as the model's version.
        Returns: N values, None where the version has no such key.
        """
        ...

    def verify(self, version: str) -> None:
        """Reads all of a sealed version; raises `StoreError` if its totals differ."""
        ...

    def delete(self, version: str) -> None:
        """Removes a version that is not current, sealed or not.

        Its pairs are unreadable from the first moment. A call that was cut short is
        made again; when the version is gone, nothing happens.
        """
        ...

    def close(self) -> None:
        """Gives files and connections back; leaving a `with` block does too."""
        ...

    def __enter__(self) -> "Store": ...

    def __exit__(self, *_: object) -> None: ...


def put_all(
    store: Store,
    version: str,
    pairs: Iterable[tuple[int, bytes]],
    batch_size: int = 4096,
) -> None:
    """Writes pairs of any number, `batch_size` at a time."""
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1. Received: {batch_size}")
    keys: list[int] = []
    values: list[bytes] = []
    for key, value in pairs:
        keys.append(key)
        values.append(value)
        if len(keys) == batch_size:
            store.put(version, np.array(keys, np.int64), values)
            keys, values = [], []
    if keys:
        store.put(version, np.array(keys, np.int64), values)
