"""Eq. 6 to 12 against NumPy, padding, gradients, and all items against the model."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.pdn import numpy_pdn, problems
from tfrec.pdn.config import MERGES
from tfrec.pdn.exact import ExactPaths
from tfrec.pdn.model import Pdn

VARIANTS = [
    {},
    {"bias_net": False},
    {"direct_units": ()},
    {"merge": "product"},
    {"merge": "unconstrained"},
    {"path_width": 3},
    {"path_width": 3, "merge": "unconstrained"},
    {"trigger_units": (), "similarity_units": (6,)},
]


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
@pytest.mark.parametrize("own", [False, True])
def test_score(changes, own):
    """Eq. 7 and 12; with `own` a pair's counts are without the user."""
    model = problems.model(seed=3, **changes)
    features = problems.features()
    rng = np.random.default_rng(4)
    ids = rng.integers(1, problems.NUM_ITEMS + 1, (5, 2))
    owned = rng.integers(0, 2, (5, 2)).astype(np.float32) if own else None
    found = model.score(
        model.user_state(features),
        problems.items(ids),
        own=None if owned is None else tf.constant(owned),
    )
    for b in range(3):
        for c in range(2):
            item = {"item": ids[b, c], "category": problems.categories()[ids[b, c]]}
            own_bc = 0.0 if owned is None else owned[b, c]
            expected = numpy_pdn.score(model, features, b, item, own_bc)
            np.testing.assert_allclose(found[b, c], expected, rtol=2e-4, atol=1e-5)


def test_bias():
    """Eq. 12's softplus(y_bias): a linear function of the moment's embedding."""
    model = problems.model(seed=1)
    steps = np.array([1, 5, 8])
    found = model.bias({"step": tf.constant(steps, tf.int32)})
    linear = numpy_pdn.mlp(model.bias_output, [numpy_pdn.table(model, "step", steps)])
    np.testing.assert_allclose(found, numpy_pdn.softplus(linear), rtol=1e-5)


def test_weights_and_vectors():
    """Eq. 8 and 11 on their own: what is served."""
    model = problems.model(seed=2)
    features = problems.features()
    state = model.user_state(features)
    for b, place in ((1, 0), (1, 7), (2, 0)):
        expected = numpy_pdn.trigger_weight(model, features, b, place)
        np.testing.assert_allclose(state["weights"][b, place], expected, rtol=1e-4)
    items = problems.items(np.arange(1, 31))
    products = tf.linalg.matmul(
        model.user_vectors(features["user"]),
        model.item_vectors(items),
        transpose_b=True,
    )
    item = {"item": 7, "category": problems.categories()[7]}
    expected = numpy_pdn.direct(model, features, 3, item)
    np.testing.assert_allclose(products[3, 6], expected, rtol=1e-4)


def test_padding_does_not_matter():
    model = problems.model()
    features = problems.features()
    longer = {
        "user": features["user"],
        "history": {
            k: tf.pad(v, [[0, 0], [0, 5]]) for k, v in features["history"].items()
        },
    }
    items = problems.items(np.tile(np.arange(1, 7), (5, 1)))
    short = model.score(model.user_state(features), items)
    padded = model.score(model.user_state(longer), items)
    np.testing.assert_allclose(padded, short, rtol=1e-5)


def test_relevance_is_positive_and_grows_with_triggers():
    """Section 4.7: no path takes relevance away, unlike the unconstrained sum."""
    features = problems.features()
    items = problems.items(np.tile(np.arange(1, 31), (5, 1)))
    without = {
        "user": features["user"],
        "history": {k: v[:, :4] for k, v in features["history"].items()},
    }
    longer = (features["history"]["item"].numpy()[:, 4:] != 0).any(1)
    assert longer.any()
    for merge, grows in (("softplus_sum", True), ("unconstrained", False)):
        model = problems.model(seed=6, merge=merge)
        model.similarity_net.final.bias.assign([-3.0])  # items that are far apart
        more = model.score(model.user_state(features), items).numpy()[longer]
        fewer = model.score(model.user_state(without), items).numpy()[longer]
        assert (more > fewer).all() == grows
        assert (fewer > 0).all() == grows


@pytest.mark.parametrize("path_width", [1, 3])
@pytest.mark.parametrize("merge", MERGES)
def test_the_paths_of_an_untrained_model_add_up_to_little(merge, path_width):
    changes = {"initial_path": -8.0, "direct_units": ()}
    config = dataclasses.replace(
        problems.CONFIG, merge=merge, path_width=path_width, **changes
    )
    model = Pdn(config, problems.SCHEMA, problems.cooccurrence())
    items = problems.items(np.tile(np.arange(1, 31), (5, 1)))
    paths = model.score(model.user_state(problems.features()), items)
    assert np.abs(paths).max() < 1.0


def test_every_variable_is_trained():
    model = problems.model()
    features = problems.features()
    items = problems.items(np.tile(np.arange(1, 31), (5, 1)))
    with tf.GradientTape() as tape:
        scores = model.score(model.user_state(features), items)
        scores += model.bias({"step": tf.constant([1, 2, 3, 4, 5])})
        loss = tf.reduce_sum(scores * tf.random.stateless_normal(scores.shape, [0, 1]))
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert gradient is not None, variable.path
        assert float(tf.norm(tf.convert_to_tensor(gradient))) > 0, variable.path


SCALAR = [changes for changes in VARIANTS if "path_width" not in changes]


@pytest.mark.parametrize("changes", SCALAR, ids=str)
def test_all_items(changes):
    model = problems.model(seed=5, **changes)
    exact = ExactPaths(model, {"category": problems.categories()})
    features = problems.features()
    ids = np.tile(np.arange(1, problems.NUM_ITEMS + 1), (5, 1))
    expected = model.score(model.user_state(features), problems.items(ids))
    np.testing.assert_allclose(exact.scores(features), expected, rtol=1e-4, atol=1e-5)
    related = exact.item_to_item(features)
    assert related.shape == (5, problems.NUM_ITEMS)
    assert (related[0] == 0).all()  # no history
    triggers = features["history"]["item"].numpy()[2]
    expected = np.exp(exact.similarities.numpy()[triggers[triggers > 0]]).sum(0)
    np.testing.assert_allclose(related[2], expected, rtol=1e-5)


def test_vectors_have_no_matrix():
    with pytest.raises(ValueError, match="path_width=3"):
        ExactPaths(problems.model(path_width=3), {"category": problems.categories()})
