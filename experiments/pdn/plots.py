"""PDN's figures as PNG files; matplotlib is an extra, imported when one is drawn."""

import collections
import contextlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np


@contextlib.contextmanager
def _figure(path: pathlib.Path, title: str, columns: int, size: Any) -> Iterator[Any]:
    """Gives axes, and saves the figure when the block ends, whole or not at all."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(
            'The figure needs matplotlib: pip install "tfrec[plots]"'
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, columns, figsize=size, constrained_layout=True)
    try:
        yield axes
        figure.suptitle(title)
        partial = path.with_name(f"partial-{path.name}")
        figure.savefig(partial, dpi=110)
        partial.replace(path)
    finally:
        pyplot.close(figure)


def title_of(result: dict[str, Any]) -> str:
    """A run's model, data set and seed."""
    return f"{result['name']} on {result['dataset']['name']}, seed {result['seed']}"


def curves(result: dict[str, Any], path: pathlib.Path) -> None:
    """Training loss and validation metrics by epoch; needs a trained network's run."""
    history, best = result["training"]["history"], result["training"]["best_epoch"]
    epochs = [entry["epoch"] + 1 for entry in history]
    with _figure(path, title_of(result), 2, (9, 3.6)) as (left, right):
        for name in history[0]["losses"]:
            values = [entry["losses"][name] for entry in history]
            left.plot(epochs, values, marker="o", label=name)
        for name, label in (("hr", "HR@10"), ("ndcg", "NDCG@10")):
            values = [entry["metrics"][name] for entry in history]
            right.plot(epochs, values, marker="o", label=label)
        right.axvline(best + 1, color="0.6", linestyle="--", label="best epoch")
        for axis, label in ((left, "training loss"), (right, "validation, sampled")):
            axis.set_xlabel("epoch")
            axis.set_xticks(epochs)
            axis.set_ylabel(label)
            axis.legend()


