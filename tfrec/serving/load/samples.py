"""What a load generator saw, and its figures."""

import array
import collections
import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfrec.serving.apis import grpc
from tfrec.serving.errors import CODES

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
MOST_WINDOWS = 120


class Samples:
    """Times of requests; threads may share it.

    Args:
        origin: of the clock `time.perf_counter`, where the measured time begins.
    """

    def __init__(self, origin: float):
        self.origin = origin
        self.seconds = 0.0
        self._lock = threading.Lock()
        self._due = array.array("d")
        self._lags = array.array("d")
        self._latencies = array.array("d")
        self._codes = array.array("b")
        self._versions = array.array("q")
        self._messages: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._codes)

    def answered(self, due: float, start: float, version: int) -> None:
        """A request was answered just now, by a version of the model."""
        self._add(due, start, grpc.StatusCode.OK, version)

    def failed(
        self, due: float, start: float, code: grpc.StatusCode, message: str
    ) -> None:
        """A request failed just now."""
        self._add(due, start, code, 0)
        self._messages.setdefault(code.value[0], message)

    def end(self, seconds: float) -> None:
        """Says how many seconds were measured; negative: none."""
        self.seconds = max(0.0, seconds)

    def summary(self) -> dict[str, Any]:
        """The figures: requests that were due in the measured time.

        Latencies are milliseconds from when a request was due, of those that were
        answered, and of those that ran into their deadline: these would have taken
        longer still. Throughput is of answers that came in the measured time.
        """
        columns = self._columns()
        seconds = self.seconds
        measured = (columns["due"] >= 0) & (columns["due"] < max(seconds, 1e-9))
        codes = columns["codes"][measured]
        finished = columns["due"] + columns["latencies"]
        is_ok = columns["codes"] == 0
        came = is_ok & (finished >= 0) & (finished < seconds)
        return {
            "seconds": seconds,
            "requests": int(measured.sum()),
            "answered": int((codes == 0).sum()),
            "throughput": float(came.sum() / seconds) if seconds else 0.0,
            "latency_ms": _statistics(columns["latencies"][measured & _timed(columns)]),
            "send_lag_ms": _statistics(columns["lags"][measured]),
            "errors": self._errors(codes),
            "versions": _counts(columns["versions"][measured & is_ok]),
            "windows": _windows(columns, seconds, came),
        }

    def recent(self, count: int) -> dict[str, float]:
        """Statistics of the latest latencies, for a display."""
        with self._lock:
            latest = np.array(self._latencies[-count:])
        return _statistics(latest)

    def latencies_ms(self) -> np.ndarray:
        """Sorted latencies `(requests,)` of the measured time, milliseconds."""
        columns = self._columns()
        measured = (columns["due"] >= 0) & (columns["due"] < self.seconds)
        return np.sort(1000 * columns["latencies"][measured & _timed(columns)])

    def _add(
        self, due: float, start: float, code: grpc.StatusCode, version: int
    ) -> None:
        now = time.perf_counter()
        with self._lock:
            self._due.append(due - self.origin)
            self._lags.append(start - due)
            self._latencies.append(now - due)
            self._codes.append(code.value[0])
            self._versions.append(version)

    def _columns(self) -> dict[str, np.ndarray]:
        with self._lock:
            return {
                "due": np.array(self._due),
                "lags": np.array(self._lags),
                "latencies": np.array(self._latencies),
                "codes": np.array(self._codes, np.int8),
                "versions": np.array(self._versions, np.int64),
            }

    def _errors(self, codes: np.ndarray) -> dict[str, dict[str, Any]]:
        counts = collections.Counter(codes[codes != 0].tolist())
        return {
            CODES[code].name: {"count": count, "first": self._messages[code]}
            for code, count in sorted(counts.items())
        }


def _counts(values: np.ndarray) -> dict[str, int]:
    found = zip(*np.unique(values, return_counts=True), strict=True)
    return {str(value): int(count) for value, count in found}


def _timed(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    deadline = grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
    return (columns["codes"] == 0) | (columns["codes"] == deadline)


def _statistics(seconds: np.ndarray) -> dict[str, float]:
    """Mean, percentiles and maximum in milliseconds; nothing of nothing."""
    if not seconds.size:
        return {}
    found = np.percentile(seconds, PERCENTILES)
    named = {f"p{p:g}": 1000 * v for p, v in zip(PERCENTILES, found, strict=True)}
    return {
        "mean": float(1000 * seconds.mean()),
        **{name: float(value) for name, value in named.items()},
        "max": float(1000 * seconds.max()),
    }


def _windows(
    columns: Mapping[str, np.ndarray], seconds: float, came: np.ndarray
) -> list[dict[str, float]]:
    """Figures of equal parts of the measured time, of a second or longer."""
    if not seconds:
        return []
    count = int(min(MOST_WINDOWS, max(1, seconds)))
    width = seconds / count
    due_in = np.floor(columns["due"] / width)
    came_in = np.floor((columns["due"] + columns["latencies"]) / width)
    timed = _timed(columns)
    windows = []
    for number in range(count):
        latencies = columns["latencies"][timed & (due_in == number)]
        answers = int((came & (came_in == number)).sum())
        windows.append(
            {
                "start": number * width,
                "throughput": answers / width,
                "errors": int(((columns["codes"] != 0) & (due_in == number)).sum()),
                **{
                    name: value
                    for name, value in _statistics(latencies).items()
                    if name in ("p50", "p99", "max")
                },
            }
        )
    return windows
