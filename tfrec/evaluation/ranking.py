"""Ranks of targets among candidates, and what is made of them: HR and NDCG.

Two protocols, which give very different numbers: a target among a few sampled items
(He et al. 2017), and among all items that the user has not met. Ties are never a gift:
a metric is its expectation under a random order of equal scores, in closed form.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Ranks:
    """Where the targets of E users stand.

    Attributes:
        greater: int64 `(E,)`, candidates whose score is higher than the target's.
        ties: int64 `(E,)`, other candidates whose score equals it.
    """

    greater: np.ndarray
    ties: np.ndarray


def sampled_ranks(scores: np.ndarray) -> Ranks:
    """Ranks of first columns.

    Args:
        scores: float `(E, C)`, the target's score in column 0; -inf leaves a candidate
            out.
    Raises: ValueError: not rank 2, no column, or a NaN.
    Source: He et al. 2017 (NCF), section 4.1.
    """
    if scores.ndim != 2 or scores.shape[1] < 1:
        raise ValueError(f"`scores` must be `(E, C)`. Received: {scores.shape}")
    return _ranks(scores, scores[:, :1])


def full_ranks(scores: np.ndarray, targets: np.ndarray) -> Ranks:
    """Ranks among all items.

    Args:
        scores: float `(E, N)` by position; -inf leaves an item out.
        targets: int `(E,)`, item ids from 1: position + 1.
    Raises: ValueError: shapes that do not fit, an id outside `[1, N]`, or a NaN.
    """
    _check_targets(scores, targets)
    return _ranks(scores, scores[np.arange(len(targets)), targets - 1][:, None])


def without_seen(
    scores: np.ndarray, targets: np.ndarray, seen: Sequence[np.ndarray]
) -> np.ndarray:
    """Scores with -inf for what users have met, their targets kept.

    Args:
        scores: float `(E, N)` by position.
        targets: int `(E,)`, item ids from 1.
        seen: item ids of each user.
    Returns: a new array `(E, N)`.
    """
    _check_targets(scores, targets)
    found = scores.copy()
    rows = np.repeat(np.arange(len(seen)), [len(ids) for ids in seen])
    found[
        rows, np.concatenate([*seen, np.zeros([0], np.int64)]).astype(int) - 1
    ] = -np.inf
    index = np.arange(len(targets)), targets - 1
    found[index] = scores[index]
    return found


def top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """Item ids of the k best, int32 `(E, k)`, equal scores by id; 0 where -inf."""
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    best = np.take_along_axis(scores, order, axis=1)
    return np.where(best > -np.inf, order + 1, 0).astype(np.int32)


def concatenate(parts: Sequence[Ranks]) -> Ranks:
    """The ranks of several batches of users as one."""
    return Ranks(
        np.concatenate([part.greater for part in parts]),
        np.concatenate([part.ties for part in parts]),
    )


def hit_rate(ranks: Ranks, k: int) -> np.ndarray:
    """HR@k of each user, float64 `(E,)`: whether the target is among the first k."""
    return np.clip((k - ranks.greater) / (ranks.ties + 1), 0.0, 1.0)


def ndcg(ranks: Ranks, k: int) -> np.ndarray:
    """NDCG@k of each user's one relevant item, float64 `(E,)`: 1 / log2(1 + rank)."""
    gains = 1.0 / np.log2(np.arange(2, k + 2))
    sums = np.concatenate([[0.0], np.cumsum(gains)])
    first = np.minimum(ranks.greater, k)
    last = np.minimum(ranks.greater + ranks.ties + 1, k)
    return (sums[last] - sums[first]) / (ranks.ties + 1)


def _ranks(scores: np.ndarray, of_target: np.ndarray) -> Ranks:
    if np.isnan(scores).any():
        row = int(np.isnan(scores).any(axis=1).argmax())
        raise ValueError(f"`scores` must hold no NaN. Received: NaN in row {row}")
    greater = (scores > of_target).sum(axis=1)
    return Ranks(greater, (scores == of_target).sum(axis=1) - 1)


def _check_targets(scores: np.ndarray, targets: np.ndarray) -> None:
    if scores.ndim != 2 or targets.shape != scores.shape[:1]:
        raise ValueError(
            "`scores` must be `(E, N)`, `targets` `(E,)`. "
            f"Received: {scores.shape} and {targets.shape}"
        )
    if targets.size and not 1 <= targets.min() <= targets.max() <= scores.shape[1]:
        raise ValueError(
            f"`targets` must be in [1, {scores.shape[1]}]. Received: from "
            f"{targets.min()} to {targets.max()}"
        )
