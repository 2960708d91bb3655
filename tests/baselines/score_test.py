"""Scores of every baseline against NumPy, and what may change them."""

import numpy as np
import pytest
import tensorflow as tf

from tests.baselines import numpy_baselines, problems
from tfrec.data.schema import Schema

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


@pytest.mark.parametrize(
    ("name", "is_sequential"),
    [
        ("dssm", False),
        ("youtube_dnn", False),
        ("bst", True),
        ("din", False),
        ("sasrec", True),
    ],
)
def test_order_matters_to_sequential_models_alone(name, is_sequential):
    model, features = problems.model(name), problems.batch()
    rows = np.flatnonzero((features["history"]["item"] != 0).all(axis=1))
    features = tf.nest.map_structure(lambda array: array[rows], features)
    order = [2, 0, 3, 1, 5, 4]
    shuffled = {k: v[:, order] for k, v in features["history"].items()}
    items = problems.candidates((len(rows), 4))
    found = _score(model, {**features, "history": shuffled}, items)
    expected = _score(model, features, items)
    assert len(rows) > 0
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-5) is not is_sequential


@pytest.mark.parametrize("name", NAMES)
def test_behaviours_matter_to_all_but_dssm(name):
    model, features = problems.model(name), problems.batch()
    other = problems.batch(seed=1)["history"]
    items = problems.candidates((problems.NUM_USERS, 4))
    found = _score(model, {**features, "history": other}, items)
    same = np.isclose(found, _score(model, features, items)).all(axis=1)
    is_empty = features["history"]["item"][:, 0] == 0
    np.testing.assert_array_equal(same, is_empty | (name == "dssm"))


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_of_item_ids_alone(name):
    item = problems.ITEM[:1]
    schema = Schema(user=problems.SCHEMA.user[:1], history=item, candidates=item)
    model = problems.model(name, schema=schema)
    features = problems.batch()
    items = {"item": problems.candidates((4,))["item"]}
    features["history"] = {"item": features["history"]["item"]}
    assert _score(model, features, items).shape == (problems.NUM_USERS, 4)


@pytest.mark.parametrize("name", ["bst", "sasrec"])
def test_a_history_without_positions_is_refused(name):
    message = "`history` must have at most max_history=10 behaviours. Received: L=11"
    features = problems.batch(length=11)
    with pytest.raises(ValueError, match=message):
        problems.model(name).user_state(features)
