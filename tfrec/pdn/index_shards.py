"""One shard of the index: candidate pairs scored in batches, the best k an item."""

import dataclasses
from collections.abc import Callable

import numpy as np

from tfrec.pdn.candidates import Candidates, places_in_rows

# (trigger ids int32 (P,), item ids int32 (P,)) -> s_ji float32 (P,), all NumPy.
ScorePairs = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclasses.dataclass(frozen=True)
class IndexConfig:
    """How large the index is, and how it is cut into work.

    Args:
        k: the longest list of an item (ours, the paper gives none).
        k_hat: the most candidates of an item; "an order of magnitude greater than k"
            (paper, section 5.2).
        items_per_shard: what is written at once, and done again after an interruption
            (ours).
        pairs_per_batch: the most pairs of one call of the network (ours).
    Raises: ValueError: a field is below 1, or k_hat below k.
    """

    k: int = 100
    k_hat: int = 1000
    items_per_shard: int = 1024
    pairs_per_batch: int = 1 << 16

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {value}")
        if self.k_hat < self.k:
            raise ValueError(
                f"`k_hat` must be at least k={self.k}. Received: {self.k_hat}"
            )

    def num_shards(self, num_items: int) -> int:
        """How many shards N items make."""
        return -(-num_items // self.items_per_shard)

    def shard_items(self, number: int, num_items: int) -> np.ndarray:
        """The ids of shard `number`, int32, ascending."""
        begin = number * self.items_per_shard
        end = min(begin + self.items_per_shard, num_items)
        return np.arange(begin + 1, end + 1, dtype=np.int32)


@dataclasses.dataclass(frozen=True)
class Shard:
    """Lists of a block of items.

    Attributes:
        neighbours: int32 `(n, k)`, ids; 0 is padding.
        similarities: float32 `(n, k)`, s_ji, descending; -inf is padding. At equal ones
            the smaller id comes first.
        num_pairs: how many pairs were scored.
    """

    neighbours: np.ndarray
    similarities: np.ndarray
    num_pairs: int


def build_shard(
    item_ids: np.ndarray,
    candidates: Candidates,
    score_pairs: ScorePairs,
    config: IndexConfig,
) -> Shard:
    """Finds, scores and cuts the lists of a block of items.

    The same block gives the same batches, wherever it is built.

    Args:
        item_ids: int `(n,)`, the triggers j.
        candidates: of the items.
        score_pairs: SimNet.
        config: k and the size of a batch.
    Raises: ValueError: `score_pairs` gives another shape or a number that is not
        finite.
    Source: Li et al. 2021, section 5.2.
    """
    found = candidates.candidate_items(item_ids)
    owners = np.repeat(np.arange(item_ids.size), np.diff(found.row_splits))
    triggers = np.asarray(item_ids, np.int32)[owners]
    scores = score_in_batches(
        score_pairs, triggers, found.values, config.pairs_per_batch
    )
    kept = _reach_the_kth(owners, scores, item_ids.size, config.k)
    owners, items, scores = best_of_rows(
        owners[kept], found.values[kept], scores[kept], item_ids.size, config.k
    )
    places = places_in_rows(owners, item_ids.size)
    neighbours = np.zeros([item_ids.size, config.k], np.int32)
    similarities = np.full([item_ids.size, config.k], -np.inf, np.float32)
    neighbours[owners, places] = items
    similarities[owners, places] = scores
    return Shard(neighbours, similarities, int(found.values.size))


def score_in_batches(
    score_pairs: ScorePairs, triggers: np.ndarray, items: np.ndarray, size: int
) -> np.ndarray:
    """Scores pairs, `size` at a time: float32 `(P,)`, finite.

    Raises: ValueError: what comes back is of another shape or not finite.
    """
    scores = np.empty(triggers.size, np.float32)
    for begin in range(0, triggers.size, size):
        batch = slice(begin, begin + size)
        found = np.asarray(score_pairs(triggers[batch], items[batch]), np.float32)
        if found.shape != triggers[batch].shape:
            raise ValueError(
                f"`score_pairs` must return {triggers[batch].shape}. "
                f"Received: {found.shape}"
            )
        scores[batch] = found
    broken = np.flatnonzero(~np.isfinite(scores))
    if broken.size:
        pair = broken[0]
        raise ValueError(
            f"`score_pairs` must return finite numbers. Received: {scores[pair]} of "
            f"trigger {triggers[pair]}, item {items[pair]}"
        )
    return scores


def best_of_rows(
    rows: np.ndarray, items: np.ndarray, scores: np.ndarray, num_rows: int, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The k entries of each row with the largest scores, the smaller id at equal ones.

    Returns: rows, items and scores that are kept, sorted by row, then best first.
    """
    order = np.lexsort([items, -scores, rows])
    order = order[places_in_rows(rows[order], num_rows) < k]
    return rows[order], items[order], scores[order]


def _reach_the_kth(
    rows: np.ndarray, scores: np.ndarray, num_rows: int, k: int
) -> np.ndarray:
    """Entries, sorted by row, that are not below the k-th of their row: bool `(E,)`.

    Selecting is linear, so that few entries are left to be sorted.
    """
    places = places_in_rows(rows, num_rows)
    width = int(places.max(initial=-1)) + 1
    if width <= k:
        return np.ones(rows.size, bool)
    padded = np.full([num_rows, width], -np.inf, np.float32)
    padded[rows, places] = scores
    kth = np.partition(padded, width - k, axis=1)[:, width - k]
    return scores >= kth[rows]
