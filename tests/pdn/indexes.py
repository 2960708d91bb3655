"""A small index of a small model, and eq. 14 from it in plain Python."""

import numpy as np
from scipy import sparse

from tests.pdn import numpy_pdn, problems
from tfrec.pdn import index_build
from tfrec.pdn.index import PathIndex
from tfrec.pdn.index_inputs import IndexInputs
from tfrec.pdn.index_shards import IndexConfig
from tfrec.pdn.model import Pdn
from tfrec.pdn.pair_scores import pair_scorer

VERSION = "model-1"
RAW_IDS = 1000 + 7 * np.arange(problems.NUM_ITEMS, dtype=np.int64)


def inputs(model: Pdn, all_pairs: bool = False) -> IndexInputs:
    """The model's own counts, or one of every pair, and categories as profile."""
    profile = {"category": problems.categories()}
    counts = model.cooccurrence.counts
    if all_pairs:
        counts = sparse.csr_matrix(np.ones(counts.shape) - np.eye(counts.shape[0]))
    return IndexInputs(RAW_IDS, counts, profile)


def build(
    model: Pdn, k: int = 6, k_hat: int = 15, all_pairs: bool = False
) -> PathIndex:
    """Lists of at most k of k_hat candidates."""
    config = IndexConfig(k=k, k_hat=k_hat, items_per_shard=7, pairs_per_batch=40)
    found = inputs(model, all_pairs)
    simnet = pair_scorer(model, {"category": problems.categories()})
    return index_build.build(found, simnet, config, VERSION)


def greedy(model: Pdn, index: PathIndex, features: dict, b: int, m: int) -> dict:
    """Score and paths of every candidate of a user, by position: eq. 14."""
    ids = features["history"]["item"].numpy()[b]
    weights = [
        (float(numpy_pdn.trigger_weight(model, features, b, place)[0]), int(ids[place]))
        for place in np.flatnonzero(ids)
    ]
    weights.sort(key=lambda pair: -pair[0])
    found: dict = {}
    for weight, trigger in weights[:m]:
        begin, end = index.row_splits[trigger - 1 : trigger + 1]
        for entry in range(begin, end):
            path = numpy_pdn.softplus(weight + float(index.similarities[entry]))
            found.setdefault(int(index.neighbours[entry]), []).append((path, trigger))
    scores = {}
    for position, paths in found.items():
        score = sum(path for path, _ in paths)
        if model.config.direct_units:
            item = {"item": position + 1}
            item["category"] = problems.categories()[position + 1]
            score += numpy_pdn.softplus(numpy_pdn.direct(model, features, b, item))
        scores[position] = (score, sorted(paths, reverse=True))
    return scores
