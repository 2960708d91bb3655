"""Times serving: what gRPC and REST add to a request, and what more clients gain.

    python -m experiments.serving.benchmark

serves NANN and asks it for one user's items, in turns by a call of the SavedModel that
is loaded in this process, over gRPC and over REST on the loopback; then it loads the
server with one client and with eight. Ops have one thread each, in the server and here.
NANN is untrained over a synthetic graph, or an export that `--nann_export` names. The
record is kept: `python -m experiments.results` shows it. It needs two idle cores.
"""

import dataclasses
import pathlib
import statistics
import tempfile
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import app, flags, logging
from rich.console import Console

from experiments.results import command, environment
from experiments.serving import (
    figures,
    latest,
    overhead,
    server_process,
    synthetic_exports,
)
from experiments.serving.server_process import Server
from tfrec import artifacts
from tfrec.nann.config import WalkConfig
from tfrec.serving.channels import NO_RETRIES, ChannelConfig
from tfrec.serving.client_calls import predict_request
from tfrec.serving.load import generator
from tfrec.serving.load.generator import LoadConfig

FLAGS = flags.FLAGS
MODEL = "nann"

_EXPORT = flags.DEFINE_string("nann_export", None, "An export of NANN.")
_NUM_ITEMS = flags.DEFINE_integer("num_items", 100_000, "N, of the synthetic graph.")
_EF = flags.DEFINE_list("ef", ["100", "200", "400"], "ef of levels 2, 1, 0.")
_STEPS = flags.DEFINE_list("steps", ["1", "1", "3"], "T of levels 2, 1, 0.")
_BUCKET_STEP = flags.DEFINE_float("bucket_step", 1.1, "Ratio of padded sizes.")
_TOP_K = flags.DEFINE_integer("k", 100, "K, results.", 1)
_HISTORY = flags.DEFINE_integer("history", 50, "L, behaviours of a request.", 1)
_ROUNDS = flags.DEFINE_integer("rounds", 500, "Timed requests of each way.", 1)
_SECONDS = flags.DEFINE_float("seconds", 10.0, "Of a run of the load generator.")
_REPEATS = flags.DEFINE_integer("repeats", 3, "Runs of the load generator.", 1)
_SEED = flags.DEFINE_integer("seed", 0, "Of graph, weights and requests.")
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "experiments/serving/results", "Gets `benchmark.json`."
)
_CONFIG = (
    *("num_items", "ef", "steps", "bucket_step", "k", "history"),
    *("rounds", "seconds", "repeats", "seed"),
)


def throughput(server: Server, requests: Sequence[overhead.Inputs]) -> dict[str, Any]:
    """Answers a second with one client and with `figures.MANY_CLIENTS`, in turns."""
    protos = [predict_request(MODEL, one, overhead.SIGNATURE) for one in requests]
    channel = ChannelConfig(server.address, retries=NO_RETRIES)
    runs: dict[int, list[dict[str, Any]]] = {1: [], figures.MANY_CLIENTS: []}
    for _ in range(_REPEATS.value):
        for clients, summaries in runs.items():
            config = LoadConfig(clients, seconds=_SECONDS.value, warmup_seconds=1.0)
            samples = generator.run(channel, protos, config, threading.Event())
            summary = samples.summary()
            if summary["errors"]:
                raise RuntimeError(f"The server failed: {summary['errors']}")
            summaries.append(summary)
    found = {
        str(clients): {
            "throughput": statistics.median(s["throughput"] for s in summaries),
            "p50": statistics.median(s["latency_ms"]["p50"] for s in summaries),
            "p99": statistics.median(s["latency_ms"]["p99"] for s in summaries),
        }
        for clients, summaries in runs.items()
    }
    pairs = zip(runs[1], runs[figures.MANY_CLIENTS], strict=True)
    gains = [many["throughput"] / one["throughput"] for one, many in pairs]
    return {"by_clients": found, "gain": statistics.median(gains)}


def measure(export: latest.Export) -> dict[str, Any]:
    """All figures of an export, as they are kept."""
    folder = export.folder
    random = np.random.default_rng(_SEED.value)
    requests = [
        {
            "history": random.integers(1, _NUM_ITEMS.value + 1, [1, _HISTORY.value]),
            "k": np.array(_TOP_K.value, np.int32),
        }
        for _ in range(64)
    ]
    one_thread = "--tensorflow_intra_op_parallelism=1"
    with server_process.running({MODEL: export.root}, one_thread) as server:
        added = overhead.measure(folder, server, MODEL, requests, _ROUNDS.value)
        loaded = throughput(server, requests)
    return {
        "benchmark": "serving",
        "command": command("experiments.serving.benchmark"),
        "config": {name: FLAGS[name].value for name in _CONFIG},
        "export": "synthetic" if _EXPORT.value is None else export.dataset,
        "environment": environment(),
        "overhead": dataclasses.asdict(added),
        "throughput": loaded,
    }


def main(arguments: Sequence[str]) -> None:
    """Measures, prints and keeps the record."""
    if len(arguments) > 1:
        raise app.UsageError(f"Unknown arguments: {arguments[1:]}")
    logging.set_verbosity(logging.WARNING)  # TensorFlow lists every captured input
    console = Console()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    with tempfile.TemporaryDirectory(prefix="tfrec_benchmark_") as folder:
        root = pathlib.Path(_EXPORT.value or pathlib.Path(folder, "export"))
        if _EXPORT.value is None:
            walk = WalkConfig(
                tuple(map(int, _EF.value)),
                tuple(map(int, _STEPS.value)),
                bucket_step=_BUCKET_STEP.value,
            )
            synthetic_exports.nann(root, _NUM_ITEMS.value, walk, _SEED.value)
        record = measure(latest.at(root))
    console.print(figures.table("Serving NANN, one user", figures.benchmark(record)))
    path = pathlib.Path(_OUTPUT_DIR.value, "benchmark.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    artifacts.write_json(path, record)
    console.print(f"Record: {path}", soft_wrap=True)


if __name__ == "__main__":
    app.run(main)
