"""Ranks of held-out items, among sampled candidates or among all items.

A rank under equal scores is an expectation over all orders of the equal ones: it is
deterministic, and a model whose scores are constant does no better than chance. Scores
by position `(B, N)` have item id i in column i - 1.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Ranks:
    """Where the targets of E users stand among their candidates.

    Attributes:
        greater: int64 `(E,)`, candidates that score more than the target.
        ties: int64 `(E,)`, other candidates that score as much.
    """

    greater: np.ndarray
    ties: np.ndarray


def sampled_ranks(scores: np.ndarray, candidates: np.ndarray | None = None) -> Ranks:
    """Ranks among sampled candidates, such as 99 negatives.

    Args:
        scores: `(E, C)`, the target's in column 0.
        candidates: int `(E, C)`, their item ids. Given, other columns that hold the
            target are left out: 156 users of ml-1m have it among their official
            negatives, and it would tie with itself. (NCF's code, too, counts it once.)
    Raises: ValueError: not rank 2, no column, shapes that do not fit, or NaN.
    Source: He et al. 2017 (NCF), section 4.1.
    """
    scores = np.asarray(scores)
    if scores.ndim != 2 or scores.shape[1] < 1:
        raise ValueError(
            "`scores` must be rank 2 `(E, C)` with the target in column 0. "
            f"Received: scores.shape={scores.shape}"
        )
    _check_numbers(scores)
    of_target = scores[:, 0]
    if candidates is not None:
        if np.shape(candidates) != scores.shape:
            raise ValueError(
                "`candidates` must have the shape of `scores`. "
                f"Received: {np.shape(candidates)} and {scores.shape}"
            )
        is_copy = candidates == candidates[:, :1]
        is_copy[:, 0] = False
        scores = np.where(is_copy, -np.inf, scores)
    return _ranks(scores, of_target)


def full_ranks(scores: np.ndarray, targets: np.ndarray) -> Ranks:
    """Ranks among all items that are not at -inf, as `without_seen` leaves them.

    Args:
        scores: `(B, N)` by position.
        targets: int `(B,)` item ids.
    Raises: ValueError: shapes that do not fit, NaN, or a target that is at -inf.
    """
    scores, targets = np.asarray(scores), np.asarray(targets)
    _check_by_position(scores, targets)
    _check_numbers(scores)
    of_target = np.take_along_axis(scores, targets[:, None] - 1, axis=1)[:, 0]
    if (of_target == -np.inf).any():
        row = int(np.argmin(of_target))
        raise ValueError(
            "The target must not be left out. "
            f"Received: a score of -inf in row {row}, item {targets[row]}"
        )
    return _ranks(scores, of_target)


def without_seen(
    scores: np.ndarray, targets: np.ndarray, seen: Sequence[np.ndarray]
) -> np.ndarray:
    """A copy of scores with -inf for items that a user has met, never for its target.

    Args:
        scores: `(B, N)` by position.
        targets: int `(B,)` item ids.
        seen: B arrays of item ids, of any length; 0 is padding.
    Raises: ValueError: shapes that do not fit, or ids outside of `[0, N]`.
    """
    scores, targets = np.array(scores), np.asarray(targets)
    _check_by_position(scores, targets)
    if len(seen) != len(scores):
        raise ValueError(
            "`seen` must have an array for each row of `scores`. "
            f"Received: {len(seen)} for {len(scores)} rows"
        )
    rows = np.repeat(np.arange(len(seen)), [len(ids) for ids in seen])
    ids = np.concatenate([np.zeros(0, np.int64), *seen]).astype(np.int64)
    _check_ids("seen", ids, 0, scores.shape[1])
    keep = (ids > 0) & (ids != targets[rows])
    scores[rows[keep], ids[keep] - 1] = -np.inf
    return scores


def top_k(scores: np.ndarray, k: int) -> np.ndarray:
    """The best items, best first; equal scores are ordered by position.

    Args:
        scores: `(B, N)` by position; -inf leaves an item out.
        k: at most N.
    Returns: int32 `(B, K)` positions, -1 where fewer items are left.
    Raises: ValueError: `k` is outside of `[1, N]`, or NaN.
    """
    scores = np.asarray(scores)
    num_items = scores.shape[1]
    if not 1 <= k <= num_items:
        raise ValueError(f"`k` must be in [1, {num_items}]. Received: {k}")
    _check_numbers(scores)
    smallest = np.partition(scores, num_items - k, axis=1)[:, [num_items - k]]
    is_better, is_equal = scores > smallest, scores == smallest
    room = k - is_better.sum(axis=1, keepdims=True)
    keep = is_better | (is_equal & (np.cumsum(is_equal, axis=1) <= room))
    positions = np.nonzero(keep)[1].reshape(-1, k)
    found = np.take_along_axis(scores, positions, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    is_left = np.take_along_axis(found, order, axis=1) > -np.inf
    positions = np.take_along_axis(positions, order, axis=1)
    return np.where(is_left, positions, -1).astype(np.int32)


def concatenate(parts: Sequence[Ranks]) -> Ranks:
    """The ranks of batches as one."""
    return Ranks(
        np.concatenate([part.greater for part in parts]),
        np.concatenate([part.ties for part in parts]),
    )


def hit_rate(ranks: Ranks, k: int) -> np.ndarray:
    """HR@k of each user with one target: the chance that it is among the first k.

    Returns: float64 `(E,)`.
    """
    _check_k(k)
    places = ranks.ties + 1
    return np.clip(k - ranks.greater, 0, places) / places


def ndcg(ranks: Ranks, k: int) -> np.ndarray:
    """NDCG@k of each user with one target: the expected 1 / log2(1 + rank), rank <= k.

    Returns: float64 `(E,)`.
    """
    _check_k(k)
    gains = 1.0 / np.log2(np.arange(2, k + 2))
    summed = np.concatenate([[0.0], np.cumsum(gains)])
    first = np.minimum(ranks.greater, k)
    last = np.minimum(ranks.greater + ranks.ties + 1, k)
    return (summed[last] - summed[first]) / (ranks.ties + 1)


def _ranks(scores: np.ndarray, of_target: np.ndarray) -> Ranks:
    greater = (scores > of_target[:, None]).sum(axis=1, dtype=np.int64)
    equal = (scores == of_target[:, None]).sum(axis=1, dtype=np.int64)
    return Ranks(greater, equal - 1)


def _check_numbers(scores: np.ndarray) -> None:
    is_nan = np.isnan(scores).any(axis=1)
    if is_nan.any():
        raise ValueError(
            f"`scores` must be numbers. Received: NaN in row {int(np.argmax(is_nan))}"
        )


def _check_by_position(scores: np.ndarray, targets: np.ndarray) -> None:
    if scores.ndim != 2 or targets.shape != scores.shape[:1]:
        raise ValueError(
            "`scores` must be rank 2 `(B, N)` with a target for each row. Received: "
            f"scores.shape={scores.shape}, targets.shape={targets.shape}"
        )
    _check_ids("targets", targets, 1, scores.shape[1])


def _check_ids(name: str, ids: np.ndarray, low: int, high: int) -> None:
    is_outside = (ids < low) | (ids > high)
    if is_outside.any():
        raise ValueError(
            f"`{name}` must be item ids in [{low}, {high}]. "
            f"Received: {ids[is_outside][0]}"
        )


def _check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"`k` must be at least 1. Received: {k}")
