"""Times NANN's parts: what the op, the walk and auto-padding cost.

    python -m experiments.nann.benchmark --num_items=1300000

takes about five minutes on two cores and prints every time beside the ratio that
matters. It also writes `benchmark.json`. Absolute times carry the machine; ratios are
of things that were measured in turns in the same run.

The expansion is timed over random graphs. The walk goes over a synthetic graph of
levels (`experiments/nann/clustered.py`), or with `--graph=hnsw` over the one that faiss
builds of the same vectors, with the industrial network at random weights.
"""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import app, flags
from rich.console import Console
from rich.table import Table

from experiments.nann import expansion, walk
from experiments.results import environment
from tfrec import artifacts
from tfrec.nann.config import WalkConfig
from tfrec.ops import compilations

FLAGS = flags.FLAGS
_WIDTH = 64

_PARTS = flags.DEFINE_multi_enum(
    "part", ["expansion", "walk"], ["expansion", "walk"], "What to measure."
)
_NUM_ITEMS = flags.DEFINE_integer("num_items", 1_300_000, "N, items in the graph.")
_FRONTIER = flags.DEFINE_integer("frontier", 500, "F, nodes of one expansion; even.")
_DEGREES = flags.DEFINE_multi_integer("degree", [32, 64], "Neighbours a node.")
_GRAPH = flags.DEFINE_enum(
    "graph",
    "clustered",
    ["clustered", "hnsw"],
    "The walk's graph: synthetic in seconds, or built by faiss in minutes.",
)
_EF = flags.DEFINE_list("ef", ["200", "500", "1000"], "ef of levels 2, 1, 0.")
_STEPS = flags.DEFINE_list("steps", ["1", "1", "2"], "T of levels 2, 1, 0.")
_BUCKET_STEP = flags.DEFINE_float("bucket_step", 1.1, "Ratio of padded sizes.")
_TOP_K = flags.DEFINE_integer("k", 200, "K, results a walk.")
_REQUESTS = flags.DEFINE_integer("requests", 500, "Random users after warm-up.")
_ROUNDS = flags.DEFINE_integer("rounds", 30, "Timed rounds; medians are reported.")
_SEED = flags.DEFINE_integer("seed", 0, "Of graphs, requests and weights.")
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "runs/nann_benchmark", "Gets `benchmark.json`."
)
_CONFIG = (
    *("part", "num_items", "frontier", "degree", "graph", "ef", "steps", "k"),
    *("bucket_step", "requests", "rounds", "seed"),
)


def _measure_expansions(console: Console) -> list[dict[str, Any]]:
    """One expansion by the op, its twin and the set ops."""
    table = Table(
        *("degree", "fresh", "op", "twin", "sets", "sets / op", "op, 2 halves"),
        title=f"One expansion of {_FRONTIER.value} of {_NUM_ITEMS.value:,} nodes, ms",
    )
    answers = []
    for degree in _DEGREES.value:
        result = expansion.measure_expansion(
            _NUM_ITEMS.value,
            degree,
            frontier=_FRONTIER.value,
            num_visited=2 * _FRONTIER.value,
            rounds=_ROUNDS.value,
            seed=_SEED.value,
        )
        times = result.milliseconds
        table.add_row(
            str(degree),
            f"{result.num_fresh:,}",
            *(f"{times[name]:.2f}" for name in ("op", "twin", "sets")),
            f"{result.speedup_over_sets:.1f} x",
            f"{times['op_halves']:.2f}",
        )
        speedup = {"speedup_over_sets": result.speedup_over_sets}
        answers.append({**dataclasses.asdict(result), **speedup})
    console.print(table)
    return answers


def _measure_walk(console: Console, dump_folder: str) -> dict[str, Any]:
    """The whole walk, and what requests compile after warm-up."""
    config = WalkConfig(
        ef=tuple(map(int, _EF.value)),
        steps=tuple(map(int, _STEPS.value)),
        bucket_step=_BUCKET_STEP.value,
    )
    make = walk.built_index if _GRAPH.value == "hnsw" else walk.clustered_index
    result = walk.measure_walk(
        make(_NUM_ITEMS.value, _WIDTH, _SEED.value),
        config,
        lambda: compilations.num_compilations(dump_folder),
        k=_TOP_K.value,
        num_requests=_REQUESTS.value,
        rounds=_ROUNDS.value,
        seed=_SEED.value,
    )
    table = Table(
        *("time", "scored", "walk", "with twins", "one call", "walk / one call"),
        title=f"The walk, ef {config.ef}, T {config.steps}, one user, ms",
    )
    for name, times, ratio in (
        ("wall", result.milliseconds, result.over_one_call),
        ("cpu", result.cpu_milliseconds, result.cpu_over_one_call),
    ):
        columns = [times[name] for name in ("walk", "walk_reference", "one_call")]
        row = [f"{column:.1f}" for column in columns]
        table.add_row(name, f"{result.num_scored:,}", *row, f"{ratio:.2f} x")
    console.print(table)
    console.print(
        f"Warm-up compiled {result.warmup_compilations} programs for "
        f"{result.num_buckets} sizes; {result.num_requests} requests of random users "
        f"then compiled {result.request_compilations}."
    )
    return {
        **dataclasses.asdict(result),
        "over_one_call": result.over_one_call,
        "cpu_over_one_call": result.cpu_over_one_call,
    }


def _measure(console: Console, dump_folder: str) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "config": {name: FLAGS[name].value for name in _CONFIG},
        "environment": environment(),
    }
    if "expansion" in _PARTS.value:
        answer["expansions"] = _measure_expansions(console)
    if "walk" in _PARTS.value:
        answer["walk"] = _measure_walk(console, dump_folder)
    return answer


def main(argv: Sequence[str]) -> None:
    """Measures, prints and writes `benchmark.json`."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}. See --help.")
    console = Console()
    with tempfile.TemporaryDirectory(prefix="xla_dump_") as dump_folder:
        compilations.start_counting(dump_folder)
        answer = _measure(console, dump_folder)
    path = Path(_OUTPUT_DIR.value) / "benchmark.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    artifacts.write_json(path, answer)
    console.print(f"Wrote {path}")


if __name__ == "__main__":
    app.run(main)
