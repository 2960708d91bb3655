"""The tables of PDN's results: each a function from runs to lines of Markdown."""

import collections
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Record = Mapping[str, Any]

BASE = "bst"  # table 4's percentages are over it


def mean_and_deviation(values: Sequence[float], form: str = "{:.4f}") -> str:
    """A cell: the mean, with the standard deviation over seeds that differ."""
    text = form.format(statistics.fmean(values))
    if len(set(values)) > 1:
        text += f" ± {form.format(statistics.stdev(values))}"
    return text


def _metric(*keys: str, form: str = "{:.4f}") -> Callable[[Sequence[Record]], str]:
    """Makes the cell of a metric of several runs; empty where a model has none."""

    def cell(runs: Sequence[Record]) -> str:
        found = []
        for run in runs:
            value: Any = run["metrics"]
            for key in keys:
                value = value.get(key) if value is not None else None
            found.append(value)
        if any(value is None for value in found):
            return ""
        return mean_and_deviation(found, form)

    return cell


def _papers(first: int) -> Callable[[Sequence[Record]], str]:
    """Makes the cell of two of the paper's numbers."""

    def cell(runs: Sequence[Record]) -> str:
        numbers = runs[0]["paper_numbers"] or [None] * 4
        both = numbers[first : first + 2]
        return "" if None in both else " / ".join(f"{number:.4f}" for number in both)

    return cell


def _full_users(runs: Sequence[Record]) -> str:
    ranked = [run["metrics"]["full"] for run in runs if "full" in run["metrics"]]
    users = sorted({full["users"] for full in ranked})
    return " or ".join(f"{number:,}" for number in users)


def _minutes(runs: Sequence[Record]) -> str:
    return mean_and_deviation([r["training"]["seconds"] / 60 for r in runs], "{:.1f}")


def _p_values(test: Record, protocol: str) -> Callable[[Sequence[Record]], str]:
    """Makes the cell of the p-values of HR@10 and NDCG@10."""

    def cell(runs: Sequence[Record]) -> str:
        tests = test["models"].get(runs[0]["model"], {"tests": {}})["tests"]
        both = [tests.get(f"{protocol}_{metric}") for metric in ("hr", "ndcg")]
        if None in both:
            return ""
        values = [one["p_value"] for one in both]
        return " / ".join("<1e-4" if p < 1e-4 else f"{p:.2g}" for p in values)

    return cell


def table_2(
    is_papers: bool, models: Mapping[str, list[Record]], tests: Iterable[Record]
) -> list[str]:
    """HR and NDCG of both protocols, a row a model.

    Args:
        is_papers: whether the data set is the paper's, so that its numbers belong here.
        models: the runs of each, in the order of the rows.
        tests: the records of `experiments.pdn.compare`.
    """
    columns: dict[str, Callable[[Sequence[Record]], str]] = {
        "seeds": lambda runs: str(len(runs)),
        "sampled HR@10": _metric("sampled", "hr"),
        "sampled NDCG@10": _metric("sampled", "ndcg"),
        "the paper's HR / NDCG": _papers(0),
        "sampled HR@10, earlier rows alone": _metric("earlier", "hr"),
        "item-to-item HR@10": _metric("item_to_item", "hr"),
        "item-to-item NDCG@10": _metric("item_to_item", "ndcg"),
        "the paper's item-to-item": _papers(2),
        "full, users": _full_users,
        "full HR@10": _metric("full", "hr"),
        "full NDCG@10": _metric("full", "ndcg"),
        "full HR@300": _metric("full", "hr300"),
        "categories": _metric("full", "diversity", form="{:.3f}"),
        "training minutes": _minutes,
    }
    for test in tests:
        if test["first"] == "pdn":
            columns["p, sampled"] = _p_values(test, "sampled")
            columns["p, item-to-item"] = _p_values(test, "item_to_item")
        else:
            name = f"p, sampled, {test['first_name']}"
            columns[name] = _p_values(test, "sampled")
    if not is_papers:
        del columns["the paper's HR / NDCG"], columns["the paper's item-to-item"]
        del columns["sampled HR@10, earlier rows alone"]
    found = head(["model", *columns])
    for runs in models.values():
        cells = [cell(runs) for cell in columns.values()]
        found.append(row([runs[0]["name"], *cells]))
    return found


