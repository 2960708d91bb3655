"""Serves for minutes under load: does memory grow, do answers become slower?

    python -m experiments.serving.soak --minutes=10

serves NANN and PDN to eight clients at once, without a pause; goes on so while 20 new
versions of NANN are swapped in; then sends 20,000 requests that were changed at random.
Memory is that of all processes of the server. Models are untrained, or the exports that
are named. The record is kept: `python -m experiments.results` shows it.
"""

import pathlib
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import rich.progress
import tensorflow as tf
from absl import app, flags, logging
from rich.console import Console

from experiments.results import command, environment
from experiments.serving import (
    figures,
    fuzz,
    latest,
    memory,
    server_process,
    synthetic_exports,
)
from experiments.serving.server_process import Server
from experiments.serving.watch import Swaps, Watch, growth, latency_change
from tfrec import artifacts
from tfrec.nann.config import WalkConfig
from tfrec.serving import Client
from tfrec.serving.apis import predict_pb2
from tfrec.serving.channels import NO_RETRIES, ChannelConfig
from tfrec.serving.client_calls import model_spec
from tfrec.serving.load import generator, request_sources
from tfrec.serving.load.generator import LoadConfig

FLAGS = flags.FLAGS
_SIGNATURE = "retrieve"
_WALK = WalkConfig(ef=(50, 100, 200), steps=(1, 1, 2))
_REQUESTS_A_MODEL = 500
_SECONDS_A_SWAP = 120.0  # at most
_TIMEOUT = 60.0
_FUZZ_WARMUP = 0.2  # of the changed requests, before memory is first looked at

_MINUTES = flags.DEFINE_float("minutes", 10.0, "Of load, after the warm-up.")
_WARMUP = flags.DEFINE_float("warmup_seconds", 60.0, "Of load, not measured.")
_CLIENTS = flags.DEFINE_integer("clients", 8, "At once.", 1)
_SWAPS = flags.DEFINE_integer("swaps", 20, "New versions under load; 0: none.", 0)
_FUZZ = flags.DEFINE_integer("fuzz_requests", 20_000, "Changed requests; 0: none.", 0)
_NUM_ITEMS = flags.DEFINE_integer("num_items", 20_000, "N, of untrained models.")
_EXPORTS = {
    paper: flags.DEFINE_string(f"{paper}_export", None, "An export, instead of those.")
    for paper in latest.KINDS
}
_SEED = flags.DEFINE_integer("seed", 0, "Of models and requests.")
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "experiments/serving/results", "Gets `soak.json`."
)
_CONFIG = (
    *("minutes", "warmup_seconds", "clients", "swaps", "fuzz_requests"),
    *("num_items", "seed"),
)


