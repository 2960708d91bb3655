"""PCF: item-based collaborative filtering by Pearson's correlation."""

import dataclasses
from typing import Any

import numpy as np

from tfrec.baselines.closed_form import ItemToItem, checked_matrix, keep_largest


@dataclasses.dataclass(frozen=True)
class ItemCfConfig:
    """What the similarities are.

    Args:
        shrinkage: s: a correlation with n users who have both items is multiplied by
            n / (n + s), as few users say little; 0 is the plain correlation (the
            paper says no more).
        num_neighbours: an item's score counts the most similar items alone; None: all
            (ours, as is 50, which is best on ml-1m's validation users).
    """

    shrinkage: float = 0.0
    num_neighbours: int | None = 50


class ItemCf(ItemToItem):
    """Scores an item by its correlations with the history's items, summed.

    Where it differs from Resnick et al. 1994: similarities are between items, a user
    without a row counts as 0 (with implicit rows the users who have both items agree
    on everything), and the sum is not divided by the weights, as an order is wanted
    and not a rating. Pairs that no user has both of get 0.

    Args:
        config: shrinkage and neighbours.
    Raises: ValueError: a negative shrinkage, or fewer than 1 neighbour.
    Source: PCF of Li et al. 2021 (PDN), section 6.1.2, their reference 27.
    """

    def __init__(self, config: ItemCfConfig | None = None):
        self.config = config or ItemCfConfig()
        num = self.config.num_neighbours
        if self.config.shrinkage < 0 or (num is not None and num < 1):
            raise ValueError(
                "`shrinkage` must be at least 0, `num_neighbours` at least 1. "
                f"Received: {self.config}"
            )

    def fit(self, interactions: Any) -> "ItemCf":
        """Correlates all pairs of columns that share a user.

        Args:
            interactions: scipy sparse `(U, N)`: ones or ratings. Takes O(N^2) memory
                where most pairs share one.
        """
        matrix = checked_matrix("interactions", interactions).astype(np.float64)
        num_users = matrix.shape[0]
        is_stored = matrix.copy()
        is_stored.data[:] = 1.0
        both, products = _gram(is_stored), _gram(matrix)  # of one sparsity pattern
        column = both.indices
        row = np.repeat(np.arange(both.shape[0]), np.diff(both.indptr))
        means = np.asarray(matrix.mean(axis=0)).ravel()
        variances = np.maximum(products.diagonal() / num_users - means**2, 0.0)
        covariances = products.data / num_users - means[row] * means[column]
        scale = np.sqrt(variances[row] * variances[column])
        # A column that never varies correlates with none.
        both.data *= row != column
        correlations = np.divide(
            covariances, scale, out=np.zeros_like(scale), where=scale > 1e-12
        )
        weights = both.data / np.maximum(both.data + self.config.shrinkage, 1.0)
        both.data = correlations * weights
        both.eliminate_zeros()
        kept = keep_largest(both, self.config.num_neighbours)
        self.similarities = kept.tocsr().astype(np.float32)
        return self


def _gram(matrix: Any) -> Any:
    """CSR `(N, N)` with sorted columns: every pair of columns that share a user."""
    products = (matrix.T @ matrix).tocsr()
    products.sort_indices()
    return products
