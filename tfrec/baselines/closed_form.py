"""The contract of baselines that are solved, not trained by gradient steps.

`fit(interactions)` reads a scipy sparse matrix `(U, N)`, users by items: column i is
item id i + 1, a stored value is 1, or a rating. `score(users)` reads rows `(B, N)` of
that kind, of anybody, and returns scores of all items by position `(B, N)`.
"""

from typing import Any, Protocol

import numpy as np


class ClosedForm(Protocol):
    """A model without features that scores all items for rows of interactions."""

    def fit(self, interactions: Any) -> Any:
        """Solves for what training rows `(U, N)` say; returns the model."""
        ...

    def score(self, users: Any) -> np.ndarray:
        """Scores float32 `(B, N)` of all items for rows `(B, N)`."""
        ...


class ItemToItem:
    """A closed form whose score is a sum over the history of similarities.

    Attributes:
        similarities: float32 `(N, N)`, an array or scipy CSR: `[j, i]` is what item j
            in a history adds to item i. None before `fit`.
    """

    similarities: Any = None

    def score(self, users: Any) -> np.ndarray:
        """Scores float32 `(B, N)`: rows times similarities.

        Raises: ValueError: not fitted, or not as many columns as items.
        """
        if self.similarities is None:
            raise ValueError(
                f"`{type(self).__name__}` must be fitted before `score`. "
                "Received: similarities=None"
            )
        users = checked_matrix("users", users, self.similarities.shape[0])
        scores = users.astype(np.float32) @ self.similarities
        return scores if isinstance(scores, np.ndarray) else scores.toarray()


def interaction_matrix(
    users: np.ndarray, items: np.ndarray, num_users: int, num_items: int
) -> Any:
    """Scipy CSR float32 `(num_users, num_items)` of ones; repeated rows count once.

    Args:
        users: int `(R,)`, ids from 1.
        items: int `(R,)`, ids from 1.
        num_users: U.
        num_items: N.
    Raises: ImportError: SciPy is missing.
    """
    ones = np.ones(users.size, np.float32)
    places = users.astype(np.int64) - 1, items.astype(np.int64) - 1
    matrix = scipy_sparse().csr_matrix((ones, places), (num_users, num_items))
    matrix.data[:] = 1.0
    return matrix


def history_matrix(
    history: np.ndarray, history_splits: np.ndarray, num_items: int
) -> Any:
    """Scipy CSR float32 `(E, num_items)` of ragged histories; repeats count once.

    Args:
        history: int item ids of all users, such as `Examples.history`.
        history_splits: int `(E + 1,)`.
        num_items: N.
    Raises: ImportError: SciPy is missing.
    """
    count = history_splits.size - 1
    users = np.repeat(np.arange(1, count + 1), np.diff(history_splits))
    ids = history[history_splits[0] : history_splits[-1]]
    return interaction_matrix(users, ids, count, num_items)


def checked_matrix(name: str, matrix: Any, num_items: int | None = None) -> Any:
    """The matrix as CSR, each pair stored once.

    Raises: ValueError: it is not sparse, has other columns than items, or no numbers.
    """
    if not scipy_sparse().issparse(matrix):
        raise ValueError(
            f"`{name}` must be a scipy sparse matrix, users by items. "
            f"Received: {type(matrix).__name__}"
        )
    if num_items is not None and matrix.shape[1] != num_items:
        raise ValueError(
            f"`{name}` must have {num_items} columns, one an item. "
            f"Received: {name}.shape={matrix.shape}"
        )
    matrix = scipy_sparse().csr_matrix(matrix, copy=True)
    matrix.sum_duplicates()
    if not np.isfinite(matrix.data).all():
        raise ValueError(f"`{name}` must hold finite values. Received: inf or NaN")
    return matrix


def keep_largest(matrix: Any, num_kept: int | None) -> Any:
    """A CSC copy with the largest values of each column; equal ones by row.

    Args:
        matrix: scipy sparse.
        num_kept: of each column; None: all.
    """
    matrix = scipy_sparse().csc_matrix(matrix)
    if num_kept is None:
        return matrix
    columns = np.repeat(np.arange(matrix.shape[1]), np.diff(matrix.indptr))
    order = np.lexsort([matrix.indices, -matrix.data, columns])
    places = np.arange(order.size) - matrix.indptr[columns]
    kept = order[places < num_kept]
    values = matrix.data[kept], (matrix.indices[kept], columns[kept])
    return scipy_sparse().csc_matrix(values, matrix.shape)


def scipy_sparse() -> Any:
    """`scipy.sparse`, or an error that says how to get it."""
    try:
        from scipy import sparse
    except ImportError as error:
        raise ImportError(
            'Closed-form baselines need SciPy: pip install "tfrec[baselines]"'
        ) from error
    return sparse
