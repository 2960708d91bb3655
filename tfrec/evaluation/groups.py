"""Means of groups of users, and how many categories their lists cover."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np


def by_edges(
    values: np.ndarray, sizes: np.ndarray, edges: Sequence[float], symbol: str = "n"
) -> dict[str, dict[str, Any]]:
    """Means by ranges of a number, such as the length of the history.

    Args:
        values: `(E,)`, a metric of each user.
        sizes: `(E,)`, what decides the group.
        edges: ascending upper ends, each part of its group; (15, 30) makes three.
        symbol: stands for the number in the names.
    Returns: `{"n<=15": {"mean": ..., "users": ...}, "15<n<=30": ..., "n>30": ...}`, all
        groups in order; the mean of an empty one is None.
    Raises: ValueError: shapes that do not fit, or edges that do not ascend.
    Source: Li et al. 2021 (PDN), table 4: edges 15, 30, 45.
    """
    values, sizes = np.asarray(values), np.asarray(sizes)
    if values.ndim != 1 or values.shape != sizes.shape:
        raise ValueError(
            "`values` and `sizes` must be rank 1 `(E,)`. "
            f"Received: shapes {values.shape} and {sizes.shape}"
        )
    if len(edges) < 1 or (np.diff(edges) <= 0).any():
        raise ValueError(f"`edges` must ascend. Received: {tuple(edges)}")
    group = np.searchsorted(edges, sizes, side="left")
    counts = np.bincount(group, minlength=len(edges) + 1)
    sums = np.bincount(group, weights=values, minlength=len(edges) + 1)
    return {
        name: {"mean": total / count if count else None, "users": int(count)}
        for name, count, total in zip(
            _names(edges, symbol), counts, sums.tolist(), strict=True
        )
    }


def category_coverage(positions: np.ndarray, categories: np.ndarray) -> np.ndarray:
    """Share of all categories that are in a list: the diversity of figure 7.

    Args:
        positions: int `(E, K)` of items; -1 is padding.
        categories: int `(N + 1,)` by item id; row 0 is padding, category 0 is none.
    Returns: float64 `(E,)`.
    Raises: ValueError: shapes that do not fit, or items without any category.
    Source: Li et al. 2021 (PDN), section 6.2: "the proportion of category coverage".
    """
    positions, categories = np.asarray(positions), np.asarray(categories)
    if positions.ndim != 2 or categories.ndim != 1:
        raise ValueError(
            "`positions` must be rank 2 `(E, K)`, `categories` rank 1 `(N + 1,)`. "
            f"Received: shapes {positions.shape} and {categories.shape}"
        )
    total = np.setdiff1d(categories[1:], [0]).size
    if total == 0:
        raise ValueError("`categories` must have at least one. Received: none above 0")
    listed = np.where(positions >= 0, categories[positions + 1], 0)
    listed.sort(axis=1)
    is_new = np.diff(listed, axis=1, prepend=0) != 0
    return is_new.sum(axis=1) / total


def _names(edges: Sequence[float], symbol: str) -> list[str]:
    pairs = itertools.pairwise(edges)
    inner = [f"{low}<{symbol}<={high}" for low, high in pairs]
    return [f"{symbol}<={edges[0]}", *inner, f"{symbol}>{edges[-1]}"]
