"""The figures of the records of serving, beside their targets."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table

MOST_ADDED_MS = 1.5
LEAST_GAIN = 1.5
MOST_GROWTH = 0.02
MOST_SLOWER = 1.2
MANY_CLIENTS = 8

Record = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Figure:
    """A number and what it must be.

    Attributes:
        name: what was measured.
        measured: the number, as text.
        target: as text; "" if there is none.
        is_met: whether it is as it must be.
    """

    name: str
    measured: str
    target: str = ""
    is_met: bool = True


def benchmark(record: Record) -> list[Figure]:
    """The figures of `experiments.serving.benchmark`."""
    added, loaded = record["overhead"], record["throughput"]
    times = added["milliseconds"]
    figures = [Figure("a call in process, median", f"{times['in_process']:.2f} ms")]
    for way, name in (("grpc", "gRPC"), ("rest", "REST")):
        text = f"{added[f'{way}_added']:.2f} ms ({added[f'{way}_ratio']:.2f} x)"
        target = f"at most {MOST_ADDED_MS} ms" if way == "grpc" else ""
        is_met = not target or added[f"{way}_added"] <= MOST_ADDED_MS
        figures.append(Figure(f"{name} adds, median", text, target, is_met))
    for clients, of in loaded["by_clients"].items():
        text = (
            f"{of['throughput']:.0f} (p50 {of['p50']:.1f} ms, p99 {of['p99']:.1f} ms)"
        )
        several = "client" if clients == "1" else "clients"
        figures.append(Figure(f"answers a second, {clients} {several}", text))
    gain = loaded["gain"]
    name = f"{MANY_CLIENTS} clients over one"
    target = f"at least {LEAST_GAIN} x"
    return [*figures, Figure(name, f"{gain:.2f} x", target, gain >= LEAST_GAIN)]


def soak(record: Record) -> list[Figure]:
    """The figures of `experiments.serving.soak`."""
    loaded, changed = record["load"], record["changed_requests"]
    slower = loaded["p50"]
    figures = [
        Figure("answers", f"{loaded['answered']:,}"),
        Figure("answers a second", f"{loaded['throughput']:,.0f}"),
        _failed("failed requests", loaded),
        _growth("memory growth", loaded["memory_growth"]),
        Figure(
            "p50, last fifth over first",
            f"{slower:.2f} x",
            f"at most {MOST_SLOWER} x",
            slower <= MOST_SLOWER,
        ),
        Figure("p99, last fifth over first", f"{loaded['p99']:.2f} x"),
    ]
    if swapped := record["swaps"]:
        come, wanted = swapped["swaps"], record["config"]["swaps"]
        figures += [
            Figure("versions swapped in", f"{come}", f"{wanted}", come == wanted),
            Figure("answers, new versions", f"{swapped['answered']:,}"),
            _failed("failed requests, new versions", swapped),
            _growth("memory growth, new versions", swapped["memory_growth"]),
        ]
    if changed:
        wrong = len(changed["wrong"])
        figures += [
            Figure("requests changed at random", f"{changed['requests']:,}"),
            Figure("wrong answers to them", f"{wrong}", "0", wrong == 0),
            _growth("memory growth, changed requests", changed["memory_growth"]),
        ]
    return figures


def table(title: str, figures: Iterable[Figure]) -> Table:
    """The figures for a terminal."""
    shown = Table("figure", "measured", "target", title=title)
    for figure in figures:
        mark = "" if figure.is_met else " (missed)"
        shown.add_row(figure.name, figure.measured + mark, figure.target)
    return shown


def _failed(name: str, loaded: Record) -> Figure:
    count = sum(error["count"] for error in loaded["errors"].values())
    return Figure(name, f"{count:,}", "0", count == 0)


def _growth(name: str, value: float) -> Figure:
    target = f"below {MOST_GROWTH:.0%}"
    return Figure(name, f"{value:.2%}", target, value < MOST_GROWTH)
