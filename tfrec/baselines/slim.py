"""SLIM: sparse, non-negative item weights by elastic nets."""

import dataclasses
from typing import Any

import numpy as np
from rich.progress import track

from tfrec.baselines.closed_form import (
    ItemToItem,
    checked_matrix,
    keep_largest,
    scipy_sparse,
)

_ITEMS_AT_ONCE = 64


@dataclasses.dataclass(frozen=True)
class SlimConfig:
    """What is minimised, and how.

    Args:
        l1: lambda, of weights.
        l2: beta, of squared weights (the paper tunes both; these are the best in HR@10
            of eight on ml-1m's validation users, l1 = .1 is level with 1).
        num_neighbours: an item's weights are of the items of highest cosine with it
            (the paper's fsSLIM; the number is ours); None: of all items, its SLIM.
        tolerance: of the solver, relative to the squared norm of the item's column.
        max_iterations: passes over an item's weights.
    """

    l1: float = 1.0
    l2: float = 200.0
    num_neighbours: int | None = 100
    tolerance: float = 1e-4
    max_iterations: int = 1000


class Slim(ItemToItem):
    """min_W |A - A W|^2 / 2 + l2 |W|^2 / 2 + l1 |W|_1, W >= 0, with a zero diagonal.

    One elastic net an item, by scikit-learn's coordinate descent. Differs from the
    paper in what an item may weigh, see `SlimConfig.num_neighbours`.

    Args:
        config: penalties, neighbours, solver.
        num_jobs: processes; -1: one a core.
        progress: show how far it is.
    Raises: ValueError: a penalty that is not positive, or fewer than 1 neighbour.
    Source: Ning and Karypis 2011, "SLIM: Sparse Linear Methods for Top-N Recommender
        Systems", eq. 2 to 4.
    """

    def __init__(
        self,
        config: SlimConfig | None = None,
        num_jobs: int = 1,
        progress: bool = True,
    ):
        self.config = config or SlimConfig()
        self.num_jobs = num_jobs
        self.progress = progress
        l1, l2, num = self.config.l1, self.config.l2, self.config.num_neighbours
        if not l1 > 0 or not l2 >= 0 or (num is not None and num < 1):
            raise ValueError(
                "`l1` must be above 0, `l2` at least 0 and `num_neighbours` at least "
                f"1. Received: {self.config}"
            )

    def fit(self, interactions: Any) -> "Slim":
        """Solves for each item's weights.

        Args:
            interactions: scipy sparse `(U, N)`: ones, or ratings.
        Raises: ImportError: scikit-learn is missing.
        """
        parallel = _parallel()
        matrix = checked_matrix("interactions", interactions).astype(np.float64)
        matrix = matrix.tocsc()
        num_items = matrix.shape[1]
        neighbours = _neighbours(matrix, self.config.num_neighbours)
        blocks = np.split(
            np.arange(num_items), range(_ITEMS_AT_ONCE, num_items, _ITEMS_AT_ONCE)
        )
        found = parallel.Parallel(n_jobs=self.num_jobs, return_as="generator")(
            parallel.delayed(_solve)(matrix, neighbours[:, block], block, self.config)
            for block in blocks
        )
        columns = track(
            found, "SLIM's items", total=len(blocks), disable=not self.progress
        )
        weights = scipy_sparse().hstack(list(columns), format="csr")
        self.similarities = weights.astype(np.float32)
        return self


def _neighbours(matrix: Any, num_neighbours: int | None) -> Any:
    """CSC `(N, N)`: what is stored in a column are the items that may weigh there."""
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=0)).ravel())
    inverse = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    scaled = matrix @ scipy_sparse().diags(inverse)
    cosines = (scaled.T @ scaled).tolil()
    cosines.setdiag(0.0)
    cosines = cosines.tocsc()
    cosines.eliminate_zeros()
    return keep_largest(cosines, num_neighbours)


def _solve(matrix: Any, neighbours: Any, items: np.ndarray, config: SlimConfig) -> Any:
    """Returns the weights of some items, CSC `(N, items)`."""
    from sklearn.linear_model import ElasticNet

    net = ElasticNet(  # its squared error is a mean over users
        alpha=(config.l1 + config.l2) / matrix.shape[0],
        l1_ratio=config.l1 / (config.l1 + config.l2),
        positive=True,
        fit_intercept=False,
        tol=config.tolerance,
        max_iter=config.max_iterations,
    )
    columns = []
    for place, item in enumerate(items):
        begin, end = neighbours.indptr[place : place + 2]
        rows = np.sort(neighbours.indices[begin:end])
        values = np.zeros(0)
        if rows.size:
            target = matrix[:, [item]].toarray().ravel()
            values = net.fit(matrix[:, rows], target).coef_
        is_kept = values > 0
        shape = (matrix.shape[1], 1)
        kept = (values[is_kept], (rows[is_kept], np.zeros(is_kept.sum(), np.int64)))
        columns.append(scipy_sparse().csc_matrix(kept, shape))
    return scipy_sparse().hstack(columns, format="csc")


def _parallel() -> Any:
    try:
        from sklearn.utils import parallel
    except ImportError as error:
        raise ImportError(
            'SLIM needs scikit-learn: pip install "tfrec[baselines]"'
        ) from error
    return parallel
