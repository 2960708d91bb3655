"""How a pair is stored: the key as 8 bytes, the value behind its digest of 8."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfrec.stores.errors import StoreError

KEY_BYTES = 8
_DIGEST_BYTES = 8


def encode_keys(keys: Any) -> list[bytes]:
    """Integers `(N,)` -> N strings of 8 bytes, big-endian.

    Raises: StoreError: not rank 1, not integers, or of a type wider than int64.
    """
    array = checked_keys(keys)
    raw = array.astype(">i8").tobytes()
    return [raw[i : i + KEY_BYTES] for i in range(0, len(raw), KEY_BYTES)]


def decode_key(key: bytes) -> int:
    """8 bytes -> the integer."""
    return int.from_bytes(key, "big", signed=True)


def checked_keys(keys: Any) -> np.ndarray:
    """Returns the keys as int64 `(N,)`; an empty list will do too."""
    array = np.asarray(keys)
    if array.ndim == 1 and array.size == 0:
        return np.zeros(0, np.int64)
    if array.ndim != 1 or not np.can_cast(array.dtype, np.int64, "safe"):
        raise StoreError(
            "`keys` must be integers of rank 1 `(N,)` within int64. "
            f"Received: shape={array.shape}, dtype={array.dtype}"
        )
    if array.dtype == bool:
        raise StoreError(f"`keys` must be integers. Received: dtype={array.dtype}")
    return array.astype(np.int64)


def check_values(values: Sequence[bytes], num_keys: int) -> None:
    """Raises `StoreError` unless there are `num_keys` values, all of them bytes."""
    if len(values) != num_keys:
        raise StoreError(
            f"`values` must be as many as `keys`, {num_keys}. Received: {len(values)}"
        )
    for value in values:
        if not isinstance(value, bytes):
            raise StoreError(
                f"`values` must be bytes. Received: {type(value).__name__}"
            )


def pack(key: bytes, value: bytes) -> bytes:
    """Returns the digest of the pair and the value, as one string."""
    return _digest(key, value) + value


def unpack(key: bytes, stored: Any, version: str) -> bytes:
    """Returns the value of what `pack` made.

    Raises: StoreError: the digest is another one; key and version are named.
    """
    value = bytes(stored[_DIGEST_BYTES:])
    digest = bytes(stored[:_DIGEST_BYTES])
    found = _digest(key, value)
    if digest != found:
        raise StoreError(
            f"The value of key {decode_key(key)} in version {version!r} is damaged: "
            f"its digest must be {digest.hex()}. Received: {found.hex()}"
        )
    return value


def _digest(key: bytes, value: bytes) -> bytes:
    return hashlib.blake2b(key + value, digest_size=_DIGEST_BYTES).digest()


class Totals:
    """Number of keys, bytes of values and the checksum of pairs in any order."""

    def __init__(self) -> None:
        self.num_keys = 0
        self.num_bytes = 0
        self._sum = 0

    def add(self, key: bytes, stored: Any, version: str) -> None:
        """Counts what `pack` made, after it was checked by `unpack`."""
        value = unpack(key, stored, version)
        self.num_keys += 1
        self.num_bytes += len(value)
        self._sum += int.from_bytes(stored[:_DIGEST_BYTES], "big")

    def as_dict(self) -> dict[str, Any]:
        """`num_keys`, `num_bytes` and `checksum`, which has 16 hex digits."""
        return {
            "num_keys": self.num_keys,
            "num_bytes": self.num_bytes,
            "checksum": f"{self._sum % 2**64:016x}",
        }

    def check(self, meta: Mapping[str, Any], version: str) -> None:
        """Raises `StoreError` unless they are those of a version's `meta`."""
        for name, found in self.as_dict().items():
            if found != meta[name]:
                raise StoreError(
                    f"`{name}` of version {version!r} must be {meta[name]!r}. "
                    f"Received: {found!r}"
                )
