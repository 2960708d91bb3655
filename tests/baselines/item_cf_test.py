"""Pearson's similarities against NumPy's, and what shrinks and prunes them."""

import numpy as np
import pytest

from tests.baselines import closed_forms
from tfrec.baselines.item_cf import ItemCf, ItemCfConfig
from tfrec.baselines.popularity import Popularity
from tfrec.data.splits import leave_one_out
from tfrec.evaluation.negatives import sampled_negatives

PLAIN = ItemCfConfig(shrinkage=0.0, num_neighbours=None)


def _similarities(matrix: np.ndarray, config: ItemCfConfig) -> np.ndarray:
    return ItemCf(config).fit(closed_forms.csr(matrix)).similarities.toarray()


def _expected(matrix: np.ndarray, shrinkage: float) -> np.ndarray:
    both = (matrix != 0).T.astype(float) @ (matrix != 0)
    found = np.corrcoef(matrix, rowvar=False)
    found = found * both / np.maximum(both + shrinkage, 1.0)
    np.fill_diagonal(found, 0.0)
    return found


@pytest.mark.parametrize("shrinkage", [0.0, 7.0])
@pytest.mark.parametrize("is_rated", [False, True])
def test_against_numpy(shrinkage, is_rated):
    matrix = closed_forms.dense(num_users=12).astype("float64")
    if is_rated:
        matrix *= np.random.default_rng(1).integers(1, 6, matrix.shape)
    matrix[:, 0] *= matrix[:, 1] == 0  # a pair that no user has both of
    assert matrix[:, 0].any()
    expected = _expected(matrix, shrinkage)
    assert expected[0, 1] == 0
    found = _similarities(matrix, ItemCfConfig(shrinkage, None))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_by_hand():
    # Items 0 and 1 share one of four users, each has two: covariance 1/4 - 1/4 = 0.
    # Items 0 and 2 are the same: correlation 1; two users of two have both.
    matrix = np.array([[1.0, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0]])
    found = _similarities(matrix, ItemCfConfig(shrinkage=2.0, num_neighbours=None))
    np.testing.assert_allclose(found, [[0, 0, 0.5], [0, 0, 0], [0.5, 0, 0]], atol=1e-7)


def test_an_item_that_everybody_has_correlates_with_none():
    matrix = closed_forms.dense()
    matrix[:, 2] = 1.0
    found = _similarities(matrix, PLAIN)
    np.testing.assert_array_equal(found[2], 0)
    np.testing.assert_array_equal(found[:, 2], 0)


def test_neighbours_are_the_most_similar_of_each_item():
    matrix = closed_forms.dense(num_users=60)
    whole = _similarities(matrix, PLAIN)
    found = _similarities(matrix, ItemCfConfig(shrinkage=0.0, num_neighbours=3))
    for column, kept in zip(whole.T, found.T, strict=True):
        best = np.argsort(-column)[:3]
        assert set(np.flatnonzero(kept)) == set(best)
        np.testing.assert_array_equal(kept[best], column[best])


def test_beats_popularity_on_ml_100k(ml_100k):
    split = leave_one_out(ml_100k)
    matrix = closed_forms.training_matrix(ml_100k, split)
    negatives = sampled_negatives(ml_100k, split.test, 99, seed=0)
    related, popularity = (
        closed_forms.sampled_metrics(
            model.fit(matrix), split, negatives, ml_100k.num_items
        )
        for model in (ItemCf(), Popularity())
    )
    assert related[0] > popularity[0] + 0.05


@pytest.mark.parametrize("config", [ItemCfConfig(-1.0), ItemCfConfig(0.0, 0)])
def test_value_errors(config):
    with pytest.raises(ValueError, match="`shrinkage` must be at least 0, .* Received"):
        ItemCf(config)
