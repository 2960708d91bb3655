"""Paired tests of PDN, or a variant, against every other model, user by user.

A user's value is its mean over the model's seeds (`tfrec.evaluation.significance`).
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.pdn import by_user
from experiments.pdn import settings as settings_lib
from experiments.pdn.by_user import METRICS
from experiments.results import environment
from tfrec.evaluation.significance import paired_t_test


@dataclasses.dataclass(frozen=True)
class ModelRuns:
    """The finished runs of a model.

    Attributes:
        name: as in the tables.
        seeds: ascending.
        users: of each array of users, ids `(E,)`, the same for all seeds.
        metrics: of each metric that all runs have, `(S, E)`.
    """

    name: str
    seeds: list[int]
    users: dict[str, np.ndarray]
    metrics: dict[str, np.ndarray]


def read_runs(folder: pathlib.Path, dataset: str) -> dict[str, ModelRuns]:
    """Every kept record of a data set that has its users' metrics, by model.

    Raises: ValueError: runs of a model differ in setting or users, or runs in data.
    """
    found: dict[str, list[tuple[dict, dict]]] = {}
    pattern = re.compile(rf"{re.escape(dataset)}-(?P<model>.+)-seed\d+\.json")
    for path in sorted(folder.glob(f"{dataset}-*-seed*.json")):
        named = pattern.fullmatch(path.name)
        if named is None:
            continue
        result = json.loads(path.read_text(encoding="utf-8"))
        if "by_user" not in result:
            continue
        if (result["setting"]["dataset"], result["model"]) != (dataset, named["model"]):
            raise ValueError(
                f"`{path}` must be a run of its name. Received: one of "
                f"{result['model']} on {result['setting']['dataset']}"
            )
        users = by_user.unpack(result["by_user"])
        found.setdefault(named["model"], []).append((result, users))
    every = [result for runs in found.values() for result, _ in runs]
    versions = {result["dataset"]["sha256"] for result in every}
    if len(versions) > 1:
        raise ValueError(
            f"All runs must be on one version of {dataset}. "
            f"Received: sha256 {sorted(versions)}"
        )
    return {model: _of_model(model, runs) for model, runs in found.items()}


def _of_model(model: str, runs: list[tuple[dict, dict]]) -> ModelRuns:
    runs = sorted(runs, key=lambda run: run[0]["seed"])
    results = [result for result, _ in runs]
    settings = {_without_seed(result["setting"]) for result in results}
    if len(settings) > 1:
        raise ValueError(
            f"All runs of {model} must have one setting, but the seed. "
            f"Received: {' and '.join(sorted(settings))}"
        )
    users = {}
    for key in dict.fromkeys(METRICS.values()):
        first = users[key] = runs[0][1][key]
        if any(not np.array_equal(first, arrays[key]) for _, arrays in runs):
            raise ValueError(
                f"All runs of {model} must have the same `{key}`. "
                f"Received: others in one of the seeds {[r['seed'] for r in results]}"
            )
    names = [m for m in METRICS if all(m in arrays for _, arrays in runs)]
    metrics = {m: np.stack([arrays[m] for _, arrays in runs]) for m in names}
    seeds = [result["seed"] for result in results]
    return ModelRuns(results[0]["name"], seeds, users, metrics)


def _without_seed(setting: Mapping[str, Any]) -> str:
    training = {k: v for k, v in setting["training"].items() if k != "seed"}
    return json.dumps({**setting, "training": training}, sort_keys=True)


def compare(first: ModelRuns, second: ModelRuns) -> dict[str, Any]:
    """Tests of first against second by metric, over the users that both have."""
    tests = {}
    for metric in (m for m in first.metrics if m in second.metrics):
        key = METRICS[metric]
        of_first, of_second = first.users[key], second.users[key]
        _, left, right = np.intersect1d(of_first, of_second, True, return_indices=True)
        test = paired_t_test(
            first.metrics[metric][:, left], second.metrics[metric][:, right]
        )
        tests[metric] = {
            "mean": float(second.metrics[metric][:, right].mean()),
            **dataclasses.asdict(test),
        }
    return tests


def make_record(
    dataset: str, models: Mapping[str, ModelRuns], first: str = "pdn"
) -> dict[str, Any]:
    """The content of the comparison's file.

    Args:
        dataset: of the records.
        models: their runs.
        first: what every other model is compared with: PDN, or a variant.
    Raises: ValueError: there is no run of `first`, or of nothing else.
    """
    if first not in models or len(models) < 2:
        raise ValueError(
            f"There must be records of {first} and of another model on "
            f"{dataset}. Received: {sorted(models)}"
        )
    others = [m for m in settings_lib.MODELS if m in models and m != first]
    command = f"python -m experiments.pdn.compare --dataset={dataset}"
    return {
        "paper": "pdn",
        "comparison": dataset,
        "command": command if first == "pdn" else f"{command} --first={first}",
        "first": first,
        "first_name": models[first].name,
        "seeds": {model: models[model].seeds for model in (first, *others)},
        "environment": environment(),
        "models": {
            model: {
                "name": models[model].name,
                "tests": compare(models[first], models[model]),
            }
            for model in others
        },
    }


def print_record(record: Mapping[str, Any], console: Console) -> None:
    """Prints the first's lead in each metric, with half its interval, and p."""
    title = f"{record['first_name']}, less each model on {record['comparison']}"
    table = Table("model", "seeds", "metric", "lead, 95 %", "p", title=title)
    for model, found in record["models"].items():
        for metric, test in found["tests"].items():
            half = (test["high"] - test["low"]) / 2
            lead = f"{test['difference']:+.4f} ± {half:.4f}"
            p_value = "<1e-4" if test["p_value"] < 1e-4 else f"{test['p_value']:.2g}"
            seeds = str(len(record["seeds"][model]))
            table.add_row(found["name"], seeds, metric, lead, p_value)
        table.add_section()
    console.print(table)
