"""PDN, or a baseline of its table 2, from raw data to metrics, in one command.

    python -m experiments.pdn.run --dataset=ml-1m --output_dir=runs/pdn

Stages: prepare the data, train, rank the test users' targets by both protocols, and for
PDN build the index, compare greedy retrieval with scoring every item, draw the figures,
export and query the export in a new process; with `--store`, publish the index there.
Each writes into `--output_dir`; with `--resume` a training or an index that was cut off
goes on where it was.
"""

import pathlib
import sys
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from absl import app, flags
from rich.console import Console

from experiments.pdn import evaluate, plots, publish, report, system
from experiments.pdn import problem as problem_lib
from experiments.pdn import settings as settings_lib
from experiments.pdn.train import train
from experiments.run_folder import prepare_folder
from tfrec import artifacts
from tfrec.artifacts import ArtifactError
from tfrec.data.errors import DataError
from tfrec.stores import StoreError
from tfrec.training import TrainingInterrupted, configure

OUTPUTS = ("result.json", "users.npz", "index", "index.shards")

_DATASET = flags.DEFINE_enum(
    "dataset", settings_lib.TESTING_DATASET, settings_lib.DATASETS, "Which data set."
)
_MODEL = flags.DEFINE_enum(
    "model", "pdn", settings_lib.MODELS, "PDN, an ablation of it, or a baseline."
)
_SEED = flags.DEFINE_integer("seed", 0, "Of weights, order, negatives.", lower_bound=0)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "Folder of this run; default: one of `runs` named after the flags.",
)
_DATA_HOME = flags.DEFINE_string(
    "data_home", None, "Prepared data; default: $TFREC_DATA_HOME or ~/.cache/tfrec."
)
_RESUME = flags.DEFINE_bool("resume", False, "Keep what an earlier run finished.")
_SYSTEM = flags.DEFINE_bool(
    "system", True, "PDN: also index, greedy retrieval, figures and export."
)
_STORE = flags.DEFINE_string(
    "store",
    None,
    "PDN: also publish the index there, and retrieve from it: lmdb:///<folder> or "
    "redis://<host>:<port>.",
)
_TESTING = flags.DEFINE_bool(
    "testing", False, "A few steps on ml-100k, to see that everything runs."
)
_THREADS = flags.DEFINE_integer(
    "threads", 0, "Of TensorFlow's ops; 0: all cores. Other numbers, other last digits."
)


def make_setting() -> settings_lib.Setting:
    """The named setting of the flags."""
    if _TESTING.value and _DATASET.value != settings_lib.TESTING_DATASET:
        raise app.UsageError(
            f"--testing must go with --dataset={settings_lib.TESTING_DATASET}. "
            f"Received: --dataset={_DATASET.value}"
        )
    if _STORE.value and not (_MODEL.value == "pdn" and _SYSTEM.value):
        raise app.UsageError(
            "--store must go with --model=pdn and --system. "
            f"Received: --model={_MODEL.value}, --system={_SYSTEM.value}"
        )
    return settings_lib.setting_for(
        _DATASET.value, _MODEL.value, _SEED.value, _TESTING.value
    )


def run(
    setting: settings_lib.Setting,
    seed: int,
    folder: pathlib.Path,
    data_home: str | None,
    resume: bool,
    console: Console,
) -> dict:
    """All stages; returns the record, which is also `result.json` in `folder`."""
    problem = problem_lib.load(setting, seed, data_home)
    prepare_folder(folder, setting, resume, OUTPUTS)
    if _STORE.value:
        publish.check(_STORE.value)
    console.print(
        f"[bold]{setting.dataset}, {setting.model}, seed {seed}[/bold]: "
        f"{problem.split.train.size:,} training targets, "
        f"{problem.split.validation.size:,} validation and "
        f"{problem.split.test.size:,} test users"
    )
    ranker, training = train(problem, folder, resume)
    console.print(f"Trained at {training['examples_per_second']:,.0f} examples/s.")
    metrics, users = evaluate.evaluate(ranker, problem)
    if setting.model == "pdn" and _SYSTEM.value:
        index = system.load_or_build(ranker, problem, folder)
        metrics["agreement"] = system.agreement(ranker, problem, index)
        system.export_and_query(ranker, problem, index, folder, console)
    partial = folder / "partial-users.npz"
    np.savez_compressed(partial, **users)
    partial.replace(folder / "users.npz")
    result = report.make_result(problem, training, metrics, users)
    artifacts.write_json(folder / "result.json", result)
    if training["history"]:
        plots.curves(result, folder / "curves.png")
    if "agreement" in metrics:
        plots.agreement(result, folder / "agreement.png")
    report.print_result(result, console)
    console.print(f"Record: {folder / 'result.json'}", soft_wrap=True)
    if _STORE.value:
        publish.publish(ranker, problem, index, _STORE.value, console)
    return result


def main(argv: Sequence[str]) -> None:
    """Runs the stages."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    setting = make_setting()
    tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
    tf.config.threading.set_inter_op_parallelism_threads(_THREADS.value)
    configure(setting.training)
    name = f"pdn-{setting.dataset}-{setting.model}-seed{_SEED.value}"
    folder = pathlib.Path(_OUTPUT_DIR.value or f"runs/{name}")
    try:
        run(setting, _SEED.value, folder, _DATA_HOME.value, _RESUME.value, Console())
    except TrainingInterrupted as interrupt:
        sys.exit(f"{interrupt}\nAdd --resume to go on from there.")
    except (ArtifactError, DataError, StoreError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    app.run(main)
