"""Times PDN's parts: retrieval and its growth, index generation, training steps.

    python -m experiments.pdn.benchmark

needs two idle cores; the retrieval part takes a few minutes. Every part runs with
one thread and with two, each in a process of its own, and can be run alone:

    python -m experiments.pdn.benchmark --part=retrieval --threads=1 --num_items=100000

The results are put into `benchmark.json` below `--output_dir`, beside what other parts
have put there. Absolute times carry the machine; ratios are of things that were
measured in turns in one process. HNSW's graph and the environment of DeepCTR are made
once, below `--cache_dir`.
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import faiss
import tensorflow as tf
from absl import app, flags
from rich.console import Console
from rich.table import Table

from experiments.pdn import settings
from experiments.pdn.speed import (
    deepctr_process,
    growth,
    hnsw,
    index_timing,
    retrieval_timing,
    training_timing,
)
from experiments.results import environment
from tfrec import artifacts

FLAGS = flags.FLAGS
PARTS = ("retrieval", "growth", "index", "training")

_PARTS = flags.DEFINE_multi_enum("part", PARTS, PARTS, "What to measure.")
_THREADS = flags.DEFINE_multi_integer("threads", [1, 2], "Of TensorFlow and faiss.")
_NUM_ITEMS = flags.DEFINE_integer("num_items", 1_000_000, "N of the index.")
_LIST = flags.DEFINE_integer("list", 200, "k, items in a list of the index.")
_TRIGGERS = flags.DEFINE_integer("triggers", 50, "m, triggers of a user.")
_HISTORY = flags.DEFINE_integer("history", 100, "L, behaviours that TrigNet weighs.")
_TOP_K = flags.DEFINE_integer("top_k", 300, "K, results of a user.")
_EF_SEARCH = flags.DEFINE_multi_integer("ef_search", [300, 600], "Of HNSW.")
_HNSW_WIDTH = flags.DEFINE_integer("hnsw_width", 32, "D of a two-tower model.")
_BATCHES = flags.DEFINE_multi_integer("batch", [1, 8, 64], "B along its growth.")
_INDEX_ITEMS = flags.DEFINE_multi_integer(
    "index_items", [1000, 4000, 16_000], "N of the generated indexes, ascending."
)
_INDEX_K_HAT = flags.DEFINE_multi_integer(
    "index_k_hat", [100, 300, 1000], "k-hat of the generated indexes, ascending."
)
_INDEX_K = flags.DEFINE_integer("index_k", 100, "k of the generated indexes.")
_DATASET = flags.DEFINE_enum("dataset", "ml-1m", settings.DATASETS, "To train on.")
_TESTING = flags.DEFINE_bool("testing", False, "Small batches of training.")
_DEEPCTR = flags.DEFINE_bool("deepctr", True, "Install and time DeepCTR's DIN too.")
_ROUNDS = flags.DEFINE_integer("rounds", 200, "Timed rounds of retrieval.")
_SLOW_ROUNDS = flags.DEFINE_integer("slow_rounds", 40, "Of growth and training.")
_INDEX_ROUNDS = flags.DEFINE_integer("index_rounds", 3, "Of index generation.")
_SEED = flags.DEFINE_integer("seed", 0, "Of everything that is drawn.")
_DATA_HOME = flags.DEFINE_string(
    "data_home", None, "Prepared data; default: $TFREC_DATA_HOME or ~/.cache/tfrec."
)
_CACHE_DIR = flags.DEFINE_string("cache_dir", "runs/pdn_benchmark_cache", "See above.")
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", "experiments/pdn/results/benchmark", "Gets `benchmark.json`."
)
_CONFIG = {
    "retrieval": (
        *("num_items", "list", "triggers", "history", "top_k", "ef_search"),
        *("hnsw_width", "rounds", "seed"),
    ),
    "growth": (
        *("num_items", "list", "triggers", "top_k", "batch", "slow_rounds", "seed"),
    ),
    "index": ("index_items", "index_k_hat", "index_k", "index_rounds", "seed"),
    "training": ("dataset", "testing", "deepctr", "slow_rounds", "seed"),
}


def measure_retrieval(threads: int) -> dict[str, Any]:
    """Retrieval of one user."""
    faiss.omp_set_num_threads(os.cpu_count() or 1)  # to build
    cache = pathlib.Path(_CACHE_DIR.value)
    width, ef_search = _HNSW_WIDTH.value, tuple(_EF_SEARCH.value)
    graph = hnsw.build(_NUM_ITEMS.value, width, ef_search, _SEED.value, cache)
    faiss.omp_set_num_threads(threads)
    service = retrieval_timing.Service(
        _NUM_ITEMS.value,
        _LIST.value,
        _TRIGGERS.value,
        _HISTORY.value,
        _TOP_K.value,
        _SEED.value,
    )
    found = retrieval_timing.measure(service, graph, _ROUNDS.value, _SEED.value)
    return dataclasses.asdict(found)


def measure_growth(threads: int) -> dict[str, Any]:
    """The op and its twin along each axis."""
    del threads  # set for the process
    items, k, m = _NUM_ITEMS.value, _LIST.value, _TRIGGERS.value
    base = growth.Point(items, k, m, 1, _TOP_K.value)
    values = {
        "num_items": [max(k + 1, items // part) for part in (100, 10, 1)],
        "k": [max(1, k // part) for part in (4, 2, 1)],
        "num_triggers": [max(1, m // part) for part in (5, 2, 1)] + [2 * m],
        "batch": _BATCHES.value,
    }
    return {
        axis: growth.measure(axis, base, values[axis], _SLOW_ROUNDS.value, _SEED.value)
        for axis in growth.AXES
    }


def measure_index(threads: int) -> dict[str, Any]:
    """Index generation in this process."""
    del threads
    builds = index_timing.measure(
        _INDEX_ITEMS.value,
        _INDEX_K_HAT.value,
        _INDEX_K.value,
        _INDEX_ROUNDS.value,
        _SEED.value,
    )
    return {"builds": [dataclasses.asdict(build) for build in builds]}


def measure_training(threads: int) -> dict[str, Any]:
    """Training steps, DeepCTR's in its own environment."""
    python = None
    if _DEEPCTR.value:
        python = deepctr_process.make_environment(pathlib.Path(_CACHE_DIR.value))
    found = training_timing.measure(
        _DATASET.value,
        python,
        threads=threads,
        rounds=_SLOW_ROUNDS.value,
        seed=_SEED.value,
        data_home=_DATA_HOME.value,
        testing=_TESTING.value,
    )
    return dataclasses.asdict(found)


