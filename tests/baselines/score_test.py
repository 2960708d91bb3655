"""Scores of every baseline against NumPy, and what may change them."""

import numpy as np
import pytest

from tests.baselines import numpy_baselines, problems

NAMES = tuple(problems.MODELS)


def _score(model, features: dict, items: dict) -> np.ndarray:
    return model.score(model.user_state(features), model.item_vectors(items)).numpy()


@pytest.mark.parametrize("name", NAMES)
def test_score_is_the_papers_on_random_weights(name):
    model, features = problems.model(name), problems.batch()
    items = problems.candidates((problems.NUM_USERS, 4))
    expected = numpy_baselines.scores(model, name, features, items)
    found = _score(model, features, items)
    assert found.dtype == np.float32
    assert np.std(expected) > 0.01
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_shared_candidates_score_as_each_users_own(name):
    model, features = problems.model(name), problems.batch()
    items = problems.candidates((5,))
    own = {k: np.tile(v, (problems.NUM_USERS, 1)) for k, v in items.items()}
    shared = _score(model, features, items)
    assert shared.shape == (problems.NUM_USERS, 5)
    np.testing.assert_allclose(shared, _score(model, features, own), rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_padding_does_not_matter(name):
    model, features = problems.model(name), problems.batch()
    items = problems.candidates((problems.NUM_USERS, 4))
    longer = {k: np.pad(v, ((0, 0), (0, 3))) for k, v in features["history"].items()}
    found = _score(model, {**features, "history": longer}, items)
    np.testing.assert_allclose(found, _score(model, features, items), rtol=1e-5)
    # What a padded behaviour's other fields hold is not read either.
    is_pad = longer["item"] == 0
    for key in ("category", "rating"):
        longer[key] = np.where(is_pad, 1, longer[key])
    found = _score(model, {**features, "history": longer}, items)
    np.testing.assert_allclose(found, _score(model, features, items), rtol=1e-5)
