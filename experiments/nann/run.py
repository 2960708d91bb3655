"""NANN from raw data to an exported model, in one command.

    python -m experiments.nann.run --dataset=ml-1m --output_dir=runs/ml-1m

Stages: prepare the data, train, build the index, evaluate by brute force and by the
graph walk, draw the figure, export and query the export in a new process. Each writes
into `--output_dir`; with `--resume` what is there is kept, and a training that was cut
off goes on where it was. With `TF_CONFIG` set, the training runs on several workers and
the chief does the rest.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
from absl import app, flags, logging
from rich.console import Console

from experiments.cards import card_of
from experiments.nann import evaluate, figures, report
from experiments.nann import problem as problem_lib
from experiments.nann import settings as settings_lib
from experiments.nann.problem import Problem
from experiments.nann.train import item_vectors_fn, train
from experiments.run_folder import prepare_folder
from tfrec import artifacts
from tfrec import ops as tfrec_ops
from tfrec.data.errors import DataError
from tfrec.nann import config as nann_config
from tfrec.nann import index as index_lib
from tfrec.nann.export import CARD, export
from tfrec.nann.index import HnswIndex
from tfrec.nann.model import Nann
from tfrec.training import TrainingInterrupted, configure, distribution

FLAGS = flags.FLAGS

_CONFIG = flags.DEFINE_enum(
    "config",
    "user_behavior",
    ["user_behavior", "industrial"],
    "Network of appendix A: figure 9, or figure 8 with the encoder over the user's id.",
)
_DATASET = flags.DEFINE_enum(
    "dataset", "ml-100k", sorted(settings_lib.SETTINGS), "Which data set."
)
_ARCHITECTURE = flags.DEFINE_enum(
    "architecture",
    "attention",
    ["attention", "no_attention", "two_sided"],
    "The network: DNN with or without attention, or the inner product.",
)
_AUXILIARY_LOSS = flags.DEFINE_bool(
    "auxiliary_loss", True, "Train with the adversarial loss of eq. 5-6."
)
_SEED = flags.DEFINE_integer("seed", 0, "Of weights, order, negatives.", lower_bound=0)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "Folder of this run; default: a folder of `runs` that is named after the flags.",
)
_DATA_HOME = flags.DEFINE_string(
    "data_home", None, "Prepared data; default: $TFREC_DATA_HOME or ~/.cache/tfrec."
)
_RESUME = flags.DEFINE_bool("resume", False, "Keep what an earlier run finished.")
_FILTER_SEEN = flags.DEFINE_bool(
    "filter_seen", False, "Leave out items of the history when evaluating."
)
_TESTING = flags.DEFINE_bool(
    "testing", False, "A few steps on ml-100k, to see that everything runs."
)
_MIXED_PRECISION = flags.DEFINE_bool("mixed_precision", False, "Train in bfloat16.")


def make_setting() -> settings_lib.Setting:
    """The named setting, changed by the flags."""
    setting = settings_lib.SETTINGS[_DATASET.value]
    if _TESTING.value:
        if _DATASET.value != settings_lib.TESTING.dataset:
            raise app.UsageError(
                f"--testing must go with --dataset={settings_lib.TESTING.dataset}. "
                f"Received: --dataset={_DATASET.value}"
            )
        setting = settings_lib.TESTING
    loss = setting.loss
    if not _AUXILIARY_LOSS.value:
        loss = dataclasses.replace(loss, adversarial=None)
    model = getattr(nann_config, _CONFIG.value)(_ARCHITECTURE.value)
    return dataclasses.replace(
        setting,
        config=_CONFIG.value,
        model=dataclasses.replace(model, max_history=setting.model.max_history),
        loss=loss,
        training=dataclasses.replace(
            setting.training, seed=_SEED.value, mixed_precision=_MIXED_PRECISION.value
        ),
        filter_seen=_FILTER_SEEN.value,
    )


def default_folder(setting: settings_lib.Setting) -> pathlib.Path:
    """One folder for each choice of the flags."""
    parts = [
        "nann",
        setting.dataset,
        setting.config if setting.config != "user_behavior" else "",
        setting.model.architecture,
        "" if setting.loss.adversarial else "nce",
        "filtered" if setting.filter_seen else "",
        "bfloat16" if setting.training.mixed_precision else "",
        "testing" if _TESTING.value else "",
        f"seed{setting.training.seed}",
    ]
    return pathlib.Path("runs", "-".join(part for part in parts if part))


def build_index(
    model: Nann, problem: Problem, folder: pathlib.Path, resume: bool
) -> HnswIndex:
    """The graph over the model's item vectors, from `folder` if it is there."""
    path = folder / "index"
    if resume and path.exists():
        return index_lib.load(path)
    vectors = item_vectors_fn(model, problem)().numpy()
    index = index_lib.build(
        vectors, problem.raw_item_ids, problem.setting.index, num_threads=1
    )
    index_lib.save(index, path, overwrite=True)
    return index


