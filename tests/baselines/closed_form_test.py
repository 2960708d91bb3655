"""Matrices of closed forms: which column is which item, and what is refused."""

import numpy as np
import pytest
from scipy import sparse

from tests.baselines import closed_forms
from tfrec.baselines.closed_form import (
    ItemToItem,
    history_matrix,
    interaction_matrix,
    keep_largest,
)
from tfrec.baselines.ease import Ease
from tfrec.baselines.item_cf import ItemCf
from tfrec.baselines.popularity import Popularity
from tfrec.baselines.slim import Slim

MODELS = (Ease, ItemCf, Popularity, lambda: Slim(progress=False))


def test_interaction_matrix_by_hand():
    users, items = np.array([1, 3, 3, 3]), np.array([2, 1, 4, 1])
    found = interaction_matrix(users, items, 3, 4).toarray()
    np.testing.assert_array_equal(found, [[0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 1]])


def test_history_matrix_by_hand():
    history, splits = np.array([3, 1, 3, 2]), np.array([0, 3, 3, 4])
    found = history_matrix(history, splits, 3).toarray()
    np.testing.assert_array_equal(found, [[1, 0, 1], [0, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize("num_kept", [1, 3, None])
def test_keep_largest_against_sorting(num_kept):
    rng = np.random.default_rng(0)
    matrix = rng.integers(-3, 6, (12, 7)).astype("float64")
    found = keep_largest(sparse.csr_matrix(matrix), num_kept).toarray()
    for column, kept in zip(matrix.T, found.T, strict=True):
        stored = [row for row in range(12) if column[row] != 0]
        stored.sort(key=lambda row: (-column[row], row))
        expected = np.zeros(12)
        expected[stored[:num_kept]] = column[stored[:num_kept]]
        np.testing.assert_array_equal(kept, expected)


@pytest.mark.parametrize("as_sparse", [True, False])
def test_scores_are_sums_of_rows_of_similarities(as_sparse):
    rng = np.random.default_rng(0)
    model, similarities = ItemToItem(), rng.random((5, 5)).astype("float32")
    model.similarities = sparse.csr_matrix(similarities) if as_sparse else similarities
    users = history_matrix(np.array([2, 5, 3]), np.array([0, 2, 2, 3]), 5)
    expected = [similarities[1] + similarities[4], np.zeros(5), similarities[2]]
    np.testing.assert_allclose(model.score(users), expected, rtol=1e-6)


@pytest.mark.parametrize("make", MODELS)
def test_every_model_scores_all_items_and_leaves_its_input_alone(make):
    matrix = closed_forms.csr(closed_forms.dense())
    before = matrix.copy()
    scores = make().fit(matrix).score(matrix[:4])
    assert scores.shape == (4, 9)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert (matrix != before).nnz == 0


@pytest.mark.parametrize("make", MODELS)
def test_items_and_users_without_rows(make):
    matrix = closed_forms.dense()
    matrix[:, 3] = 0.0
    matrix[5] = 0.0
    scores = make().fit(closed_forms.csr(matrix)).score(closed_forms.csr(matrix))
    np.testing.assert_array_equal(scores[:, 3], 0)
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("make", MODELS)
def test_value_errors(make):
    matrix = closed_forms.csr(closed_forms.dense())
    with pytest.raises(ValueError, match="must be fitted before `score`"):
        make().score(matrix)
    with pytest.raises(ValueError, match="sparse matrix, .* Received: ndarray"):
        make().fit(matrix.toarray())
    with pytest.raises(ValueError, match=r"9 columns.*users.shape=\(40, 8\)"):
        make().fit(matrix).score(matrix[:, :8])
    matrix.data[3] = np.nan
    with pytest.raises(ValueError, match="finite values. Received: inf or NaN"):
        make().fit(matrix)
