"""Eight trials a model, on validation users alone, and a log of them.

    python -m experiments.pdn.tune --model=din --output_dir=runs/pdn-tuning

Every model gets 8 settings, an eighth of the examples of a run, and the same fifth of
the users, whose last training row validates. `--learning_rate` asks for a second round
of other rates. `results/tuning` keeps the logs that `settings.py` was taken from, each
with its number of examples: runs have become longer since.
"""

import pathlib
import shutil
import time
from collections.abc import Sequence

import tensorflow as tf
from absl import app, flags
from rich.console import Console

from experiments.pdn import plans
from experiments.pdn import problem as problem_lib
from experiments.pdn import settings as settings_lib
from experiments.pdn.train import train
from experiments.results import environment
from tfrec import artifacts
from tfrec.training import configure

_MODEL = flags.DEFINE_enum("model", "pdn", sorted(plans.GRIDS), "Which.")
_RATES = flags.DEFINE_multi_float(
    "learning_rate", None, "Instead of the grid: these, all else as in settings.py."
)
_EPOCHS = flags.DEFINE_integer(
    "epochs", None, "Of a trial, of a run's size; default: an eighth of a run.", 1
)
_DATASET = flags.DEFINE_enum("dataset", "ml-1m", settings_lib.DATASETS, "Data set.")
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "runs/pdn-tuning", "For the log.")
_THREADS = flags.DEFINE_integer("threads", 0, "Of TensorFlow's ops; 0: all cores.")
_DATA_HOME = flags.DEFINE_string(
    "data_home", None, "Prepared data; default: $TFREC_DATA_HOME or ~/.cache/tfrec."
)


def main(argv: Sequence[str]) -> None:
    """Runs the trials and writes the log."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
    tf.config.threading.set_inter_op_parallelism_threads(_THREADS.value)
    setting = settings_lib.setting_for(_DATASET.value, _MODEL.value, seed=0)
    configure(setting.training)
    name, grid = f"{_DATASET.value}-{_MODEL.value}", plans.GRIDS[_MODEL.value]
    if _RATES.value:
        name, grid = f"{name}-rates", {"learning_rate": _RATES.value}
    planned = list(plans.trials(setting, grid, _EPOCHS.value))
    console, log = Console(), []
    folder = pathlib.Path(_OUTPUT_DIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    for changes, changed in planned:
        work = folder / f"{name}-work"
        problem = problem_lib.load(changed, 0, _DATA_HOME.value)
        start = time.monotonic()
        _, training = train(problem, work, resume=False)
        seconds = time.monotonic() - start
        best = {"epoch": training["best_epoch"] + 1, **training["best_metrics"]}
        log.append({"changes": changes, "seconds": seconds, **best})
        console.print(f"{name} {len(log)} of {len(planned)}: {log[-1]}", soft_wrap=True)
        shutil.rmtree(work, ignore_errors=True)
    record = {
        "model": _MODEL.value,
        "dataset": _DATASET.value,
        "examples": changed.training.epochs * changed.examples_per_epoch,
        "validation_users": problem.split.validation.size,
        "environment": environment(),
        "best": max(log, key=lambda trial: trial["ndcg"]),
        "trials": log,
    }
    artifacts.write_json(folder / f"{name}.json", record)


if __name__ == "__main__":
    app.run(main)
