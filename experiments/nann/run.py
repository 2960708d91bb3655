"""NANN from raw data to an exported model, in one command.

    python -m experiments.nann.run --dataset=ml-1m --output_dir=runs/ml-1m

Stages: prepare the data, train, build the index, evaluate by brute force and by the
graph walk, draw the figure, export. Each writes into `--output_dir`; with `--resume`
what is there is kept, and a training that was cut off goes on where it was.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

from absl import app, flags, logging

from experiments.nann import problem as problem_lib
from experiments.nann import settings as settings_lib
from experiments.nann.train import train
from tfrec.training import configure, distribution

FLAGS = flags.FLAGS

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
    "output_dir", None, "Folder of this run; default: runs/nann-<dataset>-<...>."
)
_DATA_HOME = flags.DEFINE_string(
    "data_home", None, "Prepared data; default: $TFREC_DATA_HOME or ~/.cache/tfrec."
)
_RESUME = flags.DEFINE_bool("resume", False, "Keep what an earlier run finished.")
_TESTING = flags.DEFINE_bool("testing", False, "Seconds instead of minutes (ml-100k).")
_MIXED_PRECISION = flags.DEFINE_bool("mixed_precision", False, "Train in bfloat16.")


def make_setting() -> settings_lib.Setting:
    """The named setting, changed by the flags."""
    setting = settings_lib.SETTINGS[_DATASET.value]
    if _TESTING.value:
        setting = settings_lib.TESTING
    loss = setting.loss
    if not _AUXILIARY_LOSS.value:
        loss = dataclasses.replace(loss, adversarial=None)
    model = dataclasses.replace(setting.model, architecture=_ARCHITECTURE.value)
    training = dataclasses.replace(
        setting.training, seed=_SEED.value, mixed_precision=_MIXED_PRECISION.value
    )
    return dataclasses.replace(setting, model=model, loss=loss, training=training)


def main(argv: Sequence[str]) -> None:
    """Runs the stages."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    strategy = distribution.strategy()
    setting = make_setting()
    configure(setting.training)
    name = f"nann-{setting.dataset}-{_ARCHITECTURE.value}-seed{_SEED.value}"
    folder = pathlib.Path(_OUTPUT_DIR.value or f"runs/{name}")
    folder.mkdir(parents=True, exist_ok=True)
    problem = problem_lib.load(setting, _SEED.value, _DATA_HOME.value)
    logging.info("Popularity %.4f", problem.popularity_recall(problem.split.test))
    model, record = train(problem, setting.training, folder, strategy, _RESUME.value)
    logging.info("Trained: %s", record)


if __name__ == "__main__":
    app.run(main)