def export_and_query(
    model: Nann,
    index: HnswIndex,
    problem: Problem,
    folder: pathlib.Path,
    console: Console,
) -> None:
    """Exports, and lets a process without tfrec answer one request."""
    setting = problem.setting
    logging.set_verbosity(logging.WARNING)  # TensorFlow lists every captured input
    path = export(
        model,
        index,
        setting.walk,
        folder / "export",
        max_history=setting.model.max_history,
        item_features=problem.dataset.item_features,
        user_fields=model.profile_names,
        card=card_of(CARD, setting, problem.dataset),
    )
    console.print(f"Exported to {path}", soft_wrap=True)
    test = problem.split.test
    history = problem.raw_item_ids[test.history[: test.history_splits[1]] - 1]
    history = history[-setting.model.max_history :].tolist()
    command = [
        sys.executable,
        str(pathlib.Path(__file__).with_name("query.py")),
        f"--export={path}",
        f"--library={tfrec_ops.library_path()}",
        f"--history={','.join(map(str, history))}",
        "--k=10",
    ]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    console.print("A new process, with TensorFlow and the op library alone, retrieves:")
    retrieved = json.loads(answer.stdout.splitlines()[-1])["ids"]
    report.print_retrieved(problem, history[-5:], retrieved, console)


def main(argv: Sequence[str]) -> None:
    """Runs the stages."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    try:
        run_stages()
    except TrainingInterrupted as interrupt:
        sys.exit(f"{interrupt}\nAdd --resume to go on from there.")
    except DataError as error:
        sys.exit(str(error))


def run_stages() -> None:
    """Training on every worker, the rest on the chief."""
    strategy = distribution.strategy()
    setting = make_setting()
    configure(setting.training)
    folder = pathlib.Path(_OUTPUT_DIR.value or default_folder(setting))
    console, resume = Console(), _RESUME.value
    problem = problem_lib.load(setting, _SEED.value, _DATA_HOME.value)
    if distribution.is_chief(strategy):
        prepare_folder(
            folder, setting, resume, ("result.json", evaluate.EXACT, "index")
        )
    console.print(f"[bold]{setting.dataset}[/bold]: {problem.summary}")
    model, training = train(problem, setting.training, folder, strategy, resume)
    console.print(f"Trained at {training['examples_per_second']:,.0f} examples/s.")
    if not distribution.is_chief(strategy):
        return
    index = build_index(model, problem, folder, resume)
    exact = evaluate.brute_force(model, index, problem, folder, resume)
    walks = [
        evaluate.walk(model, index, problem, config, exact)
        for config in (setting.walk, *setting.curve)
    ]
    result = report.make_result(
        problem,
        training,
        evaluate.mean_recall(problem, np.asarray(exact.positions)),
        walks,
    )
    artifacts.write_json(folder / "result.json", result)
    report.print_tables(result, console)
    figures.coverage_curve(result, folder / "coverage.png")
    export_and_query(model, index, problem, folder, console)
    console.print(f"Record: {folder / 'result.json'}", soft_wrap=True)
    console.print(f"Figure: {folder / 'coverage.png'}", soft_wrap=True)


if __name__ == "__main__":
    app.run(main)
