"""EASE: the linear autoencoder without a diagonal, in closed form."""

import contextlib
import dataclasses
from typing import Any

import numpy as np

from tfrec.baselines.closed_form import ItemToItem, checked_matrix, scipy_sparse

# OpenBLAS ends the process when several threads factor a larger matrix.
_MAX_THREADED_BYTES = 1 << 31


@dataclasses.dataclass(frozen=True)
class EaseConfig:
    """What is minimised.

    Args:
        l2: lambda, of squared weights (the paper's grid; 500 is its choice on ML-20M).
    """

    l2: float = 500.0


class Ease(ItemToItem):
    """min_B |X - X B|^2 + l2 |B|^2 with a zero diagonal.

    B_ji = -P_ji / P_ii with P = (X^T X + l2)^-1, solved in float64: 16 N^2 bytes and
    O(N^3) operations. No difference from the paper; weights are kept in float32.

    Args:
        config: the penalty.
    Raises: ValueError: `l2` is not positive.
    Source: Steck 2019, "Embarrassingly Shallow Autoencoders for Sparse Data", eq. 8.
    """

    def __init__(self, config: EaseConfig | None = None):
        self.config = config or EaseConfig()
        if not self.config.l2 > 0:
            raise ValueError(f"`l2` must be above 0. Received: {self.config.l2}")

    def fit(self, interactions: Any) -> "Ease":
        """Inverts the items' Gram matrix.

        Args:
            interactions: scipy sparse `(U, N)`; the paper: ones.
        """
        matrix = checked_matrix("interactions", interactions).astype(np.float64)
        gram = (matrix.T @ matrix).toarray(order="F")
        gram[np.diag_indices_from(gram)] += self.config.l2
        inverse = _inverse(gram)
        weights = inverse / -np.diag(inverse)
        np.fill_diagonal(weights, 0.0)
        self.similarities = weights.astype(np.float32)
        return self


def _threads_for(matrix: np.ndarray) -> Any:
    """All threads while a matrix is small enough, then one."""
    if matrix.nbytes <= _MAX_THREADED_BYTES:
        return contextlib.nullcontext()
    try:
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise ImportError(
            'EASE of so many items needs threadpoolctl: pip install "tfrec[baselines]"'
        ) from error
    return threadpool_limits(1, "blas")


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Of a symmetric positive definite matrix, by Cholesky; overwrites it."""
    scipy_sparse()
    from scipy.linalg import lapack

    with _threads_for(matrix):
        factor, failed = lapack.dpotrf(matrix, lower=True, overwrite_a=True)
        if failed:
            raise ValueError(
                "`interactions` must give a positive definite Gram matrix. "
                f"Received: minor {failed} is not"
            )
        lower, _ = lapack.dpotri(factor, lower=True, overwrite_c=True)
    lower = np.tril(lower)
    diagonal = np.diag(lower).copy()
    lower += lower.T
    np.fill_diagonal(lower, diagonal)
    return lower
