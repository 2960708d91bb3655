"""EASE against constrained least squares, and its numbers on real data."""

import numpy as np
import pytest
import threadpoolctl
from scipy.linalg import lapack

from tests.baselines import closed_forms
from tfrec.baselines import ease
from tfrec.baselines.ease import Ease, EaseConfig
from tfrec.baselines.popularity import Popularity
from tfrec.data.splits import leave_one_out, ncf_leave_one_out
from tfrec.evaluation.negatives import official_negatives, sampled_negatives


@pytest.mark.parametrize("l2", [0.5, 20.0])
def test_weights_are_ridge_regressions_on_the_other_items(l2):
    matrix = closed_forms.dense().astype("float64")
    num_items = matrix.shape[1]
    expected = np.zeros((num_items, num_items))
    for item in range(num_items):
        others = np.delete(np.arange(num_items), item)
        # Ridge as least squares with l2's square root as rows of their own.
        rows = np.concatenate([matrix[:, others], l2**0.5 * np.eye(len(others))])
        target = np.concatenate([matrix[:, item], np.zeros(len(others))])
        expected[others, item] = np.linalg.lstsq(rows, target, rcond=None)[0]
    model = Ease(EaseConfig(l2=l2)).fit(closed_forms.csr(matrix))
    np.testing.assert_allclose(model.similarities, expected, rtol=1e-5, atol=1e-7)


def test_one_thread_gives_what_many_give(monkeypatch):
    matrix = closed_forms.csr(closed_forms.dense())
    expected = Ease().fit(matrix).similarities
    threads = []

    def limited(*arguments, **settings):
        threads.extend(pool["num_threads"] for pool in threadpoolctl.threadpool_info())
        return inverse(*arguments, **settings)

    inverse = lapack.dpotri
    monkeypatch.setattr(lapack, "dpotri", limited)
    monkeypatch.setattr(ease, "_MAX_THREADED_BYTES", 0)
    found = Ease().fit(matrix).similarities
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-8)
    assert 1 in threads


def test_direction_is_from_the_history_to_the_item():
    # Whoever has item 0 has item 1; many have item 1 alone.
    matrix = closed_forms.csr(np.array([[1.0, 1]] * 2 + [[0, 1]] * 8, "float32"))
    model = Ease(EaseConfig(l2=1.0)).fit(matrix)
    # Two users have both: the ridge weights are 2 / (2 + 1) and 2 / (10 + 1).
    np.testing.assert_allclose(model.similarities, [[0, 2 / 3], [2 / 11, 0]], rtol=1e-6)
    scores = model.score(closed_forms.csr(np.array([[1.0, 0]], "float32")))
    np.testing.assert_allclose(scores, [[0, 2 / 3]], rtol=1e-6)


def test_beats_popularity_on_ml_100k(ml_100k):
    split = leave_one_out(ml_100k)
    matrix = closed_forms.training_matrix(ml_100k, split)
    negatives = sampled_negatives(ml_100k, split.test, 99, seed=0)
    of_ease, of_popularity = (
        closed_forms.sampled_metrics(
            model.fit(matrix), split, negatives, ml_100k.num_items
        )
        for model in (Ease(), Popularity())
    )
    assert of_ease[0] > of_popularity[0] + 0.1
    assert of_ease[1] > of_popularity[1] + 0.05


def test_ml_1m_official_negatives(require_dataset):
    dataset = require_dataset("ml-1m")
    split = ncf_leave_one_out(dataset, num_validation_users=0, seed=0)
    model = Ease(EaseConfig(l2=500.0))
    model.fit(closed_forms.training_matrix(dataset, split))
    negatives = official_negatives(dataset, split.test)
    found = closed_forms.sampled_metrics(model, split, negatives, dataset.num_items)
    assert found == pytest.approx((0.7096, 0.4478), abs=0.005)


def test_value_errors():
    with pytest.raises(ValueError, match="`l2` must be above 0. Received: 0"):
        Ease(EaseConfig(l2=0.0))
