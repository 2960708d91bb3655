"""Figure 9 as text: an item's neighbours by SimNet beside those by item-based CF."""

from typing import Any

import numpy as np

from experiments.pdn.analysis import similarities
from experiments.pdn.problem import Problem
from tfrec.pdn.model import Pdn

_PAIRS_AT_ONCE = 1 << 17
_COSINE = 1  # the column of `Cooccurrence.statistics`


def popularity(problem: Problem) -> np.ndarray:
    """How many training rows each item has, int64 `(N + 1,)`."""
    return np.bincount(
        problem.split.train.items, minlength=problem.dataset.num_items + 1
    )


def some_items(problem: Problem, count: int) -> np.ndarray:
    """Item ids from popular to rare: spread evenly over the more popular half."""
    order = np.argsort(-popularity(problem)[1:], kind="stable") + 1
    return order[np.linspace(0, order.size // 2, count).astype(int)]


def nearest(
    model: Pdn, problem: Problem, triggers: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The k items most similar to each trigger, best first; equal ones by id.

    Args:
        model: of scalar paths.
        problem: gives the items.
        triggers: int `(T,)`, item ids.
        k: at most N - 1.
    Returns: item ids int `(T, k)` by s_ji of SimNet, and by the cosine of the users who
        have both; a trigger is not its own neighbour.
    """
    items = np.arange(1, problem.dataset.num_items + 1, dtype=np.int32)
    block = max(1, _PAIRS_AT_ONCE // items.size)
    by_model, by_cosine = [], []
    for begin in range(0, triggers.size, block):
        part = triggers[begin : begin + block, None].astype(np.int32)
        scores = similarities(model, problem, part, items[None])
        cosines = model.cooccurrence.statistics(part, items[None])[..., _COSINE].numpy()
        by_model.append(_best(scores, part, k))
        by_cosine.append(_best(cosines, part, k))
    return np.concatenate(by_model), np.concatenate(by_cosine)


def _best(scores: np.ndarray, triggers: np.ndarray, k: int) -> np.ndarray:
    scores = np.where(np.arange(1, scores.shape[1] + 1) == triggers, -np.inf, scores)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k] + 1


def matthew_effect(
    model: Pdn, problem: Problem, num_triggers: int = 200, k: int = 10, seed: int = 0
) -> dict[str, Any]:
    """How popular neighbours are: section 6.3.2 says that CF prefers popular items.

    Returns: means over drawn triggers and their k neighbours: the training rows of a
        neighbour by SimNet, `simnet`, and by cosine, `cosine`; the same of the triggers
        themselves, `triggers`; `shared`, of the k how many both have.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(problem.dataset.num_items)[:num_triggers] + 1
    by_model, by_cosine = nearest(model, problem, drawn, k)
    rows = popularity(problem)
    shared = (by_model[:, :, None] == by_cosine[:, None, :]).any(axis=2).sum(axis=1)
    return {
        "simnet": float(rows[by_model].mean()),
        "cosine": float(rows[by_cosine].mean()),
        "triggers": float(rows[drawn].mean()),
        "shared": float(shared.mean()),
        "num_triggers": int(drawn.size),
        "k": k,
    }


def table(
    model: Pdn, problem: Problem, names: dict[int, str], count: int = 6, k: int = 8
) -> str:
    """Markdown: a table an item, its neighbours side by side with category and rows.

    Args:
        model: of scalar paths.
        problem: gives items and titles.
        names: of categories.
        count: how many items.
        k: neighbours of each.
    """
    triggers = some_items(problem, count)
    rows, raw, titles = popularity(problem), problem.raw_item_ids, problem.titles
    category = problem.fields.item["category"]

    def describe(item: int) -> str:
        raw_id = int(raw[item - 1])
        name = names.get(int(category[item]), "none")
        title = str(titles.get(raw_id, f"item {raw_id}")).replace("|", "\\|")
        return f"{title} ({name}, {rows[item]:,})"

    lines = ["In brackets: category, training rows."]
    for trigger, by_model, by_cosine in zip(
        triggers, *nearest(model, problem, triggers, k), strict=True
    ):
        lines += ["", f"**{describe(trigger)}**", "", "| | SimNet | item CF, cosine |"]
        lines += ["|---|---|---|"]
        lines += [
            f"| {place} | {describe(left)} | {describe(right)} |"
            for place, (left, right) in enumerate(
                zip(by_model, by_cosine, strict=True), 1
            )
        ]
    return "\n".join(lines) + "\n"
