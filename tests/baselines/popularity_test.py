"""Popularity by hand, and its published numbers on ml-1m."""

import numpy as np
import pytest

from tests.baselines import closed_forms
from tfrec.baselines.popularity import Popularity
from tfrec.data.splits import ncf_leave_one_out
from tfrec.evaluation.negatives import official_negatives


def test_counts_users_not_ratings():
    matrix = closed_forms.csr(np.array([[5.0, 0, 1], [4, 0, 0]], "float32"))
    scores = Popularity().fit(matrix).score(matrix)
    np.testing.assert_array_equal(scores, [[2, 0, 1], [2, 0, 1]])


def test_ml_1m_official_negatives(require_dataset):
    dataset = require_dataset("ml-1m")
    split = ncf_leave_one_out(dataset, num_validation_users=0, seed=0)
    model = Popularity().fit(closed_forms.training_matrix(dataset, split))
    negatives = official_negatives(dataset, split.test)
    found = closed_forms.sampled_metrics(model, split, negatives, dataset.num_items)
    assert found == pytest.approx((0.4538, 0.2536), abs=0.005)
