"""Looks at a server while it is loaded: memory, and new versions now and then."""

import pathlib
import statistics
import time
from collections.abc import Mapping, Sequence

from experiments.serving import memory
from experiments.serving.server_process import Server
from tfrec import artifacts
from tfrec.serving import Client, warmup
from tfrec.serving.replay import folder as replay_folder

_SECONDS_BETWEEN_LOOKS = 1.0
_SHARE_WITH_SWAPS = 0.6  # of the time; memory is compared when all is loaded
_PARTS = 5  # the first of so many is compared with the last


class Watch:
    """What a server takes, and versions that come while it is asked.

    Args:
        server: it.
        swapped: name and root of a model that gets new versions: copies of the latest.
        seconds: that are measured; the new versions come in the first part of them, in
            equal distances, each when the one before it is served.
        swaps: how many.

    Attributes:
        memory: `(when, MiB of all processes)` at each look, from 0 on.
        num_swaps: versions that came and were served.
    """

    def __init__(
        self,
        server: Server,
        swapped: tuple[str, pathlib.Path] | None = None,
        seconds: float = 0.0,
        swaps: int = 0,
    ):
        self._server = server
        self._swapped = swapped
        share = seconds * _SHARE_WITH_SWAPS
        self._due = [share * number / swaps for number in range(swaps)]
        self._coming: int | None = None
        self._last_look = -float("inf")
        self.memory: list[tuple[float, float]] = []
        self.num_swaps = 0

    def look(self, now: float) -> None:
        """Is called often; `now` is negative during a warm-up."""
        passed = time.monotonic() - self._last_look
        if now < 0 or passed < _SECONDS_BETWEEN_LOOKS:
            return
        self._last_look = time.monotonic()
        size = memory.total(self._server.process.pid)
        self.memory.append((round(now, 1), round(size, 1)))
        if self._swapped is not None:
            self._swap(now, *self._swapped)

    def _swap(self, now: float, model: str, root: pathlib.Path) -> None:
        if self._coming is not None:
            with Client(self._server.address) as client:
                states = {v.version: v.state for v in client.status(model)}
            if states.get(self._coming) == "AVAILABLE":
                self.num_swaps += 1
                self._coming = None
        if self._coming is None and self._due and now >= self._due[0]:
            self._due.pop(0)
            version = artifacts.latest_version(root)
            records = list(warmup.read(version))
            self._coming = int(replay_folder.copy_with_records(version, records).name)


def growth(values: Sequence[float]) -> float:
    """The median of the last fifth over that of the first, less 1."""
    first, last = _ends(values)
    return statistics.median(last) / statistics.median(first) - 1


def latency_change(windows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """How many times the median p50 and p99 are of the last fifth those of the first.

    Args:
        windows: of `Samples.summary`; those without answers are left out.
    """
    changes = {}
    for name in ("p50", "p99"):
        values = [window[name] for window in windows if name in window]
        changes[name] = growth(values) + 1
    return changes


def _ends(values: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    if not values:
        raise ValueError("There must be values to compare. Received: none")
    size = max(1, len(values) // _PARTS)
    return values[:size], values[-size:]