_MEASURE = {
    "retrieval": measure_retrieval,
    "growth": measure_growth,
    "index": measure_index,
    "training": measure_training,
}


def measure_here(part: str, threads: int, console: Console) -> None:
    """Measures one part in this process, prints it and puts it into the file."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    answer = _MEASURE[part](threads)
    record = {
        "config": {name: FLAGS[name].value for name in _CONFIG[part]},
        "environment": environment(),
        "threads": threads,
        **answer,
    }
    console.print(_table(f"{part}, {threads} threads", answer))
    path = pathlib.Path(_OUTPUT_DIR.value) / "benchmark.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    whole.setdefault(part, {})[str(threads)] = record
    artifacts.write_json(path, whole)


def _table(title: str, answer: dict[str, Any]) -> Table:
    """Every number by its path, one a line."""
    table = Table("what", "number", title=title)

    def add(name: str, value: Any) -> None:
        if isinstance(value, list):
            value = dict(enumerate(value))
        if isinstance(value, dict):
            for key, part in value.items():
                add(f"{name}.{key}" if name else str(key), part)
        else:
            text = f"{value:,.3f}" if isinstance(value, float) else f"{value}"
            table.add_row(name, text)

    add("", answer)
    return table


def main(argv: Sequence[str]) -> None:
    """Runs each part at each number of threads."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}. See --help.")
    runs = [(part, threads) for part in _PARTS.value for threads in _THREADS.value]
    if len(runs) == 1:
        measure_here(*runs[0], Console())
        return
    # The number of threads is fixed once TensorFlow has run, hence the processes.
    kept = [
        argument
        for own in FLAGS.flags_by_module_dict().values()
        for flag in own
        if flag.present and flag.name not in ("part", "threads")
        for argument in flag.serialize().splitlines()
    ]
    for part, threads in runs:
        command = [sys.executable, "-m", "experiments.pdn.benchmark", *kept]
        subprocess.run([*command, f"--part={part}", f"--threads={threads}"], check=True)


if __name__ == "__main__":
    app.run(main)
