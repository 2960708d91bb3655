"""Small random interactions, and the ranking of real test users by a closed form."""

from typing import Any

import numpy as np
from scipy import sparse

from tfrec.baselines.closed_form import (
    ClosedForm,
    history_matrix,
    interaction_matrix,
)
from tfrec.data.prepared import PreparedDataset
from tfrec.data.splits import Split
from tfrec.evaluation import ranking


def dense(num_users: int = 40, num_items: int = 9, seed: int = 0) -> np.ndarray:
    """Ones and zeros: two tastes, so that items do correlate."""
    rng = np.random.default_rng(seed)
    likes = np.where(rng.random((num_users, 1)) < 0.5, [[0.7, 0.2]], [[0.2, 0.6]])
    shares = likes[:, np.arange(num_items) % 2]
    return (rng.random((num_users, num_items)) < shares).astype("float32")


def csr(matrix: np.ndarray) -> Any:
    """The same, sparse."""
    return sparse.csr_matrix(matrix)


def training_matrix(dataset: PreparedDataset, split: Split) -> Any:
    """Users by items of the training rows."""
    train = split.train
    return interaction_matrix(
        train.users, train.items, dataset.num_users, dataset.num_items
    )


def sampled_metrics(
    model: ClosedForm, split: Split, negatives: np.ndarray, num_items: int
) -> tuple[float, float]:
    """HR@10 and NDCG@10 of the test targets among their negatives."""
    test = split.test
    candidates = np.concatenate([test.targets[:, None], negatives], 1)
    parts = []
    for begin in range(0, test.size, 512):
        rows = np.arange(begin, min(begin + 512, test.size))
        part = test.take(rows)
        users = history_matrix(part.history, part.history_splits, num_items)
        scores = np.take_along_axis(model.score(users), candidates[rows] - 1, axis=1)
        parts.append(ranking.sampled_ranks(scores, candidates[rows]))
    ranks = ranking.concatenate(parts)
    return ranking.hit_rate(ranks, 10).mean(), ranking.ndcg(ranks, 10).mean()
