"""Metrics of retrieved lists against targets and against other lists.

Lists `(E, M)` are item ids, padded with 0, or positions, padded with -1.
"""

import numpy as np


def recall(
    retrieved: np.ndarray, targets: np.ndarray, target_splits: np.ndarray
) -> np.ndarray:
    """Share of an example's targets that its list has.

    Args:
        retrieved: int `(E, M)`, no id twice in a row.
        targets: int `(T,)`, ids of all examples in order, no id twice in an example.
        target_splits: int `(E + 1,)`: example e has `targets[splits[e]:splits[e + 1]]`.
    Returns: float64 `(E,)`.
    Raises: ValueError: shapes that do not fit, or an example without a target.
    Source: Chen et al. 2022 (NANN), section 5.1.2.
    """
    counts = np.diff(target_splits)
    if counts.size != retrieved.shape[0] or (counts < 1).any():
        raise ValueError(
            "`target_splits` must give each of the examples at least one target. "
            f"Received: {counts.size} examples for {retrieved.shape[0]} lists, "
            f"fewest targets {counts.min(initial=0)}"
        )
    example = np.repeat(np.arange(counts.size), counts)
    hits = (retrieved[example] == np.asarray(targets)[:, None]).any(axis=1)
    return np.bincount(example, weights=hits, minlength=counts.size) / counts


def coverage(retrieved: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Share of the exact list that the retrieved list has, whatever the order.

    Args:
        retrieved: int `(E, M)`, no id twice in a row; -1 is padding.
        exact: int `(E, M)`, the brute-force list of the same model; -1 is padding.
    Returns: float64 `(E,)`.
    Raises: ValueError: a row of `exact` is all padding.
    Source: Chen et al. 2022 (NANN), section 5.1.2.
    """
    is_real = exact >= 0
    sizes = is_real.sum(axis=1)
    if (sizes < 1).any():
        raise ValueError(
            "`exact` must have at least one id in each row. "
            f"Received: none in row {int(np.argmin(sizes))}"
        )
    splits = np.concatenate([[0], np.cumsum(sizes)])
    return recall(retrieved, exact[is_real], splits)


def recall_delta(recall_all: float, recall_retrieval: float) -> float:
    """Retrieval's loss of recall, relative to brute force; 0 where that is 0.

    Source: Chen et al. 2022 (NANN), section 5.1.2.
    """
    if recall_all == 0:
        return 0.0
    return (recall_all - recall_retrieval) / recall_all
