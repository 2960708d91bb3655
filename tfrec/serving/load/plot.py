"""The picture of a load test: latency by percentile, and over time."""

import pathlib
from typing import Any

import numpy as np


def check() -> None:
    """Says what to install where there is no matplotlib.

    Raises: ImportError: with the command.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'The plot needs matplotlib: pip install "tfrec[plots]", or pass --noplot.'
        ) from error


def draw(summary: dict[str, Any], latencies_ms: np.ndarray, path: pathlib.Path) -> None:
    """Draws a load test, whole or not at all.

    Args:
        summary: of `Samples.summary`.
        latencies_ms: sorted `(requests,)`.
        path: of the PNG.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    by_percentile, over_time, throughput = figure.subplots(1, 3)
    if latencies_ms.size:
        # Every nine more is one step to the right: the tail is what matters.
        above = 1 - np.arange(latencies_ms.size) / latencies_ms.size
        by_percentile.plot(1 / above, latencies_ms)
    by_percentile.set_xscale("log")
    marks = [1, 2, 10, 100, 1000]
    by_percentile.set_xticks(marks, ["0", "50", "90", "99", "99.9"])
    by_percentile.set_xlabel("percentile")
    by_percentile.set_ylabel("latency, ms")
    windows = summary["windows"]
    start = [window["start"] for window in windows]
    for name in ("p50", "p99"):
        values = [window.get(name, np.nan) for window in windows]
        over_time.plot(start, values, label=name)
    throughput.plot(start, [window["throughput"] for window in windows])
    over_time.set_ylabel("latency, ms")
    throughput.set_ylabel("answers a second")
    for axis in (by_percentile, over_time, throughput):
        axis.set_ylim(bottom=0)
    for axis in (over_time, throughput):
        axis.set_xlabel("seconds")
    over_time.legend()
    errors = sum(error["count"] for error in summary["errors"].values())
    figure.suptitle(
        f"{summary['answered']:,} answers in {summary['seconds']:.0f} s, "
        f"{errors:,} errors"
    )
    _save(figure, path)


def _save(figure: Any, path: pathlib.Path) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        figure.savefig(partial, dpi=110, format="png")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
