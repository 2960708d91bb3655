"""Lists that a retrieval returns, against targets and against scoring every item."""

import os
import pathlib

import numpy as np

from tfrec.data.split_parts import Examples
from tfrec.evaluation.brute_force import TopK
from tfrec.evaluation.metrics import coverage, recall, recall_delta


def mean_recall(positions: np.ndarray, examples: Examples) -> float:
    """Mean recall@M of the examples' lists.

    Args:
        positions: int `(E, M)` of items; -1 is padding.
        examples: E, with one target or more each.
    """
    shares = recall(positions + 1, examples.targets, examples.target_splits)
    return float(shares.mean())


def against_exact(
    positions: np.ndarray, exact: np.ndarray, examples: Examples
) -> dict[str, float]:
    """What retrieval loses to the exact lists of the same model.

    Args:
        positions: int `(E, M)` retrieved; -1 is padding.
        exact: int `(E, M)` by brute force; -1 is padding.
        examples: E, with one target or more each.
    Returns: `recall_retrieval`, `recall_delta` and `coverage`.
    Source: Chen et al. 2022 (NANN), section 5.1.2.
    """
    retrieved = mean_recall(positions, examples)
    return {
        "recall_retrieval": retrieved,
        "recall_delta": recall_delta(mean_recall(exact, examples), retrieved),
        "coverage": float(coverage(positions, exact).mean()),
    }


def popularity_recall(counts: np.ndarray, examples: Examples, top_m: int) -> float:
    """Mean recall@M of the M most frequent items for everybody.

    Args:
        counts: int `(N + 1,)` by item id; row 0 is padding. Equal ones go by id.
        examples: E, with one target or more each.
        top_m: M.
    """
    top = np.argsort(-counts, kind="stable")[:top_m]
    lists = np.broadcast_to(top, [examples.size, top.size])
    return float(recall(lists, examples.targets, examples.target_splits).mean())


def save_top_k(path: str | os.PathLike, found: TopK) -> None:
    """Writes lists as npz, whole or not at all."""
    path = pathlib.Path(path)
    partial = path.with_name(f"partial-{path.name}")
    np.savez(partial, positions=found.positions, scores=found.scores)
    partial.replace(path)


def load_top_k(path: str | os.PathLike) -> TopK:
    """Reads what `save_top_k` wrote."""
    with np.load(path) as arrays:
        return TopK(arrays["positions"], arrays["scores"])