def exports(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """The roots of both models by name, in `folder`: new, or copies of those given."""
    roots = {paper: folder / paper for paper in _EXPORTS}
    for paper, flag in _EXPORTS.items():
        if flag.value is not None:
            version = latest.at(pathlib.Path(flag.value)).folder
            shutil.copytree(version, roots[paper] / version.name)
    if not roots["nann"].exists():
        synthetic_exports.nann(roots["nann"], _NUM_ITEMS.value, _WALK, _SEED.value)
    if not roots["pdn"].exists():
        synthetic_exports.pdn(roots["pdn"], _NUM_ITEMS.value, _SEED.value)
    return roots


def requests(
    server: Server, models: Sequence[str]
) -> dict[str, list[predict_pb2.PredictRequest]]:
    """Random requests of each model, one user each."""
    found = {}
    with Client(server.address) as client:
        for model in models:
            spec = model_spec(model, signature=_SIGNATURE)
            signatures = client.metadata(model).signatures
            sizes = (_REQUESTS_A_MODEL, 1, 50, _SEED.value)
            found[model] = request_sources.at_random(spec, signatures, *sizes)
    return found


def load(
    server: Server, sent: Iterable[Sequence[predict_pb2.PredictRequest]]
) -> dict[str, Any]:
    """Minutes of load: memory and latency at their beginning and at their end."""
    seconds = 60 * _MINUTES.value
    config = LoadConfig(
        _CLIENTS.value, seconds=seconds, warmup_seconds=_WARMUP.value, timeout=_TIMEOUT
    )
    watch = Watch(server)
    with rich.progress.Progress() as progress:
        task = progress.add_task("load", total=seconds)

        def look(now: float, samples: object) -> None:
            watch.look(now)
            progress.update(task, completed=max(0.0, now))

        summary = _ask(server, sent, config, threading.Event(), look)
    windows = summary.pop("windows")
    return {
        **summary,
        "memory_mb": watch.memory,
        "memory_growth": growth(watch.megabytes),
        **latency_change(windows),
    }


def swap(
    server: Server,
    root: pathlib.Path,
    sent: Iterable[Sequence[predict_pb2.PredictRequest]],
) -> dict[str, Any]:
    """The same load while versions of NANN come and go; memory when each is over."""
    count = _SWAPS.value
    config = LoadConfig(
        _CLIENTS.value,
        seconds=count * _SECONDS_A_SWAP,
        warmup_seconds=0.0,
        timeout=_TIMEOUT,
    )
    swaps, over = Swaps(server, "nann", root, count), threading.Event()
    sizes: list[float] = []
    with rich.progress.Progress() as progress:
        task = progress.add_task("new versions", total=count)

        def look(now: float, samples: object) -> None:
            swaps.look()
            if swaps.num_served > len(sizes):
                sizes.append(round(memory.total(server.process.pid), 1))
            progress.update(task, completed=swaps.num_served)
            if swaps.is_over:
                over.set()

        summary = _ask(server, sent, config, over, look)
    del summary["windows"]
    return {
        **summary,
        "swaps": swaps.num_served,
        "memory_mb": sizes,
        "memory_growth": growth(sizes),
    }


def _ask(
    server: Server,
    sent: Iterable[Sequence[predict_pb2.PredictRequest]],
    config: LoadConfig,
    stop: threading.Event,
    look: Callable[[float, object], None],
) -> dict[str, Any]:
    """Sends the requests of all models in turns; the summary of the answers."""
    mixed = [one for several in zip(*sent, strict=True) for one in several]
    channel = ChannelConfig(server.address, retries=NO_RETRIES)
    return generator.run(channel, mixed, config, stop, look).summary()


def send_changed(
    server: Server, sent: Mapping[str, Sequence[predict_pb2.PredictRequest]]
) -> dict[str, Any]:
    """Requests that were changed at random: their answers, memory, wrong ones."""
    valid = {
        model: {name: tf.make_ndarray(v) for name, v in some[0].inputs.items()}
        for model, some in sent.items()
    }
    fuzzer = fuzz.Fuzzer(server, valid, _SEED.value)
    watch = Watch(server)
    with rich.progress.Progress() as progress:
        task = progress.add_task("changed requests", total=_FUZZ.value)

        def look(done: int) -> None:
            if done >= _FUZZ_WARMUP * _FUZZ.value:
                watch.look(done)
            progress.update(task, completed=done)

        report = fuzzer.run(_FUZZ.value, look)
    return {
        "requests": report.requests,
        "answers": dict(sorted(report.counts.items())),
        "wrong": report.failures,
        "memory_growth": growth(watch.megabytes),
    }


def main(arguments: Sequence[str]) -> None:
    """Runs, prints and keeps the record; fails if a target is missed."""
    if len(arguments) > 1:
        raise app.UsageError(f"Unknown arguments: {arguments[1:]}")
    logging.set_verbosity(logging.WARNING)  # TensorFlow lists every captured input
    console = Console()
    with tempfile.TemporaryDirectory(prefix="tfrec_soak_") as folder:
        roots = exports(pathlib.Path(folder))
        with server_process.running(roots) as server:
            sent = requests(server, list(roots))
            asked = sent.values()
            loaded = load(server, asked)
            swapped = swap(server, roots["nann"], asked) if _SWAPS.value else None
            changed = send_changed(server, sent) if _FUZZ.value else None
            record = {
                "benchmark": "soak",
                "command": command("experiments.serving.soak"),
                "config": {name: FLAGS[name].value for name in _CONFIG},
                "load": loaded,
                "swaps": swapped,
                "changed_requests": changed,
                "environment": environment(),
            }
    found = figures.soak(record)
    console.print(figures.table("Minutes under load", found))
    path = pathlib.Path(_OUTPUT_DIR.value, "soak.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    artifacts.write_json(path, record)
    console.print(f"Record: {path}", soft_wrap=True)
    if missed := [figure.name for figure in found if not figure.is_met]:
        sys.exit(f"Missed: {', '.join(missed)}")


if __name__ == "__main__":
    app.run(main)
