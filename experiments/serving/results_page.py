"""Serving's part of `docs/results.md`: the records in `experiments/serving/results`."""

from collections.abc import Iterable

from experiments.serving import figures
from experiments.serving.figures import Figure, Record

INTRODUCTION = """# Serving

Milliseconds and answers a second carry the machine; what has a target is a ratio, or a
difference, of what was measured in one run. *Missed* says which target was not met."""
_SECTIONS = {"serving": "What serving costs", "soak": "Minutes under load"}


def lines(records: Iterable[Record]) -> list[str]:
    """The lines of the part; none where there is no record."""
    by_name = {record["benchmark"]: record for record in records}
    parts = {"serving": _benchmark, "soak": _soak}
    found = ["", *INTRODUCTION.splitlines()] if by_name else []
    for name, part in parts.items():
        if name in by_name:
            record = by_name[name]
            found += ["", f"## {_SECTIONS[name]}", "", *part(record)]
            found += ["", "Command:", "", "```", record["command"], "```"]
    return found


def _benchmark(record: Record) -> list[str]:
    config, cores = record["config"], record["environment"]["machine"]["cores"]
    items = f"{config['num_items']:,} items, untrained"
    if record["export"] != "synthetic":
        items = f"trained on {record['export']}"
    return [
        f"NANN's `retrieve` for one user ({items}), K = {config['k']}, by the same",
        "requests in turns: a call of the SavedModel in process, gRPC and REST on the",
        f"loopback. Ops have one thread, the machine {cores} cores.",
        "",
        *_table(figures.benchmark(record)),
    ]


def _soak(record: Record) -> list[str]:
    config = record["config"]
    return [
        f"{config['clients']} clients ask NANN and PDN without a pause for "
        f"{config['minutes']:g} minutes. Memory is what",
        "all processes of the server have allocated, after the warm-up: the median of",
        "the last fifth of the time over that of the first. New versions are copies of",
        "NANN's, one after the other under the same load; memory is then that when one",
        "is served and the one before it has ended.",
        "",
        *_table(figures.soak(record)),
    ]


def _table(rows: Iterable[Figure]) -> list[str]:
    found = ["| figure | measured | target |", "|---|---|---|"]
    for figure in rows:
        mark = "" if figure.is_met else ", *missed*"
        found.append(f"| {figure.name} | {figure.measured}{mark} | {figure.target} |")
    return found