def by_length(models: Mapping[str, list[Record]]) -> list[str]:
    """Table 4 and figure 7: HR@300 and diversity by length of the history."""
    titles = {
        "hr300": "HR@300 by the number n of behaviours (table 4, there Taobao's log):",
        "diversity": "Categories among the 300 by n (figure 7):",
    }
    found = []
    for metric, title in titles.items():
        groups = _groups(models, metric)
        heads = [f"{name}, {users:,} users" for name, users in groups.items()]
        found += ["", title, "", *head(["model", *heads])]
        base = _group_means(models[BASE], metric) if BASE in models else {}
        for model, runs in models.items():
            means = _group_means(runs, metric)
            compared = base if metric == "hr300" and model != BASE else {}
            cells = [
                _group_cell(means.get(name), compared.get(name), users)
                for name, users in groups.items()
            ]
            found.append(row([runs[0]["name"], *cells]))
        if metric == "hr300" and base:
            found += ["", "In brackets: relative to BST, as in the paper."]
            found += ["*of n*: n users of the group were ranked."]
    return found


def _groups(models: Mapping[str, list[Record]], metric: str) -> dict[str, int]:
    """Groups that have users, and how many where most are ranked."""
    sizes: dict[str, int] = {}
    for run in (run for runs in models.values() for run in runs):
        for name, group in run["metrics"].get("by_length", {}).get(metric, {}).items():
            sizes[name] = max(sizes.get(name, 0), group["users"])
    return {name: users for name, users in sizes.items() if users}


def _group_cell(
    group: tuple[float, int] | None, base: tuple[float, int] | None, users: int
) -> str:
    """A group's mean, and by how much it is above another's of the same users.

    Where fewer than the column's users were ranked, how many; without users nothing.
    """
    if group is None:
        return ""
    mean, ranked = group
    if ranked != users:
        return f"{mean:.3f} of {ranked:,}"
    if base is None or base[1] != ranked:
        return f"{mean:.3f}"
    return f"{mean:.3f} ({mean / base[0] - 1:+.1%})"


def _group_means(runs: Sequence[Record], metric: str) -> dict[str, tuple[float, int]]:
    """Mean over seeds and number of users of each group that has any."""
    groups = runs[0]["metrics"].get("by_length", {}).get(metric, {})
    return {
        name: (
            statistics.fmean(
                run["metrics"]["by_length"][metric][name]["mean"] for run in runs
            ),
            group["users"],
        )
        for name, group in groups.items()
        if group["users"]
    }


def agreement(models: Mapping[str, list[Record]]) -> list[str]:
    """Greedy retrieval against scoring every item, by k, k-hat and m."""
    runs = [r for several in models.values() for r in several]
    runs = [run for run in runs if "agreement" in run["metrics"]]
    if not runs:
        return []
    points: dict[tuple, list[Record]] = collections.defaultdict(list)
    for run in runs:
        for point in run["metrics"]["agreement"]:
            points[point["k"], point["k_hat"], point["m"]].append(point)
    top_k, users = (runs[0]["metrics"]["agreement"][0][n] for n in ("top_k", "users"))
    found = [
        "",
        f"Greedy retrieval (section 5.1) against scoring every item: recall of the "
        f"exact top {top_k}, and HR@{top_k} of both; {users:,} users; seeds: "
        f"{len(runs)}. First the setting, then one number varied.",
        "",
        *head(["k", "k-hat", "m", "recall", "HR, greedy", "HR, exact"]),
    ]
    for names, several in points.items():
        cells = [
            mean_and_deviation([point[key] for point in several], "{:.3f}")
            for key in ("recall", "hr", "hr_exact")
        ]
        found.append(row([*(f"{name:,}" for name in names), *cells]))
    return found


def head(names: Sequence[str]) -> list[str]:
    """The first two lines of a table."""
    return [row(names), f"|{'---|' * len(names)}"]


def row(cells: Sequence[str]) -> str:
    """A line of a table."""
    return f"| {' | '.join(cells)} |"
