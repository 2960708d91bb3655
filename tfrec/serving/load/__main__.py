"""`python -m tfrec.serving.load`: how fast a server answers, and how reliably.

    python -m tfrec.serving.load --address=localhost:8500 --model=nann \
        --signature=retrieve --clients=8 --output_dir=runs/load

asks a running server at random. `--rate=200` sends 200 requests a second whatever the
server does; without it, each client waits for its answer. Writes `load.json` and
`load.png`; when it is interrupted, of what it has.
"""

import dataclasses
import pathlib
import signal
import sys
import threading
from collections.abc import Sequence
from typing import Any

import rich.console
import rich.progress
import rich.table
from absl import app, flags

from tfrec import artifacts
from tfrec.serving.channels import NO_RETRIES, ChannelConfig, Tls
from tfrec.serving.client import Client
from tfrec.serving.client_calls import SIGNATURE, model_spec
from tfrec.serving.errors import ServingError
from tfrec.serving.load import generator, plot, request_sources
from tfrec.serving.load.generator import LoadConfig
from tfrec.serving.load.samples import Samples

_DEFAULTS = LoadConfig()

_ADDRESS = flags.DEFINE_string("address", "localhost:8500", "host:port of the server.")
_MODEL = flags.DEFINE_string("model", None, "Its name on the server.", required=True)
_SIGNATURE = flags.DEFINE_string("signature", SIGNATURE, "Which function of it.")
_VERSION = flags.DEFINE_integer("version", None, "Which version; default: the latest.")
_LABEL = flags.DEFINE_string("label", None, "Which version, by its label.")
_REQUESTS = flags.DEFINE_string(
    "requests", None, "JSON file: a request as of REST, or a list of them."
)
_LOGS = flags.DEFINE_multi_string(
    "request_log", [], "Files, or folders, of logged requests (PredictionLog)."
)
_NUM_RANDOM = flags.DEFINE_integer(
    "num_random", 100, "Requests drawn, where neither of these two is given.", 1
)
_BATCH = flags.DEFINE_integer("batch", 1, "Of drawn requests: first dimension.", 1)
_MOST = flags.DEFINE_integer("length", 50, "Of drawn requests: most of the others.", 1)
_CLIENTS = flags.DEFINE_integer("clients", _DEFAULTS.clients, "Connections.", 1)
_RATE = flags.DEFINE_float("rate", None, "Requests a second; default: as answered.")
_SECONDS = flags.DEFINE_float("seconds", _DEFAULTS.seconds, "Measured.")
_WARMUP = flags.DEFINE_float(
    "warmup_seconds", _DEFAULTS.warmup_seconds, "Before, not measured."
)
_TIMEOUT = flags.DEFINE_float("timeout", _DEFAULTS.timeout, "Seconds of a request.")
_SEED = flags.DEFINE_integer("seed", 0, "Of drawn requests and times.")
_ROOTS = flags.DEFINE_string(
    "root_certificates", None, "PEM file; if given, the connections are TLS."
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "runs/load", "Gets `load.json` and `load.png`."
)
_PLOT = flags.DEFINE_bool("plot", True, "Draw `load.png`; needs matplotlib.")


def main(arguments: Sequence[str]) -> int:
    """Loads the server; returns the exit status."""
    if len(arguments) > 1:
        print(f"Unknown arguments: {arguments[1:]}. See --help.", file=sys.stderr)
        return 1
    try:
        return _run(rich.console.Console(stderr=True))
    except (ImportError, OSError, ServingError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


def _run(console: rich.console.Console) -> int:
    if _PLOT.value:
        plot.check()
    config = LoadConfig(
        _CLIENTS.value,
        _RATE.value,
        _SECONDS.value,
        _WARMUP.value,
        _TIMEOUT.value,
        _SEED.value,
    )
    folder = pathlib.Path(_OUTPUT_DIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    tls = Tls(_ROOTS.value) if _ROOTS.value else None
    requests = _requests(tls)
    channel = ChannelConfig(_ADDRESS.value, tls, retries=NO_RETRIES)
    stop, received = threading.Event(), []

    def interrupt(number: int, frame: object) -> None:
        received.append(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    with _progress(console) as progress:
        task = progress.add_task("warm-up", total=config.seconds, text="")

        def show(seconds: float, samples: Samples) -> None:
            progress.update(
                task,
                description="warm-up" if seconds < 0 else "measuring",
                completed=min(max(0.0, seconds), config.seconds),
                text=_text(samples),
            )

        samples = generator.run(channel, requests, config, stop, show)
    _write(folder, config, samples, bool(received), console)
    return 128 + received[0] if received else 0


def _requests(tls: Tls | None) -> Sequence[Any]:
    """What is sent; also asks the server whether it has the model."""
    if _REQUESTS.value and _LOGS.value:
        raise ValueError("Only one of --requests and --request_log may be given.")
    spec = model_spec(_MODEL.value, _VERSION.value, _LABEL.value, _SIGNATURE.value)
    with Client(_ADDRESS.value, tls=tls) as client:
        signatures = client.metadata(
            _MODEL.value, _VERSION.value, _LABEL.value
        ).signatures
    if _LOGS.value:
        found = request_sources.from_logs(_LOGS.value, spec)
        if not found:
            raise ValueError(
                f"`--request_log` must hold Predict requests: {_LOGS.value}"
            )
        return found
    if _REQUESTS.value:
        return request_sources.from_json(_REQUESTS.value, spec, signatures)
    return request_sources.at_random(
        *(spec, signatures, _NUM_RANDOM.value, _BATCH.value, _MOST.value, _SEED.value)
    )


def _progress(console: rich.console.Console) -> rich.progress.Progress:
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.TimeRemainingColumn(),
        rich.progress.TextColumn("{task.fields[text]}"),
        console=console,
    )


def _text(samples: Samples) -> str:
    recent = samples.recent(1000)
    if not recent:
        return ""
    return f"{len(samples):,} requests, p50 {recent['p50']:.1f} ms"


def _write(
    folder: pathlib.Path,
    config: LoadConfig,
    samples: Samples,
    is_interrupted: bool,
    console: rich.console.Console,
) -> None:
    summary = samples.summary()
    record = {
        "model": _MODEL.value,
        "signature": _SIGNATURE.value,
        "loop": "closed" if config.rate is None else "open",
        "config": dataclasses.asdict(config),
        "interrupted": is_interrupted,
        **summary,
    }
    artifacts.write_json(folder / "load.json", record)
    if _PLOT.value:
        plot.draw(summary, samples.latencies_ms(), folder / "load.png")
    rich.console.Console().print(_table(record))
    console.print(f"Wrote {folder / 'load.json'}", soft_wrap=True)


def _table(record: dict[str, Any]) -> rich.table.Table:
    title = f"{record['model']}, {record['loop']} loop, {record['seconds']:.1f} s"
    table = rich.table.Table("", "", title=title, show_header=False)
    table.add_row("answers a second", f"{record['throughput']:,.1f}")
    for name, value in record["latency_ms"].items():
        table.add_row(f"latency {name}", f"{value:.2f} ms")
    for version, count in record["versions"].items():
        table.add_row(f"answered by version {version}", f"{count:,}")
    for code, error in record["errors"].items():
        table.add_row(f"{code}: {error['first']}", f"{error['count']:,}")
    return table


if __name__ == "__main__":
    app.run(main)
