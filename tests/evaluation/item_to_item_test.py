"""Item-to-item scores against sums written out, and by closed forms."""

import numpy as np
import pytest

from tests.baselines import closed_forms
from tfrec.baselines.closed_form import history_matrix
from tfrec.baselines.ease import Ease
from tfrec.evaluation.item_to_item import item_to_item_scores


@pytest.mark.parametrize("block_size", [1, 3, 1024])
def test_against_sums(block_size):
    rng = np.random.default_rng(0)
    matrix = rng.random((8, 8)).astype("float32")
    history = np.array([[3, 1, 3, 0], [0, 0, 0, 0], [8, 2, 0, 5]])
    asked = []

    def rows(ids):
        asked.append(ids)
        return matrix[ids - 1]

    found = item_to_item_scores(rows, history, 8, block_size)
    expected = [sum((matrix[j - 1] for j in row if j), np.zeros(8)) for row in history]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert max(map(len, asked)) <= block_size
    np.testing.assert_array_equal(np.concatenate(asked), [1, 2, 3, 5, 8])


def test_is_the_score_of_a_closed_form():
    model = Ease().fit(closed_forms.csr(closed_forms.dense()))
    history = np.array([[9, 4], [2, 0]])
    users = history_matrix(np.array([9, 4, 2]), np.array([0, 2, 3]), 9)
    found = item_to_item_scores(lambda ids: model.similarities[ids - 1], history, 9)
    np.testing.assert_allclose(found, model.score(users), rtol=1e-6)


def test_value_errors():
    with pytest.raises(ValueError, match=r"history.shape=\(2,\)"):
        item_to_item_scores(lambda ids: np.zeros((len(ids), 4)), np.array([1, 2]), 4)
    with pytest.raises(ValueError, match=r"rows \(2, 4\). Received: shape \(2, 5\)"):
        item_to_item_scores(lambda ids: np.zeros((len(ids), 5)), np.array([[1, 2]]), 4)
