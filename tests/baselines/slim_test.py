"""SLIM against projected gradient steps written here, and on real data."""

import numpy as np
import pytest
from scipy import sparse

from tests.baselines import closed_forms
from tfrec.baselines.popularity import Popularity
from tfrec.baselines.slim import Slim, SlimConfig
from tfrec.data.splits import leave_one_out
from tfrec.evaluation.negatives import sampled_negatives


def _fit(matrix: np.ndarray, num_jobs: int = 1, **fields) -> np.ndarray:
    config = SlimConfig(**{"tolerance": 1e-9, "max_iterations": 20_000, **fields})
    model = Slim(config, num_jobs=num_jobs, progress=False)
    return model.fit(closed_forms.csr(matrix)).similarities.toarray()


def _projected(matrix: np.ndarray, l1: float, l2: float, may_weigh: np.ndarray):
    """Minimises the paper's eq. 2 whole, by steps into the feasible set."""
    gram = matrix.T @ matrix
    step = 1.0 / (np.linalg.eigvalsh(gram)[-1] + l2)
    weights = np.zeros_like(gram)
    for _ in range(20_000):
        gradient = gram @ weights - gram + l2 * weights + l1
        weights = np.maximum(weights - step * gradient, 0.0) * may_weigh
    return weights


@pytest.mark.parametrize(("l1", "l2"), [(0.5, 2.0), (2.0, 0.5), (0.01, 3.0)])
def test_against_projected_gradient_steps(l1, l2):
    matrix = closed_forms.dense().astype("float64")
    may_weigh = 1.0 - np.eye(matrix.shape[1])
    expected = _projected(matrix, l1, l2, may_weigh)
    found = _fit(matrix, l1=l1, l2=l2, num_neighbours=None)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert found.max() > 0.05
    np.testing.assert_array_equal(np.diag(found), 0)


def test_neighbours_are_those_of_highest_cosine():
    matrix = closed_forms.dense(num_users=60).astype("float64")
    scaled = matrix / np.linalg.norm(matrix, axis=0)
    cosines = scaled.T @ scaled
    np.fill_diagonal(cosines, 0)
    may_weigh = np.zeros_like(cosines)
    best = np.argsort(-cosines, axis=0)[:3]
    np.put_along_axis(may_weigh, best, 1.0, axis=0)
    found = _fit(matrix, l1=0.1, l2=1.0, num_neighbours=3)
    np.testing.assert_allclose(
        found, _projected(matrix, 0.1, 1.0, may_weigh), atol=1e-5
    )
    assert ((found > 0) & (may_weigh == 0)).sum() == 0


def test_processes_do_not_matter():
    matrix = closed_forms.dense(num_items=150)
    one = _fit(matrix, l1=0.5, l2=1.0, tolerance=1e-4)
    two = _fit(matrix, num_jobs=2, l1=0.5, l2=1.0, tolerance=1e-4)
    np.testing.assert_array_equal(one, two)


def test_is_sparse_where_l1_is_large():
    model = Slim(SlimConfig(l1=1e6), progress=False)
    model.fit(closed_forms.csr(closed_forms.dense()))
    assert sparse.issparse(model.similarities)
    assert model.similarities.nnz == 0


def test_beats_popularity_on_ml_100k(ml_100k):
    split = leave_one_out(ml_100k)
    matrix = closed_forms.training_matrix(ml_100k, split)
    negatives = sampled_negatives(ml_100k, split.test, 99, seed=0)
    config = SlimConfig(num_neighbours=30)
    slim, popularity = (
        closed_forms.sampled_metrics(
            model.fit(matrix), split, negatives, ml_100k.num_items
        )
        for model in (Slim(config, progress=False), Popularity())
    )
    assert slim[0] > popularity[0] + 0.1


@pytest.mark.parametrize(
    "config",
    [
        SlimConfig(l1=0.0),
        SlimConfig(l2=-1.0),
        SlimConfig(num_neighbours=0),
    ],
)
def test_value_errors(config):
    with pytest.raises(ValueError, match="`l1` must be above 0, .* Received"):
        Slim(config)
