"""Times NANN's parts: what the op, the walk and auto-padding cost.

    python -m experiments.nann.benchmark --num_items=1300000

takes about five minutes on two cores and prints every time beside the ratio that
matters. It also writes `benchmark.json`. Absolute times carry the machine; ratios are
of things that were measured in turns in the same run.
"""

import dataclasses
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf
from absl import app, flags
from rich.console import Console
from rich.table import Table

from experiments.nann import expansion
from tfrec import artifacts

FLAGS = flags.FLAGS

_NUM_ITEMS = flags.DEFINE_integer("num_items", 1_300_000, "N, items in the graph.")
_FRONTIER = flags.DEFINE_integer("frontier", 500, "F, nodes of one expansion; even.")
_DEGREES = flags.DEFINE_multi_integer("degree", [32, 64], "Neighbours a node.")
_ROUNDS = flags.DEFINE_integer("rounds", 30, "Timed rounds; medians are reported.")
_SEED = flags.DEFINE_integer("seed", 0, "Of graphs, requests and weights.")
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "runs/nann_benchmark", "Gets `benchmark.json`."
)


def _expansions(console: Console) -> list[dict[str, Any]]:
    """Part 1: one expansion by the op, its twin and the set ops."""
    table = Table(
        "degree",
        "fresh",
        "op",
        "twin",
        "sets",
        "sets / op",
        "op, 2 halves",
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
        answers.append(
            {
                **dataclasses.asdict(result),
                "speedup_over_sets": result.speedup_over_sets,
            }
        )
    console.print(table)
    return answers


def main(argv: Sequence[str]) -> None:
    """Measures, prints and writes `benchmark.json`."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}. See --help.")
    console = Console()
    answer = {
        "config": {
            name: FLAGS[name].value
            for name in ("num_items", "frontier", "degree", "rounds", "seed")
        },
        "versions": {"tensorflow": tf.__version__, "python": platform.python_version()},
        "expansions": _expansions(console),
    }
    path = Path(_OUTPUT_DIR.value) / "benchmark.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    artifacts.write_json(path, answer)
    console.print(f"Wrote {path}")


if __name__ == "__main__":
    app.run(main)
