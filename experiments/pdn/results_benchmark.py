"""The benchmark's part of `docs/results.md`: a table of each part of its record."""

from collections.abc import Mapping
from typing import Any

from experiments.pdn.results_tables import head, row

Record = Mapping[str, Any]

INTRODUCTION = """## PDN's benchmark

Made by `python -m experiments.pdn.benchmark`; the record, with each part's settings,
is kept below `experiments/pdn/results/benchmark/`. What is compared was timed in turns
in one process; milliseconds carry the machine. Numbers are medians."""
WAYS = {
    "core": "the op's core, without TensorFlow",
    "op_direct": "PathTopK called directly",
    "op": "PathTopK in a graph that Python calls",
    "twin": "its twin in TensorFlow, in a graph that Python calls (a)",
    "op_served": "PathTopK in a graph that goes through the users",
    "twin_served": "its twin in a graph that goes through the users (a)",
    "request": "request: TrigNet and PathTopK",
    "request_twin": "request: TrigNet and the twin",
    "lookup_numpy": "lists looked up and added, NumPy (c)",
    "lookup_tensorflow": "lists looked up and added, TensorFlow (c)",
}
TARGETS = {
    "twin_served_over_op_served": "at least 5",
    "twin_over_op": "at least 5",
    "request_over_paper": "below 1",
}
HNSW_TARGET = "at most 1.5"  # of `op_over_hnsw_ef*` and the requests likewise
AXES = {
    "num_items": "items N",
    "k": "length of a list k",
    "num_triggers": "triggers m",
    "batch": "users B",
}


def lines(record: Record) -> list[str]:
    """The lines of the section; none without a record."""
    tables = {
        "retrieval": _retrieval,
        "growth": _growth,
        "index": _index,
        "training": _training,
    }
    found = ["", *INTRODUCTION.splitlines()] if record else []
    for part, table in tables.items():
        if part in record:
            found += table(dict(sorted(record[part].items())))
    return found


def _threads(runs: Mapping[str, Record]) -> list[str]:
    return ["1 thread" if name == "1" else f"{name} threads" for name in runs]


def _retrieval(runs: Mapping[str, Record]) -> list[str]:
    config = next(iter(runs.values()))["config"]
    found = [
        "",
        f"Retrieval of one user, in ms: m = {config['triggers']} triggers, lists of "
        f"k = {config['list']}, K = {config['top_k']}, {config['num_items']:,} items.",
        "",
        *head(["what", *_threads(runs)]),
    ]
    for way in _names(runs, "milliseconds"):
        cells = [_cell(run["milliseconds"], way, "{:.2f}") for run in runs.values()]
        found.append(row([WAYS.get(way) or _hnsw(way), *cells]))
    found += ["", *head(["ratio", "target", *_threads(runs)])]
    for name in _names(runs, "ratios"):
        cells = [_cell(run["ratios"], name, "{:.2f}") for run in runs.values()]
        is_to_hnsw = name.startswith(("op_over_hnsw", "request_over_request_hnsw"))
        target = HNSW_TARGET if is_to_hnsw else TARGETS.get(name, "")
        found.append(row([f"`{name}`", target, *cells]))
    return found


def _names(runs: Mapping[str, Record], part: str) -> list[str]:
    return list(dict.fromkeys(name for run in runs.values() for name in run[part]))


def _hnsw(way: str) -> str:
    """The name of `hnsw_ef<n>` or `request_hnsw_ef<n>`."""
    who, _, ef_search = way.partition("hnsw_ef")
    search = f"HNSW, efSearch {ef_search} (b)"
    return f"request: user tower and {search}" if who else f"faiss {search}"


def _growth(runs: Mapping[str, Record]) -> list[str]:
    found = ["", "PathTopK in a graph, one number varied at a time:", ""]
    columns = ("op, ms", "to the first", "twin over op", "users a second")
    found += head(["varied", "threads", *columns])
    forms = {
        "op": "{:.2f}",
        "op_to_first": "{:.2f}",
        "twin_over_op": "{:.2f}",
        "users_per_second": "{:,.0f}",
    }
    for axis, name in AXES.items():
        for threads, run in runs.items():
            for point in run[axis]:
                cells = [form.format(point[key]) for key, form in forms.items()]
                found.append(row([f"{name} = {point[axis]:,}", threads, *cells]))
    return found


def _index(runs: Mapping[str, Record]) -> list[str]:
    found = ["", "Index generation in one process:", ""]
    columns = ("items N", "k-hat", "k", "threads", "pairs scored", "seconds")
    found += head([*columns, "pairs a second"])
    for threads, run in runs.items():
        for build in run["builds"]:
            sizes = [f"{build[key]:,}" for key in ("num_items", "k_hat", "k")]
            costs = [f"{build['num_pairs']:,}", f"{build['seconds']:.1f}"]
            rate = f"{build['pairs_per_second']:,.0f}"
            found.append(row([*sizes, threads, *costs, rate]))
    return found


def _training(runs: Mapping[str, Record]) -> list[str]:
    first = next(iter(runs.values()))
    found = [
        "",
        f"Training steps on {first['dataset']}: {first['batch_size']} examples with "
        f"{first['num_negatives']} negatives each, histories of "
        f"{first['max_history']}; examples a second:",
        "",
        *head(["model", *_threads(runs)]),
    ]
    names = {"pdn": "PDN", "din": "DIN", "deepctr_din": "DeepCTR's DIN"}
    for key, name in names.items():
        cells = [_cell(r["examples_per_second"], key, "{:,.0f}") for r in runs.values()]
        found += [row([name, *cells])] if any(cells) else []
    errors = dict.fromkeys(
        e for r in runs.values() for e in r["deepctr"].get("errors", [])
    )
    found += [f"\nAn environment of DeepCTR that did not run: {e}" for e in errors]
    return found


def _cell(numbers: Mapping[str, float], key: str, form: str) -> str:
    return form.format(numbers[key]) if key in numbers else ""
