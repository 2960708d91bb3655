"""The record of a run, and the table that is printed beside the paper's."""

import dataclasses
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.nann.problem import Problem
from experiments.nann.settings import TESTING
from experiments.results import environment

NAMES = {
    "attention": "DNN w/ attention",
    "no_attention": "DNN w/o attention",
    "two_sided": "two-sided",
}
# Table 3, UserBehavior, top 200: recall-retrieval, recall-all, recall-delta.
PAPER = {
    ("two_sided", False): (0.113, 0.114, 0.0074),
    ("no_attention", False): (0.128, 0.131, 0.0230),
    ("attention", False): (0.239, 0.247, 0.0348),
    ("two_sided", True): (0.124, 0.125, 0.0040),
    ("no_attention", True): (0.131, 0.133, 0.0120),
    ("attention", True): (0.249, 0.256, 0.0300),
}


def make_result(
    problem: Problem,
    training: dict[str, Any],
    recall_all: float,
    walks: list[dict[str, Any]],
) -> dict[str, Any]:
    """The content of `result.json`; its first walk is the one that is exported."""
    setting, test = problem.setting, problem.split.test
    with_aux = setting.loss.adversarial is not None
    first = walks[0]
    keys = ("recall_retrieval", "recall_delta", "coverage", "share")
    return {
        "paper": "nann",
        "title": f"NANN on {setting.dataset}, M = {setting.top_m}",
        "name": f"{NAMES[setting.model.architecture]}, "
        f"{'NCE + auxiliary loss' if with_aux else 'NCE only'}",
        "note": (
            f"{test.size:,} test examples ({setting.split}); seen items are "
            f"{'' if setting.filter_seen else 'not '}filtered; "
            f"{setting.training.epochs} epochs of "
            f"{setting.examples_per_epoch:,} examples; walk ef={first['ef']}, "
            f"T={first['steps']}, M={setting.index.m} links a node."
        ),
        "command": _command(problem),
        "setting": dataclasses.asdict(setting),
        "seed": problem.seed,
        "dataset": {"name": problem.dataset.name, "sha256": problem.dataset.sha256},
        "environment": environment(),
        "training": training,
        "walks": walks,
        "summary": {
            "popularity": problem.popularity_recall(test),
            "recall_all": recall_all,
            **{key: first[key] for key in keys},
            "minutes": training["seconds"] / 60,
            "paper": PAPER[setting.model.architecture, with_aux][1],
        },
    }


def _command(problem: Problem) -> str:
    setting = problem.setting
    flags = [
        f"--dataset={setting.dataset}",
        f"--architecture={setting.model.architecture}",
        f"--seed={problem.seed}",
    ]
    if setting.config != "user_behavior":
        flags.append(f"--config={setting.config}")
    if setting.examples_per_epoch == TESTING.examples_per_epoch:
        flags.append("--testing")
    if setting.loss.adversarial is None:
        flags.append("--noauxiliary_loss")
    if setting.training.mixed_precision:
        flags.append("--mixed_precision")
    if setting.filter_seen:
        flags.append("--filter_seen")
    return f"python -m experiments.nann.run {' '.join(flags)}"


def print_tables(result: dict[str, Any], console: Console) -> None:
    """Prints every walk, and the paper's row for the same model."""
    setting, summary = result["setting"], result["summary"]
    table = Table(
        "walk",
        "ef",
        "T",
        "share scored",
        "coverage",
        "recall",
        "recall-delta",
        title=f"{result['name']} on {setting['dataset']}, M = {setting['top_m']}: "
        f"recall-all {summary['recall_all']:.1%}, "
        f"popularity {summary['popularity']:.1%}",
    )
    for walk in result["walks"]:
        table.add_row(
            walk["walk"],
            "/".join(map(str, walk["ef"])),
            "/".join(map(str, walk["steps"])),
            f"{walk['share']:.3f}",
            f"{walk['coverage']:.3f}",
            f"{walk['recall_retrieval']:.1%}",
            f"{walk['recall_delta']:.2%}",
        )
    console.print(table)
    with_aux = setting["loss"]["adversarial"] is not None
    paper = PAPER[setting["model"]["architecture"], with_aux]
    console.print(
        "The paper's table 3 for this model, on its own UserBehavior split "
        f"(4.2 million items, M = 200): recall-all {paper[1]:.1%}, recall-retrieval "
        f"{paper[0]:.1%}, recall-delta {paper[2]:.2%}. Another data set: not "
        "comparable in size, only in kind."
    )


def print_retrieved(
    problem: Problem, history: list[int], retrieved: list[int], console: Console
) -> None:
    """Prints one user's history and results, with titles where the set has them."""
    titles: dict[int, str] = {}
    items = problem.dataset.items
    if items is not None and "title" in items:
        codes, names = items.codes("title")
        raw_ids = problem.dataset.raw_item_ids.tolist()
        titles = dict(zip(raw_ids, (names[code] for code in codes), strict=True))
    for label, ids in (("last behaviours", history), ("retrieved", retrieved)):
        shown = "; ".join(titles.get(item, str(item)) for item in ids)
        console.print(f"[bold]{label}:[/bold] {shown}", soft_wrap=True)
