"""Figure 3 redrawn: quality of retrieval against the share of items scored."""

import pathlib
from typing import Any


def coverage_curve(result: dict[str, Any], path: pathlib.Path) -> None:
    """Draws coverage and recall of every walk of a run.

    Args:
        result: content of `result.json`.
        path: of the PNG.
    """
    # An extra: only this stage needs it.
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError(
            'The figure needs matplotlib: pip install "tfrec[plots]"'
        ) from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(9, 3.6), constrained_layout=True)
    summary, top_m = result["summary"], result["setting"]["top_m"]
    for kind, marker in (("beam", "o"), ("rounds", "s")):
        walks = [w for w in result["walks"] if w["walk"] == kind]
        walks.sort(key=lambda w: w["share"])
        share = [w["share"] for w in walks]
        for axis, key in zip(axes, ("coverage", "recall_retrieval"), strict=True):
            axis.plot(share, [w[key] for w in walks], marker=marker, label=kind)
    axes[0].axhline(1.0, color="0.6", linestyle="--", label="brute force")
    axes[1].axhline(
        summary["recall_all"], color="0.6", linestyle="--", label="brute force"
    )
    axes[1].axhline(summary["popularity"], color="0.8", label="popularity")
    for axis, name in zip(axes, ("coverage", "recall"), strict=True):
        axis.set_xlabel("share of items scored")
        axis.set_ylabel(f"{name}@{top_m}")
        axis.set_xlim(left=0)
        axis.legend()
    figure.suptitle(f"{result['name']} on {result['setting']['dataset']}")
    partial = path.with_name(f"partial-{path.name}")
    figure.savefig(partial, dpi=110)
    partial.replace(path)
    pyplot.close(figure)
