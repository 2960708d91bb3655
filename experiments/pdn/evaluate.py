"""The evaluation stage: both protocols, item-to-item, groups and diversity."""

from typing import Any

import numpy as np
from rich.progress import track

from experiments.pdn.problem import EVALUATION_BATCH, Problem
from experiments.pdn.rankers import Ranker
from tfrec.data.splits import Examples
from tfrec.evaluation import groups, ranking

# Table 4: up to 15 behaviours, 16 to 30, 31 to 45, more.
LENGTH_EDGES = (15, 30, 45)
LIST_SIZE = 300


def evaluate(ranker: Ranker, problem: Problem) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ranks the test users' targets.

    Returns: the metrics of `result.json`, and for paired tests arrays by user, among
        them the candidates that its target was ranked among.
    """
    test, candidates = problem.split.test, problem.test_candidates
    scores, related = _sampled_scores(ranker, problem, test)
    arrays = _per_user("sampled", ranking.sampled_ranks(scores, candidates))
    metrics = {"sampled": _means(arrays, "sampled", test.size)}
    some = _full_examples(problem)
    full = _full(ranker, problem, some)
    metrics |= _full_metrics(full, some)
    arrays |= {**full, "full_user": some.user}
    if related is not None:
        ranks = ranking.sampled_ranks(related, candidates)
        arrays |= _per_user("item_to_item", ranks)
        metrics["item_to_item"] = _means(arrays, "item_to_item", len(related))
    earlier = _earlier_histories(problem)
    if earlier is not None:
        scores, _ = _sampled_scores(ranker, problem, earlier)
        ranks = ranking.sampled_ranks(scores, candidates)
        alone = _per_user("earlier", ranks)
        metrics["earlier"] = _means(alone, "earlier", test.size)
    return metrics, {**arrays, "user": test.user, "candidates": candidates}


def _sampled_scores(
    ranker: Ranker, problem: Problem, examples: Examples
) -> tuple[np.ndarray, np.ndarray | None]:
    """Scores of the candidates `(E, 100)`: by the model, and item-to-item."""
    candidates = problem.test_candidates
    scores, related = [], []
    for rows, features in _batches(problem, examples, "sampled protocol"):
        part = candidates[rows]
        scores.append(ranker.sampled(examples, rows, features, part))
        found = ranker.item_to_item(examples, rows, features)
        if found is not None:
            related.append(np.take_along_axis(found, part - 1, axis=1))
    return np.concatenate(scores), np.concatenate(related) if related else None


def _earlier_histories(problem: Problem) -> Examples | None:
    """The test users without rows after their test row, where a set has such rows.

    The official test row of ml-1m is not the last by `order` for 28 % of its users.
    """
    rows = problem.dataset.interactions
    if problem.setting.split != "ncf_leave_one_out":
        return None
    test_row = np.zeros(problem.dataset.num_users + 1, np.int64)
    found = np.flatnonzero(rows["ncf_test"])
    test_row[rows["user"][found]] = found
    test = problem.split.test
    of_row = np.repeat(test_row[test.user], np.diff(test.history_splits))
    return test.with_history(test.history_rows < of_row)


def _full_examples(problem: Problem) -> Examples:
    """The test users of the full ranking: all, or a seeded draw."""
    test, limit = problem.split.test, problem.setting.num_full_users
    if limit is None or limit >= test.size:
        return test
    drawn = np.random.default_rng(0).permutation(test.size)[:limit]
    return test.take(np.sort(drawn))


def _full(ranker: Ranker, problem: Problem, examples: Examples) -> dict[str, Any]:
    """Per-user metrics of the ranking of all items that a user has no row of."""
    ranks, lists = [], []
    for rows, features in _batches(problem, examples, "full ranking"):
        seen = [problem.rows_of(user) for user in examples.user[rows]]
        scores = ranker.full(examples, rows, features)
        targets = examples.targets[rows]
        scores = ranking.without_seen(scores, targets, seen)
        ranks.append(ranking.full_ranks(scores, targets))
        lists.append(ranking.top_k(scores, min(LIST_SIZE, scores.shape[1])))
    joined = ranking.concatenate(ranks)
    found = _per_user("full", joined)
    found["hr300"] = ranking.hit_rate(joined, LIST_SIZE)
    category = problem.fields.item["category"]
    found["diversity"] = groups.category_coverage(np.concatenate(lists), category)
    return found


def _full_metrics(full: dict[str, Any], examples: Examples) -> dict[str, Any]:
    """Means over users, and by the length of the history (table 4, figure 7)."""
    means = _means(full, "full", examples.size)
    names = ("hr300", "diversity")
    means |= {name: float(full[name].mean()) for name in names}
    lengths = np.diff(examples.history_splits)
    by_length = {
        name: groups.by_edges(full[name], lengths, LENGTH_EDGES) for name in names
    }
    return {"full": means, "by_length": by_length}


def _batches(problem: Problem, examples: Examples, what: str) -> Any:
    batches = problem.example_batches(examples)
    total = -(-examples.size // EVALUATION_BATCH)
    return track(batches, total=total, description=f"Evaluating: {what}")


def _per_user(name: str, ranks: Any) -> dict[str, np.ndarray]:
    return {
        f"{name}_hr": ranking.hit_rate(ranks, 10),
        f"{name}_ndcg": ranking.ndcg(ranks, 10),
    }


def _means(arrays: dict[str, np.ndarray], name: str, size: int) -> dict[str, float]:
    return {
        "hr": float(arrays[f"{name}_hr"].mean()),
        "ndcg": float(arrays[f"{name}_ndcg"].mean()),
        "users": size,
    }
