"""The record of a run, and the row that is printed beside the paper's table 2."""

import dataclasses
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.pdn import by_user
from experiments.pdn.problem import Problem
from experiments.results import environment

NAMES = {
    "popularity": "popularity",
    "pcf": "PCF",
    "slim": "SLIM",
    "ease": "EASE",
    "dssm": "DSSM",
    "youtube_dnn": "YouTube DNN",
    "bst": "BST",
    "din": "DIN",
    "sasrec": "SASRec",
    "pdn": "PDN",
    "pdn-no-bias": "PDN w/o bias net",
    "pdn-no-direct": "PDN w/o direct net",
    "pdn-product": "PDN, product of weights",
    "pdn-unconstrained": "PDN, unconstrained weights",
    "pdn-vector": "PDN, vector-based",
}
# Table 2, MovieLens: HR@10, NDCG@10 personalised; then item-to-item.
PAPER = {
    "dssm": (0.4699, 0.2603, 0.2243, 0.1034),
    "youtube_dnn": (0.6187, 0.3579, 0.4362, 0.2324),
    "bst": (0.6316, 0.3603, 0.0561, 0.0277),
    "pcf": (None, None, 0.4033, 0.2132),
    "slim": (None, None, 0.4400, 0.2337),
    "din": (0.6454, 0.3767, 0.1662, 0.0918),
    "pdn-no-bias": (0.6323, 0.3401, 0.5080, 0.2795),
    "pdn-no-direct": (0.6642, 0.3930, 0.5124, 0.2813),
    "pdn": (0.6770, 0.4071, 0.5152, 0.2859),
}


def make_result(
    problem: Problem,
    training: dict[str, Any],
    metrics: dict[str, Any],
    users: dict[str, np.ndarray],
) -> dict[str, Any]:
    """The content of `result.json`; `users` are the arrays of `evaluate`."""
    setting = problem.setting
    return {
        "paper": "pdn",
        "title": f"PDN on {setting.dataset}",
        "name": NAMES[setting.model],
        "model": setting.model,
        "command": _command(problem),
        "setting": dataclasses.asdict(setting),
        "seed": problem.seed,
        "dataset": {"name": problem.dataset.name, "sha256": problem.dataset.sha256},
        "environment": environment(),
        "training": training,
        "metrics": metrics,
        "by_user": by_user.pack(users),
        "paper_numbers": PAPER.get(setting.model),
    }


def _command(problem: Problem) -> str:
    setting = problem.setting
    return (
        "python -m experiments.pdn.run "
        f"--dataset={setting.dataset} --model={setting.model} --seed={problem.seed}"
    )


def print_result(result: dict[str, Any], console: Console) -> None:
    """Prints both protocols side by side, and the paper's row."""
    metrics = result["metrics"]
    title = f"{result['name']}: {result['title']}"
    table = Table("protocol", "users", "HR@10", "NDCG@10", title=title)
    rows = (
        ("sampled: target against 99 negatives", "sampled"),
        ("full: target against all items not seen", "full"),
        ("item-to-item, sampled", "item_to_item"),
    )
    for label, key in rows:
        if key in metrics:
            found = metrics[key]
            numbers = f"{found['hr']:.4f}", f"{found['ndcg']:.4f}"
            table.add_row(label, f"{found['users']:,}", *numbers)
    paper = result["paper_numbers"]
    if result["setting"]["dataset"] != "ml-1m":
        paper = None
    if paper and paper[0] is not None:
        table.add_row("the paper, its MovieLens", "6,040", f"{paper[0]}", f"{paper[1]}")
    if paper:
        table.add_row("the paper, item-to-item", "6,040", f"{paper[2]}", f"{paper[3]}")
    console.print(table)
    full = metrics.get("full")
    if full is None:
        return
    console.print(
        f"HR@300 of the full ranking {full['hr300']:.4f}; categories among the 300 "
        f"{full['diversity']:.1%}. The paper's numbers fit no full ranking "
        "(docs/papers/pdn.md)."
    )