def validation(results: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
    """Validation metrics against the positives that training has seen, a line a model.

    Args:
        results: of networks on one data set; seeds of a model are averaged.
        path: of the PNG.
    """
    title = f"Validation users of {results[0]['dataset']['name']}, sampled"
    with _figure(path, title, 2, (10, 4)) as axes:
        for name, runs in _by_name(results).items():
            histories = [run["training"]["history"] for run in runs]
            size = runs[0]["setting"]["examples_per_epoch"]
            millions = [size * (entry["epoch"] + 1) / 1e6 for entry in histories[0]]
            for axis, metric in zip(axes, ("hr", "ndcg"), strict=True):
                values = [[e["metrics"][metric] for e in h] for h in histories]
                axis.plot(millions, np.mean(values, axis=0), marker=".", label=name)
        for axis, label in zip(axes, ("HR@10", "NDCG@10"), strict=True):
            axis.set_xlabel("positives seen, millions")
            axis.set_ylabel(label)
        axes[1].legend(fontsize="small")


def _by_name(results: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    models: dict[str, list[dict]] = collections.defaultdict(list)
    for result in results:
        models[result["name"]].append(result)
    return models


def agreement(result: dict[str, Any], path: pathlib.Path) -> None:
    """Recall of the exact top K by greedy retrieval, against k, k-hat and m.

    Each panel varies one number and keeps the others as in the run's setting; the first
    entry of `metrics.agreement` is the setting itself.
    """
    points = result["metrics"]["agreement"]
    base = points[0]
    labels = {"k": "k, items a trigger", "k_hat": "k-hat, candidates a trigger"}
    labels["m"] = "m, triggers a user"
    with _figure(path, title_of(result), 3, (11, 3.4)) as axes:
        for axis, name in zip(axes, labels, strict=True):
            chosen = varied(points, name)
            values = [point[name] for point in chosen]
            recall = [point["recall"] for point in chosen]
            axis.plot(values, recall, marker="o")
            axis.plot(
                base[name], base["recall"], marker="o", color="k", label="setting"
            )
            axis.axhline(1.0, color="0.6", linestyle="--", label="all items scored")
            axis.set_xlabel(labels[name])
            axis.set_ylabel(f"recall of the exact top {base['top_k']}")
            axis.set_ylim(0, 1.05)
            axis.set_xlim(left=0)
        axes[0].legend()


def varied(points: Sequence[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The first point and those that differ from it in one number, by that number.

    Where k-hat falls below k, k falls with it: k is at most k-hat.
    """

    def belongs(point: dict[str, Any]) -> bool:
        return all(
            point[other] == points[0][other]
            or (name == "k_hat" and other == "k" and point["k"] == point["k_hat"])
            for other in ("k", "k_hat", "m")
            if other != name
        )

    return sorted(filter(belongs, points), key=lambda point: point[name])


def diversity(results: Sequence[dict[str, Any]], path: pathlib.Path) -> None:
    """Figure 7: share of categories among the first 300, by length of the history.

    Args:
        results: of runs on one data set; seeds of a model are averaged.
        path: of the PNG.
    """
    models = {
        name: [run["metrics"]["by_length"]["diversity"] for run in runs]
        for name, runs in _by_name(results).items()
    }
    title = f"Diversity on {results[0]['dataset']['name']}"
    with _figure(path, title, 1, (5.5, 3.6)) as axis:
        for number, (name, runs) in enumerate(models.items()):
            groups = [g for g in runs[0] if runs[0][g]["users"]]
            means = [np.mean([run[group]["mean"] for run in runs]) for group in groups]
            width = 0.8 / len(models)
            places = np.arange(len(groups)) + (number - (len(models) - 1) / 2) * width
            axis.bar(places, means, width, label=name)
            axis.set_xticks(np.arange(len(groups)), groups)
        axis.set_xlabel("behaviours of the user")
        axis.set_ylabel("share of categories in the first 300")
        axis.legend()


def category_matrix(
    means: np.ndarray, names: Sequence[str], title: str, path: pathlib.Path
) -> None:
    """Figure 8a: mean s_ji of pairs of categories, `(C, C)`, trigger by row."""
    with _figure(path, title, 1, (6.4, 5.4)) as axis:
        image = axis.imshow(means, cmap="viridis")
        axis.set_xticks(range(len(names)), names, rotation=90)
        axis.set_yticks(range(len(names)), names)
        axis.set_xlabel("item")
        axis.set_ylabel("trigger")
        axis.figure.colorbar(image, label="mean of s_ji")


def weights_by_label(
    positive: np.ndarray, negative: np.ndarray, title: str, path: pathlib.Path
) -> None:
    """Figure 8b: t_uj of targets and, a mean a user, of negatives."""
    both = np.concatenate([positive, negative])
    bins = np.linspace(both.min(), both.max() + 1e-6, 41)
    with _figure(path, title, 1, (5.5, 3.6)) as axis:
        named = (("target", positive, "C0"), ("its 99 negatives", negative, "C1"))
        for name, values, color in named:
            label = f"{name}, mean {values.mean():.2f}"
            axis.hist(values, bins, alpha=0.5, color=color, label=label)
            axis.axvline(values.mean(), color=color, linestyle="--")
        axis.set_xlabel("trigger weight t_uj")
        axis.set_ylabel("test users")
        axis.legend()


def gender(
    found: dict[str, Any], names: Sequence[str], title: str, path: pathlib.Path
) -> None:
    """Figure 8c: difference of the genders' mean t_uj by category, with 95 % bars."""
    order = np.argsort(found["difference"])
    first, second = found["values"]
    with _figure(path, title, 1, (6, 4)) as axis:
        values = np.asarray(found["difference"])[order]
        errors = 1.96 * np.asarray(found["error"])[order]
        colors = ["C0" if value > 0 else "C3" for value in values]
        axis.barh(range(len(order)), values, xerr=errors, color=colors)
        axis.set_yticks(range(len(order)), [names[place] for place in order])
        axis.axvline(0.0, color="0.4")
        axis.set_xlabel(f"mean t_uj of {second} less that of {first}")
