"""PDN against every other model over the same users: paired t-tests.

    python -m experiments.pdn.compare --dataset=ml-1m

Reads every record `<dataset>-<model>-seed<k>.json` in `--results` that holds metrics
of each user, prints the tests and writes them as JSON.
"""

import pathlib
from collections.abc import Sequence

from absl import app, flags
from rich.console import Console

from experiments.pdn import comparison
from experiments.pdn import settings as settings_lib
from tfrec import artifacts

_RESULTS = flags.DEFINE_string(
    "results", "experiments/pdn/results", "Copies of runs' `result.json`."
)
_DATASET = flags.DEFINE_enum("dataset", "ml-1m", settings_lib.DATASETS, "Data set.")
_FIRST = flags.DEFINE_enum(
    "first", "pdn", list(settings_lib.PDN_VARIANTS), "What the others are tested with."
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "The record; default: `<dataset>-comparison.json` in --results, of another --first "
    "`<dataset>-<first>-comparison.json`.",
)


def main(argv: Sequence[str]) -> None:
    """Compares, prints and writes."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    folder, dataset = pathlib.Path(_RESULTS.value), _DATASET.value
    try:
        models = comparison.read_runs(folder, dataset)
        record = comparison.make_record(dataset, models, _FIRST.value)
    except ValueError as error:
        raise app.UsageError(str(error)) from error
    comparison.print_record(record, Console())
    variant = "" if _FIRST.value == "pdn" else f"-{_FIRST.value}"
    name = f"{dataset}{variant}-comparison.json"
    path = pathlib.Path(_OUTPUT.value or folder / name)
    artifacts.write_json(path, record)
    print(f"Record: {path}")


if __name__ == "__main__":
    app.run(main)
