"""New items in an index whose model stays as it is."""

import numpy as np

from tfrec.artifacts import ArtifactError
from tfrec.pdn import index as index_lib
from tfrec.pdn.candidates import Candidates
from tfrec.pdn.index import PathIndex
from tfrec.pdn.index_build import row_splits
from tfrec.pdn.index_inputs import IndexInputs
from tfrec.pdn.index_shards import (
    IndexConfig,
    ScorePairs,
    best_of_rows,
    score_in_batches,
)

_DEFAULTS = IndexConfig()


def extend(
    index: PathIndex,
    inputs: IndexInputs,
    score_pairs: ScorePairs,
    model_version: str,
    pairs_per_batch: int = _DEFAULTS.pairs_per_batch,
) -> PathIndex:
    """Appends new items: their own lists, and their places in the lists of others.

    Each candidate pair (new item, item) is scored in both directions. The new item
    enters the other's list where the list is not full, or where it beats the last of
    it. Similarities that the index holds stay as they are, and pairs of old items are
    not scored again, whatever `inputs` say of them now.

    Args:
        index: over N items; it is not changed.
        inputs: of all N + M items: the N of the index, in its order, then the new.
            A new item's candidates come from its counts, where it has some, and from
            its profile.
        score_pairs: SimNet of the same version; it must take the ids up to N + M.
        model_version: of `score_pairs`.
        pairs_per_batch: the most pairs of one call.
    Returns: an index over N + M items, with the digest of `inputs`.
    Raises:
        ArtifactError: the index is of another model version, or `inputs` break a rule
            or do not begin with the items of the index.
        ValueError: `score_pairs` gives another shape, or what is not finite.
    """
    index.check_model(model_version)
    inputs.check()
    _check_old_items(index, inputs)
    first = index.num_items + 1
    new_ids = np.arange(first, inputs.num_items + 1, dtype=np.int32)
    candidates = Candidates(inputs, index.meta["k_hat"]).candidate_items(new_ids)
    triggers = np.repeat(new_ids, np.diff(candidates.row_splits))
    items = candidates.values
    own = score_in_batches(score_pairs, triggers, items, pairs_per_batch)
    # Of a pair of new items each direction is in one of the own lists already.
    old = items < first
    reverse = items[old], triggers[old]
    back = score_in_batches(score_pairs, *reverse, pairs_per_batch)
    rows, neighbours, scores = _merge(
        index,
        np.concatenate([triggers, reverse[0]]) - 1,
        np.concatenate([items, reverse[1]]) - 1,
        np.concatenate([own, back]),
        inputs.num_items,
    )
    num_pairs = index.meta["num_pairs"] + own.size + back.size
    extended = PathIndex(
        neighbours.astype(np.int32),
        scores.astype(np.float32),
        row_splits([np.bincount(rows, minlength=inputs.num_items)]),
        np.array(inputs.item_ids, np.int64),
        {**index.meta, "data_sha256": inputs.sha256(), "num_pairs": num_pairs},
    )
    extended.check()
    return extended


def _merge(
    index: PathIndex,
    rows: np.ndarray,
    items: np.ndarray,
    scores: np.ndarray,
    num_items: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Old entries and new ones; only the lists that gain are sorted again."""
    old_rows = index_lib.owners(index)
    gains = np.zeros(num_items, bool)
    gains[rows] = True
    again = gains[old_rows]
    changed = best_of_rows(
        np.concatenate([old_rows[again], rows]),
        np.concatenate([index.neighbours[again], items]),
        np.concatenate([index.similarities[again], scores]),
        num_items,
        index.meta["k"],
    )
    kept = old_rows[~again], index.neighbours[~again], index.similarities[~again]
    parts = [np.concatenate(pair) for pair in zip(kept, changed, strict=True)]
    order = np.argsort(parts[0], kind="stable")
    return parts[0][order], parts[1][order], parts[2][order]


def _check_old_items(index: PathIndex, inputs: IndexInputs) -> None:
    old = inputs.item_ids[: index.num_items]
    if old.size < index.num_items:
        raise ArtifactError(
            f"`inputs` must hold the {index.num_items} items of the index and more. "
            f"Received: {old.size}"
        )
    differs = np.flatnonzero(old != index.item_ids)
    if differs.size:
        place = differs[0]
        raise ArtifactError(
            f"`inputs.item_ids` must begin with those of the index: at {place} it has "
            f"{index.item_ids[place]}. Received: {old[place]}"
        )
