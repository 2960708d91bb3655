"""Inputs of small indexes, a SimNet of integers, and what must come out, in Python."""

import dataclasses
import itertools
import os
import pathlib

import numpy as np
from scipy import sparse

from tfrec.pdn.index_inputs import IndexInputs, Ragged

NUM_ITEMS = 60


def make_inputs(seed: int = 0, num_items: int = NUM_ITEMS, **changes) -> IndexInputs:
    """Counts with ties, a category, ragged tags, popularity with ties, raw ids."""
    rng = np.random.default_rng(seed)
    size = num_items + 1
    dense = rng.integers(0, 4, [size, size]) * (rng.random([size, size]) < 0.2)
    dense[num_items // 2] = 0  # an item that was met with no other
    dense[:, num_items // 2] = 0
    counts = sparse.csr_matrix(dense.astype(np.float32))
    lengths = rng.integers(0, 4, size)
    tags = Ragged(
        rng.integers(0, 8, lengths.sum()).astype(np.int32),
        np.concatenate([[0], np.cumsum(lengths)]),
    )
    values = {
        "item_ids": rng.permutation(num_items * 3)[:num_items].astype(np.int64)
        + 10**10,
        "counts": counts,
        "profile": {
            "category": rng.integers(0, 5, size).astype(np.int32),
            "tags": tags,
        },
        "popularity": rng.integers(0, 10, size),
        **changes,
    }
    return IndexInputs(**values)


def first_items(inputs: IndexInputs, num_items: int) -> IndexInputs:
    """The inputs as they were when there were fewer items."""
    size = num_items + 1
    tags = inputs.profile["tags"]
    splits = tags.row_splits[: size + 1]
    return IndexInputs(
        inputs.item_ids[:num_items],
        inputs.counts[:size, :size],
        {
            "category": inputs.profile["category"][:size],
            "tags": Ragged(tags.values[: splits[-1]], splits),
        },
        inputs.popularity[:size],
    )


def score_pairs(triggers: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Of each pair another value than of its reverse, and many ties."""
    assert triggers.dtype == items.dtype == np.int32
    return ((triggers * 7 + items * 13) % 17 / 4 - 2).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class NotingScorer:
    """Makes `score_pairs` in a worker, which leaves a file named after its process."""

    folder: str

    def __call__(self, inputs: IndexInputs):
        """The scorer; inputs must have come through whole."""
        assert inputs.num_items > 0

        def score(triggers, items):
            (pathlib.Path(self.folder) / str(os.getpid())).touch()
            return score_pairs(triggers, items)

        return score


def expected_candidates(inputs: IndexInputs, item: int, k_hat: int) -> list[int]:
    """Candidates of an item in their order, by plain loops."""
    everything = range(1, inputs.num_items + 1)
    counts = inputs.counts.toarray()[item]
    met = sorted((i for i in everything if counts[i] > 0), key=lambda i: -counts[i])
    found = [i for i in met if i != item][:k_hat]
    popular = sorted(everything, key=lambda i: (-inputs.popularity[i], i))
    for field in inputs.profile.values():
        own = values_of(field, item) - {0}
        for i in popular:
            if i != item and i not in found and values_of(field, i) & own:
                found.append(i)
    return found[:k_hat]


def values_of(field, item: int) -> set[int]:
    """The values of an item of a field, plain or ragged."""
    if isinstance(field, Ragged):
        begin, end = field.row_splits[item : item + 2]
        return set(field.values[begin:end].tolist())
    return {int(field[item])}


def score(trigger: int, item: int) -> float:
    """One pair."""
    pair = np.array([trigger], np.int32), np.array([item], np.int32)
    return float(score_pairs(*pair)[0])


def expected_list(trigger: int, candidates: list[int], k: int) -> list:
    """`(position, similarity)` of the best k, the smaller id at equal ones."""
    scored = [(score(trigger, i), i) for i in candidates]
    best = sorted(scored, key=lambda pair: (-pair[0], pair[1]))[:k]
    return [(i - 1, s) for s, i in best]


def lists(index) -> list[list]:
    """The lists of an index as `expected_list` has them."""
    splits = index.row_splits.tolist()
    pairs = list(
        zip(index.neighbours.tolist(), index.similarities.tolist(), strict=True)
    )
    return [pairs[a:b] for a, b in itertools.pairwise(splits)]


def assert_equal(left, right) -> None:
    """Equal arrays, types and meta."""
    assert left.meta == right.meta
    for name in ("neighbours", "similarities", "row_splits", "item_ids"):
        a, b = getattr(left, name), getattr(right, name)
        assert a.dtype == b.dtype, name
        assert a.tobytes() == b.tobytes(), name
