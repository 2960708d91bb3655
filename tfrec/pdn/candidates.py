"""Candidate pairs of the index: k-hat items that an item may be similar to.

First those that were met together with it, the most often first; then, while there is
room, those that share a value of its profile, the most popular first.
"""

from typing import Any

import numpy as np

from tfrec.pdn.index_inputs import IndexInputs, Ragged

_ENTRIES_AT_ONCE = 1 << 20


class Candidates:
    """Candidate items of any item; equal inputs give equal candidates.

    Memory: k-hat + 1 items a value of a profile field, besides the inputs.

    Args:
        inputs: what is known of the items.
        k_hat: the most candidates of an item.
    Source: Li et al. 2021, section 5.2.
    """

    def __init__(self, inputs: IndexInputs, k_hat: int):
        self._inputs = inputs
        self._k_hat = k_hat
        popularity = np.asarray(inputs.popularity_of_items(), np.float64)[1:]
        order = np.lexsort([np.arange(popularity.size), -popularity]) + 1
        self._ranks = np.zeros(inputs.num_items + 1, np.int64)
        self._ranks[order] = np.arange(order.size)
        self._fields = [_as_ragged(values) for values in inputs.profile.values()]
        # Of k-hat + 1 items of a value, one may be the item itself; each of the others
        # is a new candidate or has been one before.
        self._heads = [_heads(f, self._ranks, k_hat + 1) for f in self._fields]

    def candidate_items(self, item_ids: np.ndarray) -> Ragged:
        """Candidates of a block of items.

        Args:
            item_ids: int `(n,)`, in `[1, N]`.
        Returns: n lists of int32 ids, in the order of preference; at most k-hat each,
            none twice, never the item itself.
        Raises: ValueError: an id is out of range.
        """
        item_ids = np.asarray(item_ids, np.int64)
        if item_ids.size and not 1 <= item_ids.min() <= item_ids.max() <= (
            self._inputs.num_items
        ):
            raise ValueError(
                f"`item_ids` must be in [1, {self._inputs.num_items}]. "
                f"Received: from {item_ids.min()} to {item_ids.max()}"
            )
        step = max(1, _ENTRIES_AT_ONCE // self._k_hat)
        blocks = [
            self._block(item_ids[begin : begin + step])
            for begin in range(0, item_ids.size, step)
        ]
        values = [block.values for block in blocks]
        degrees = [np.diff(block.row_splits) for block in blocks]
        return Ragged(
            np.concatenate([np.zeros(0, np.int32), *values]),
            np.concatenate([[0], np.cumsum(np.concatenate([[], *degrees]))]).astype(
                np.int64
            ),
        )

    def _block(self, item_ids: np.ndarray) -> Ragged:
        owners, items = self._met_together(item_ids)
        degrees = np.bincount(owners, minlength=item_ids.size)
        sources = [(owners, items, np.arange(owners.size))]
        short = np.flatnonzero(degrees < self._k_hat)
        for field, heads in zip(self._fields, self._heads, strict=True):
            holders, shared = take_rows(field, item_ids[short])
            places, others = take_rows(heads, shared.astype(np.int64))
            sources.append((short[holders[places]], others, self._ranks[others]))
        return self._merge(item_ids, sources)

    def _met_together(self, item_ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Owner (place in the block) and item of each pair, the most often first."""
        found = [self._best_of_row(item_id) for item_id in item_ids.tolist()]
        lengths = [items.size for items in found]
        owners = np.repeat(np.arange(item_ids.size), lengths)
        return owners, np.concatenate([np.zeros(0, np.int64), *found])

    def _best_of_row(self, item_id: int) -> np.ndarray:
        counts = self._inputs.counts
        row = slice(counts.indptr[item_id], counts.indptr[item_id + 1])
        values, items = counts.data[row], counts.indices[row]
        real = (values > 0) & (items != item_id) & (items != 0)
        values, items = values[real].astype(np.float64), items[real].astype(np.int64)
        if values.size > self._k_hat:
            last = np.partition(values, values.size - self._k_hat)[-self._k_hat]
            above = np.flatnonzero(values > last)
            equal = np.flatnonzero(values == last)[: self._k_hat - above.size]
            kept = np.concatenate([above, equal])
            values, items = values[kept], items[kept]
        return items[np.lexsort([items, -values])]

    def _merge(self, item_ids: np.ndarray, sources: list[Any]) -> Ragged:
        """Sources one after the other, what comes again or is too much left out."""
        owners = np.concatenate([owners for owners, _, _ in sources])
        items = np.concatenate([items for _, items, _ in sources])
        ranks = np.concatenate([ranks for _, _, ranks in sources])
        source = np.repeat(np.arange(len(sources)), [s[0].size for s in sources])
        order = np.lexsort([ranks, source, owners])
        owners, items = owners[order], items[order]
        pairs = owners * (self._inputs.num_items + 1) + items
        first = np.sort(np.unique(pairs, return_index=True)[1])
        first = first[items[first] != item_ids[owners[first]]]
        owners, items = owners[first], items[first]
        kept = places_in_rows(owners, item_ids.size) < self._k_hat
        degrees = np.bincount(owners[kept], minlength=item_ids.size)
        return Ragged(
            items[kept].astype(np.int32), np.concatenate([[0], np.cumsum(degrees)])
        )


def take_rows(ragged: Ragged, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the place in `rows` and the value of each entry of these lists."""
    begin = ragged.row_splits[rows]
    lengths = ragged.row_splits[rows + 1] - begin
    places = np.repeat(np.arange(rows.size), lengths)
    return places, ragged.values[begin[places] + places_in_rows(places, rows.size)]


def places_in_rows(rows: np.ndarray, num_rows: int) -> np.ndarray:
    """Of entries sorted by row, the place of each in its row, from 0."""
    lengths = np.bincount(rows, minlength=num_rows)
    begin = np.cumsum(lengths) - lengths
    return np.arange(rows.size) - begin[rows]


def _as_ragged(values: np.ndarray | Ragged) -> Ragged:
    if isinstance(values, Ragged):
        return values
    return Ragged(values, np.arange(values.size + 1))


def _heads(field: Ragged, ranks: np.ndarray, size: int) -> Ragged:
    """The most popular items of each value: int64 lists by value."""
    items = np.repeat(np.arange(ranks.size), np.diff(field.row_splits))
    values = field.values.astype(np.int64)
    known = (values != 0) & (items != 0)
    pairs = np.unique(values[known] * ranks.size + items[known])
    values, items = np.divmod(pairs, ranks.size)
    order = np.lexsort([ranks[items], values])
    values, items = values[order], items[order]
    num_values = int(field.values.max(initial=0)) + 1
    kept = places_in_rows(values, num_values) < size
    lengths = np.bincount(values[kept], minlength=num_values)
    return Ragged(items[kept], np.concatenate([[0], np.cumsum(lengths)]))
