"""Figures 7, 8 and 9 redrawn from finished runs, and the numbers behind them.

    python -m experiments.pdn.figures --run=runs/pdn/ml-1m-pdn-seed0 \
        --compare=runs/pdn/ml-1m-bst-seed0

Writes PNG files, `neighbours.md` (figure 9) and `figures.json` into `--output_dir`. No
training: the run's weights are loaded.
"""

import dataclasses
import json
import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import app, flags

from experiments.pdn import analysis, neighbours, plots
from experiments.pdn import problem as problem_lib
from experiments.pdn import settings as settings_lib
from experiments.pdn.problem import Problem
from experiments.pdn.rankers import PdnRanker
from experiments.pdn.train import WEIGHTS, build_ranker
from experiments.results import environment
from tfrec import artifacts
from tfrec.data.errors import DataError
from tfrec.evaluation.significance import paired_t_test
from tfrec.pdn.model import Pdn

_RUN = flags.DEFINE_string("run", None, "Folder of a finished run.", required=True)
_COMPARE = flags.DEFINE_list("compare", [], "Folders of runs for figure 7.")
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir", None, "For the figures; default: `figures` in the run's folder."
)
_DATA_HOME = flags.DEFINE_string(
    "data_home", None, "Prepared data; default: $TFREC_DATA_HOME or ~/.cache/tfrec."
)
_CATEGORIES = flags.DEFINE_integer(
    "categories", 18, "The largest ones, of figure 8.", lower_bound=1
)
_PAIRS = flags.DEFINE_integer(
    "pairs", 1000, "Of two categories, in figure 8a.", lower_bound=1
)


def read_result(folder: pathlib.Path) -> dict[str, Any]:
    """The record of a finished run.

    Raises: UsageError: there is none.
    """
    path = folder / "result.json"
    if not path.is_file():
        raise app.UsageError(
            f"`{folder}` must be the folder of a finished run. Received: no {path.name}"
        )
    return json.loads(path.read_text(encoding="utf-8"))


def setting_of(result: dict[str, Any]) -> settings_lib.Setting:
    """The setting that a record was made with.

    Raises: UsageError: it is not one of `settings.py` as it is now.
    """
    recorded = result["setting"]
    names = recorded["dataset"], recorded["model"], result["seed"]
    for testing in (False, True):
        setting = settings_lib.setting_for(*names, testing)
        if json.loads(json.dumps(dataclasses.asdict(setting))) == recorded:
            return setting
    raise app.UsageError(
        "The run must have a setting of experiments/pdn/settings.py as it is now. "
        f"Received: another one of {names}"
    )


def has_scalar_paths(result: dict[str, Any]) -> bool:
    """Whether a run has the t and s of figures 8 and 9: numbers, not vectors."""
    if result["model"] not in settings_lib.PDN_VARIANTS:
        return False
    return result["setting"]["network"]["path_width"] == 1


def load_model(
    result: dict[str, Any], folder: pathlib.Path, data_home: str | None
) -> tuple[Pdn, Problem]:
    """The trained network of a run of PDN, and its data."""
    problem = problem_lib.load(setting_of(result), result["seed"], data_home)
    ranker = build_ranker(problem)
    assert isinstance(ranker, PdnRanker)
    ranker.model.load_weights(folder / WEIGHTS)
    return ranker.model, problem


def figure_8(
    model: Pdn, problem: Problem, title: str, output: pathlib.Path
) -> dict[str, Any]:
    """Draws what SimNet and TrigNet say; returns the numbers."""
    every = analysis.category_names(problem.dataset)
    categories = problem.fields.item["category"]
    chosen = analysis.largest_categories(categories, _CATEGORIES.value)
    names = [every[category] for category in chosen.tolist()]
    means = analysis.category_similarities(model, problem, chosen, _PAIRS.value)
    plots.category_matrix(means, names, title, output / "categories.png")
    same = np.eye(chosen.size, dtype=bool)
    found = {
        "categories": names,
        "pairs": _PAIRS.value,
        "similarities": means.tolist(),
        "same_category": float(means[same].mean()),
        "other_category": float(means[~same].mean()) if chosen.size > 1 else None,
        "neutral_behaviour": analysis.neutral_behaviour(problem),
    }
    positive, negative = analysis.weights_by_label(model, problem)
    plots.weights_by_label(positive, negative, title, output / "trigger_weights.png")
    found["trigger_weights"] = {
        "positive": float(positive.mean()),
        "negative": float(negative.mean()),
        "positive_is_larger": float((positive > negative).mean()),
        "test": dataclasses.asdict(paired_t_test(positive, negative)),
    }
    gender = analysis.gender_differences(model, problem, chosen)
    if gender is not None:
        plots.gender(gender, names, title, output / "gender.png")
        lists = {key: gender[key].tolist() for key in ("difference", "error")}
        found["gender"] = gender | lists
    return found


def draw(
    folder: pathlib.Path,
    others: Sequence[pathlib.Path],
    output: pathlib.Path,
    data_home: str | None,
) -> dict[str, Any]:
    """Draws everything that the runs allow; returns `figures.json`."""
    result = read_result(folder)
    results = [result, *(read_result(other) for other in others)]
    sets = {(r["dataset"]["name"], r["dataset"]["sha256"][:12]) for r in results}
    if len(sets) > 1:
        raise app.UsageError(
            "--compare must have runs on the data set of --run. "
            f"Received: {sorted(sets)}"
        )
    output.mkdir(parents=True, exist_ok=True)
    if result["training"]["history"]:
        plots.curves(result, output / "curves.png")
    if "agreement" in result["metrics"]:
        plots.agreement(result, output / "agreement.png")
    networks = [other for other in results if other["training"]["history"]]
    if networks:
        plots.validation(networks, output / "validation.png")
    plots.diversity(results, output / "diversity.png")
    found: dict[str, Any] = {
        "run": result["command"],
        "dataset": result["dataset"],
        "seed": result["seed"],
        "environment": environment(),
    }
    if has_scalar_paths(result):
        model, problem = load_model(result, folder, data_home)
        found |= figure_8(model, problem, plots.title_of(result), output)
        found["matthew_effect"] = neighbours.matthew_effect(model, problem)
        names = analysis.category_names(problem.dataset)
        text = neighbours.table(model, problem, names)
        (output / "neighbours.md").write_text(text, encoding="utf-8")
    artifacts.write_json(output / "figures.json", found)
    return found


def main(argv: Sequence[str]) -> None:
    """Draws, and says where."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    folder = pathlib.Path(_RUN.value)
    output = pathlib.Path(_OUTPUT_DIR.value or folder / "figures")
    others = [pathlib.Path(other) for other in _COMPARE.value]
    try:
        draw(folder, others, output, _DATA_HOME.value)
    except DataError as error:
        sys.exit(str(error))
    for path in sorted(output.iterdir()):
        print(path)


if __name__ == "__main__":
    app.run(main)
