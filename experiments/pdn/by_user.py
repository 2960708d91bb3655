"""Metrics of every test user inside a record, so that kept records can be compared."""

import base64
import zlib
from collections.abc import Mapping

import numpy as np

# Each metric that is compared, and the array that has its users.
METRICS = {
    "sampled_hr": "user",
    "sampled_ndcg": "user",
    "full_hr": "full_user",
    "full_ndcg": "full_user",
    "hr300": "full_user",
    "item_to_item_hr": "user",
    "item_to_item_ndcg": "user",
}


def pack(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """The metrics as float32 and their users as int32, compressed, in base64.

    Args:
        arrays: of `evaluate`: metrics and their users `(E,)`, whose ids ascend.
    """
    kept = {name: np.asarray(arrays[name], "<f4") for name in _names(arrays)}
    for name in dict.fromkeys(METRICS.values()):
        kept[name] = np.diff(arrays[name], prepend=0).astype("<i4")
    return {
        name: base64.b64encode(zlib.compress(values.tobytes(), 9)).decode()
        for name, values in kept.items()
    }


def unpack(texts: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The arrays of `pack`: metrics float64, users int64.

    Raises: ValueError, KeyError: `texts` are not of `pack`.
    """
    found = {n: _values(texts[n], "<f4").astype(np.float64) for n in _names(texts)}
    for name in dict.fromkeys(METRICS.values()):
        found[name] = np.cumsum(_values(texts[name], "<i4"), dtype=np.int64)
    return found


def _names(held: Mapping[str, object]) -> list[str]:
    """Metrics that are held or must be: not every model ranks items by items."""
    return [m for m in METRICS if m in held or not m.startswith("item_to_item")]


def _values(text: str, dtype: str) -> np.ndarray:
    try:
        return np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype)
    except zlib.error as error:
        raise ValueError(f"`by_user` must be compressed. Received: {error}") from error
