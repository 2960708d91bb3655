"""Popularity: every user gets the items that most users have."""

from typing import Any

import numpy as np

from tfrec.baselines.closed_form import checked_matrix


class Popularity:
    """Scores an item by its number of users, whatever the history.

    Attributes:
        counts: float32 `(N,)` by position. None before `fit`.
    """

    counts: np.ndarray | None = None

    def fit(self, interactions: Any) -> "Popularity":
        """Counts the users of each item.

        Args:
            interactions: scipy sparse `(U, N)`; what is stored counts, whatever value.
        """
        matrix = checked_matrix("interactions", interactions)
        counts = np.bincount(matrix.indices, minlength=matrix.shape[1])
        self.counts = counts.astype(np.float32)
        return self

    def score(self, users: Any) -> np.ndarray:
        """The counts for each row, float32 `(B, N)`, read-only.

        Raises: ValueError: not fitted, or not as many columns as items.
        """
        if self.counts is None:
            raise ValueError(
                "`Popularity` must be fitted before `score`. Received: counts=None"
            )
        users = checked_matrix("users", users, self.counts.size)
        return np.broadcast_to(self.counts, users.shape)
