"""Eight trials a model, on validation users alone, and a log of them.

    python -m experiments.pdn.tune --model=din --output_dir=runs/pdn-tuning

Every model gets the same: 8 settings, an eighth of the examples of a run, and the same
fifth of the users, whose last training row validates. `results/tuning` keeps the logs
that `settings.py` was taken from, with the number of examples. That of vector-based PDN
is of ten trials, longer ones and not of the grid below.
"""

import dataclasses
import itertools
import pathlib
import shutil
import time
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
from absl import app, flags
from rich.console import Console

from experiments.pdn import problem as problem_lib
from experiments.pdn import settings as settings_lib
from experiments.pdn.train import train
from experiments.results import environment
from tfrec import artifacts
from tfrec.training import configure

SHARE = 8  # a trial has one in eight of the examples of a run
# Fields of the network, or `learning_rate`, and the values that are tried: 8 together.
GRIDS: dict[str, dict[str, tuple]] = {
    "pdn": {
        "learning_rate": (3e-3, 1e-2),
        "embedding_size": (16, 32),
        "similarity_units": ((32, 16), (64, 32)),
    },
    "pdn-vector": {
        "learning_rate": (1e-3, 3e-3),
        "embedding_size": (16, 32),
        "path_width": (8, 16),
    },
    "dssm": {
        "learning_rate": (1e-3, 3e-3),
        "embedding_size": (16, 32),
        "units": ((64, 32), (128, 64)),
    },
    "youtube_dnn": {
        "learning_rate": (1e-3, 3e-3),
        "embedding_size": (16, 32),
        "units": ((64, 32), (128, 64)),
    },
    "bst": {
        "learning_rate": (1e-3, 3e-3),
        "embedding_size": (16, 32),
        "dropout": (0.0, 0.2),
    },
    "din": {
        "learning_rate": (1e-3, 3e-3),
        "embedding_size": (16, 32),
        "attention_units": (16, 32),
    },
    "sasrec": {
        "learning_rate": (1e-3, 3e-3),
        "embedding_size": (50, 100),
        "dropout": (0.1, 0.2),
    },
    "ease": {"l2": (50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0)},
    "pcf": {
        "shrinkage": (0.0, 10.0, 50.0, 200.0),
        "num_neighbours": (50, 100),
    },
    "slim": {
        "l1": (0.1, 1.0),
        "l2": (1.0, 10.0, 50.0, 200.0),
    },
}

_MODEL = flags.DEFINE_enum("model", "pdn", sorted(GRIDS), "Which.")
_DATASET = flags.DEFINE_enum("dataset", "ml-1m", settings_lib.DATASETS, "Data set.")
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "runs/pdn-tuning", "For the log.")
_THREADS = flags.DEFINE_integer("threads", 0, "Of TensorFlow's ops; 0: all cores.")
_DATA_HOME = flags.DEFINE_string(
    "data_home", None, "Prepared data; default: $TFREC_DATA_HOME or ~/.cache/tfrec."
)


def trials(setting: settings_lib.Setting) -> Iterator[tuple[dict, Any]]:
    """The changes of each trial, and the changed setting."""
    grid = GRIDS[setting.model]
    examples = setting.training.epochs * setting.examples_per_epoch // SHARE
    for values in itertools.product(*grid.values()):
        changes = dict(zip(grid, values, strict=True))
        network = dict(changes)
        rate = network.pop("learning_rate", setting.training.learning_rate)
        changed = dataclasses.replace(
            setting,
            network=dataclasses.replace(setting.network, **network),
            examples_per_epoch=examples,
        )
        yield changes, settings_lib.with_schedule(changed, rate, epochs=1)


def main(argv: Sequence[str]) -> None:
    """Runs the trials and writes the log."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
    tf.config.threading.set_inter_op_parallelism_threads(_THREADS.value)
    setting = settings_lib.setting_for(_DATASET.value, _MODEL.value, seed=0)
    configure(setting.training)
    name = f"{_DATASET.value}-{_MODEL.value}"
    console, log = Console(), []
    folder = pathlib.Path(_OUTPUT_DIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    for changes, changed in trials(setting):
        work = folder / f"{name}-work"
        problem = problem_lib.load(changed, 0, _DATA_HOME.value)
        start = time.monotonic()
        _, training = train(problem, work, resume=False)
        seconds = time.monotonic() - start
        metrics = training["best_metrics"]
        log.append({"changes": changes, "seconds": seconds, **metrics})
        console.print(f"{name} {len(log)} of 8: {log[-1]}", soft_wrap=True)
        shutil.rmtree(work, ignore_errors=True)
    record = {
        "model": _MODEL.value,
        "dataset": _DATASET.value,
        "examples": changed.examples_per_epoch,
        "validation_users": problem.split.validation.size,
        "environment": environment(),
        "best": max(log, key=lambda trial: trial["ndcg"]),
        "trials": log,
    }
    artifacts.write_json(folder / f"{name}.json", record)


if __name__ == "__main__":
    app.run(main)
