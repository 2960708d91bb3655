"""Looks at a server while it is loaded, and brings it new versions."""

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
_PARTS = 5  # the first of so many is compared with the last


class Watch:
    """The memory of a server, looked at while it is loaded.

    Args:
        server: it.

    Attributes:
        memory: `(when, MiB of all processes)` at each look, from 0 on.
    """

    def __init__(self, server: Server):
        self._server = server
        self._last_look = -float("inf")
        self.memory: list[tuple[float, float]] = []

    @property
    def megabytes(self) -> list[float]:
        """The sizes of `memory`."""
        return [size for _, size in self.memory]

    def look(self, now: float) -> None:
        """Is called often; `now` is negative during a warm-up."""
        passed = time.monotonic() - self._last_look
        if now < 0 or passed < _SECONDS_BETWEEN_LOOKS:
            return
        self._last_look = time.monotonic()
        size = memory.total(self._server.process.pid)
        self.memory.append((round(now, 1), round(size, 1)))


class Swaps:
    """New versions of a model, each when the one before it is served.

    Args:
        server: serves the model.
        model: its name.
        root: of its versions; the new ones are copies of the latest.
        count: how many.

    Attributes:
        num_served: versions that came and were served.
        is_over: whether all were, and all older ones have ended.
    """

    def __init__(self, server: Server, model: str, root: pathlib.Path, count: int):
        self._server, self._model, self._root = server, model, root
        self._to_come = count
        self._coming: int | None = None
        self.num_served = 0
        self.is_over = False

    def look(self) -> None:
        """Is called often."""
        if self._coming is not None:
            with Client(self._server.address) as client:
                states = {v.version: v.state for v in client.status(self._model)}
            if states.pop(self._coming, None) != "AVAILABLE":
                return
            if set(states.values()) != {"END"}:
                return
            self.num_served += 1
            self._coming = None
        if not self._to_come:
            self.is_over = True
            return
        self._to_come -= 1
        version = artifacts.latest_version(self._root)
        records = list(warmup.read(version))
        self._coming = int(replay_folder.copy_with_records(version, records).name)


def growth(values: Sequence[float]) -> float:
    """The median of the last fifth over that of the first, less 1."""
    first, last = _ends(values)
    return last / first - 1


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


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """The medians of the first and of the last fifth."""
    if not values:
        raise ValueError("There must be values to compare. Received: none")
    size = max(1, len(values) // _PARTS)
    return statistics.median(values[:size]), statistics.median(values[-size:])
