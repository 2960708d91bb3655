"""A real server of small NANN and PDN exports, and valid requests for both."""

import contextlib
import pathlib
import resource
from collections.abc import Iterator

import numpy as np

from experiments.serving import memory, server_process, synthetic_exports
from experiments.serving.server_process import Server
from tfrec.nann.config import WalkConfig

NUM_ITEMS = 400
SIGNATURE = "retrieve"
MOST_BYTES = 16 << 30  # of each process: a hole that a test finds stays in it
WALK = WalkConfig(ef=(4, 8, 16), steps=(1, 1, 2), bucket_step=4.0)
HISTORY = np.array([[7, 3, 11, 200]])
REQUESTS = {
    "nann": {"history": HISTORY, "k": np.array(5, np.int32)},
    "pdn": {
        "user": np.array([4]),
        **{f"user_{name}": np.array([1]) for name in ("gender", "age", "occupation")},
        "history": HISTORY,
        "history_rating": np.array([[5, 1, 3, 4]], np.float32),
        "k": np.array(5, np.int32),
    },
}


@contextlib.contextmanager
def running(folder: pathlib.Path, *flags: str) -> Iterator[Server]:
    """Exports into `folder` and serves until the block ends."""
    synthetic_exports.nann(folder / "nann", NUM_ITEMS, WALK)
    synthetic_exports.pdn(folder / "pdn", NUM_ITEMS)
    roots = {name: folder / name for name in REQUESTS}
    with server_process.running(roots, *flags) as server:
        for pid in memory.processes(server.process.pid):
            resource.prlimit(pid, resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
        yield server
