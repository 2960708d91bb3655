"""Times one training step of an embedding table, row-sparse against Keras's dense Adam.

    python -m experiments.training.benchmark --output=benchmark.json

takes about two minutes on 2 cores and 4 GB of memory. A step gathers `--rows_touched`
different rows of a table, takes the gradient of their squares and applies it. The
tables of one optimiser are measured in turns; what matters are the two ratios: a step's
time to that at the smallest table, and dense Adam's step to it. The file has the
commit, the machine and the seed beside them.
"""

import pathlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from rich.console import Console
from rich.table import Table

from experiments.results import environment
from experiments.timing import interleaved_medians
from tfrec import artifacts, training

_ROWS = flags.DEFINE_list(
    "rows", ["10000", "100000", "1000000", "4000000"], "Sizes of the table."
)
_WIDTH = flags.DEFINE_integer("width", 32, "Width of a row.")
_TOUCHED = flags.DEFINE_integer("rows_touched", 4096, "Different rows in a step.")
_STEPS = flags.DEFINE_integer("steps", 200, "Timed steps of a row-sparse optimiser.")
_DENSE_STEPS = flags.DEFINE_integer("dense_steps", 9, "Timed steps of dense Adam.")
_SEED = flags.DEFINE_integer("seed", 0, "Of the rows of a step.", lower_bound=0)
_OUTPUT = flags.DEFINE_string("output", None, "JSON file to write.", required=True)

DENSE = "keras_adam"
MakeOptimizer = Callable[[], keras.optimizers.Optimizer]
OPTIMIZERS: dict[str, MakeOptimizer] = {
    "adam": lambda: training.Adam(1e-3),
    "adamw": lambda: training.AdamW(1e-3, weight_decay=1e-4),
    "adagrad": lambda: training.Adagrad(1e-3),
    DENSE: lambda: keras.optimizers.Adam(1e-3),
}


def make_step(make_optimizer: MakeOptimizer, rows: int) -> Callable[[int], object]:
    """A training step on a table of `rows` rows; its argument chooses the rows."""
    table = keras.Variable(tf.zeros((rows, _WIDTH.value)), autocast=False)
    optimizer = make_optimizer()
    optimizer.build([table])

    @tf.function
    def step(ids: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(tf.gather(table.value, ids) + 1.0))
        optimizer.apply([tape.gradient(loss, table.value)], [table])

    rng = np.random.default_rng(_SEED.value)
    batches = [
        tf.constant(rng.choice(rows, _TOUCHED.value, replace=False)) for _ in range(16)
    ]
    return lambda round_number: step(batches[round_number % len(batches)])


def measure() -> dict[str, dict[str, float]]:
    """Median milliseconds that a step takes, by optimiser and number of rows."""
    milliseconds = {}
    for name, make_optimizer in OPTIMIZERS.items():
        calls = {rows: make_step(make_optimizer, int(rows)) for rows in _ROWS.value}
        rounds = _DENSE_STEPS.value if name == DENSE else _STEPS.value
        milliseconds[name] = interleaved_medians(calls, rounds).wall
    return milliseconds


def records(milliseconds: dict[str, dict[str, float]]) -> list[dict[str, object]]:
    """One record an optimiser and size, with its ratios."""
    smallest = _ROWS.value[0]
    return [
        {
            "optimizer": name,
            "rows": int(rows),
            "milliseconds": round(value, 3),
            "to_smallest_table": round(value / by_rows[smallest], 2),
            "dense_adam_to_this": round(milliseconds[DENSE][rows] / value, 1),
        }
        for name, by_rows in milliseconds.items()
        for rows, value in by_rows.items()
    ]


def main(_: list[str]) -> None:
    """Measures, prints the table and writes the JSON file."""
    steps = records(measure())
    table = Table(*steps[0])
    for record in steps:
        table.add_row(*map(str, record.values()))
    Console().print(table)
    output = pathlib.Path(_OUTPUT.value)
    output.parent.mkdir(parents=True, exist_ok=True)
    settings = {"width": _WIDTH.value, "rows_touched": _TOUCHED.value}
    record = {"settings": settings, "seed": _SEED.value, "environment": environment()}
    artifacts.write_json(output, {**record, "steps": steps})


if __name__ == "__main__":
    app.run(main)
