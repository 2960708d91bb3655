"""Items newer than the model: retrieved, and leading to others, without a training."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy import sparse

from tests.pdn import exports, index_problems, indexes, numpy_pdn, problems
from tfrec import stores
from tfrec.pdn.index_extend import extend
from tfrec.pdn.index_inputs import IndexInputs
from tfrec.pdn.index_store import write_to_store
from tfrec.pdn.pair_scores import pair_scorer
from tfrec.pdn.retrieval import PathRetriever
from tfrec.pdn.store_retrieval import StoreRetriever
from tfrec.stores import StoreError

OLD, NEW = problems.NUM_ITEMS, 4
NEW_CATEGORY = 9  # beyond the model's table, like the ids of the items
CATEGORIES = np.append(problems.categories(), [1, 2, NEW_CATEGORY, 3]).astype(np.int32)
RAW_IDS = np.append(indexes.RAW_IDS, [5, 6, 7, 8])
TRIGGER = 12  # an old item that users met together with each new one


def inputs(model) -> IndexInputs:
    """The old items' counts, and of each new one with an old one."""
    counts = model.cooccurrence.counts.tolil(copy=True)
    counts.resize(OLD + NEW + 1, OLD + NEW + 1)
    counts[TRIGGER, OLD + 1 :] = 50
    counts[OLD + 1 :, TRIGGER] = 50
    return IndexInputs(RAW_IDS, sparse.csr_matrix(counts), {"category": CATEGORIES})


@pytest.fixture(scope="module")
def parts():
    model = problems.model(seed=8)
    index = indexes.build(model, k=20, k_hat=25)
    return (
        model,
        index,
        extend(
            index,
            inputs(model),
            pair_scorer(model, {"category": CATEGORIES}),
            "model-1",
        ),
    )


@pytest.fixture(scope="module")
def retriever(parts):
    return PathRetriever(parts[0], parts[2], {"category": CATEGORIES}, 4)


def features(trigger: int) -> dict:
    """A user who has met one item."""
    history = {"item": [[trigger]], "category": [[CATEGORIES[trigger]]]}
    history |= {"rating": [[4]], "recency": [[1]]}
    return {
        "user": {"user": tf.constant([2]), "gender": tf.constant([1])},
        "history": {k: tf.constant(v, tf.int32) for k, v in history.items()},
    }


def test_similarity_of_a_new_item_is_of_what_is_known_of_it(parts):
    """Eq. 9 with zeros for the item's own row, its category, and no co-occurrence."""
    model = parts[0]
    new = np.array([31, 33], np.int32)
    found = pair_scorer(model, {"category": CATEGORIES})(
        np.full(2, TRIGGER, np.int32), new
    )
    trigger = {"item": TRIGGER, "category": CATEGORIES[TRIGGER]}
    nothing = np.zeros(len(model.cooccurrence.feature_names), int)
    for similarity, category in zip(found, (1, 0), strict=True):
        item = {"item": 0, "category": category}
        expected = numpy_pdn.similarity(model, trigger, item, nothing)
        np.testing.assert_allclose(similarity, expected[0], rtol=1e-4)
    assert found[0] != found[1]


def test_new_items_are_retrieved_by_their_features(parts, retriever):
    """Eq. 14: t of the trigger, s of the index, and q_i of the category alone."""
    model, _, extended = parts
    user = features(TRIGGER)
    found = retriever.retrieve(user, OLD + NEW)
    weight = float(numpy_pdn.trigger_weight(model, user, 0, 0)[0])
    listed = dict(index_problems.lists(extended)[TRIGGER - 1])
    new = [position for position in listed if position >= OLD]
    assert new
    scores = dict(zip(found.positions.numpy()[0], found.scores.numpy()[0], strict=True))
    for position in new:
        category = CATEGORIES[position + 1] % NEW_CATEGORY
        item = {"item": 0, "category": category}
        direct = numpy_pdn.softplus(numpy_pdn.direct(model, user, 0, item))
        expected = direct + numpy_pdn.softplus(weight + listed[position])
        assert scores[position] == pytest.approx(expected, rel=1e-4)


def test_a_new_item_leads_to_others(parts, retriever):
    """As a trigger: TrigNet knows its category and the behaviour, its list exists."""
    model, _, extended = parts
    found = retriever.retrieve(features(OLD + 1), OLD + NEW)
    known = features(OLD + 1)
    known["history"]["item"] *= 0
    weight = float(numpy_pdn.trigger_weight(model, known, 0, 0)[0])
    listed = dict(index_problems.lists(extended)[OLD])
    positions = found.positions.numpy()[0, : len(listed)]
    assert set(positions) == set(listed)
    assert (found.positions.numpy()[0, len(listed) :] == -1).all()
    assert (found.path_triggers.numpy()[0, : len(listed), 0] == OLD).all()
    shares = found.path_contributions.numpy()[0, : len(listed), 0]
    expected = [numpy_pdn.softplus(weight + listed[p]) for p in positions]
    np.testing.assert_allclose(shares, expected, rtol=1e-4)


def test_old_paths_stay_as_they_are(parts, retriever):
    model, index, extended = parts
    for held, found in zip(*map(index_problems.lists, (index, extended)), strict=False):
        held = dict(held)
        assert all(held[i] == s for i, s in found if i < OLD)
    before = PathRetriever(model, index, {"category": problems.categories()}, 4)
    for trigger in (1, 5, TRIGGER):
        asked = features(trigger)
        np.testing.assert_array_equal(
            retriever.triggers(asked)[1], before.triggers(asked)[1]
        )


def test_an_export_serves_new_items(parts, retriever, tmp_path):
    model, _, extended = parts
    item = {"category": CATEGORIES}
    fields = dataclasses.replace(exports.fields(), item=item, times=None)
    path = exports.write(model, extended, tmp_path, fields=fields, ops="reference")
    served = tf.saved_model.load(str(path)).signatures
    for trigger in (TRIGGER, OLD + 1):
        asked = features(trigger)
        found = served["retrieve"](
            user=tf.constant(exports.RAW_USERS[[1]]),
            user_gender=tf.constant(["F"]),
            history=tf.constant(RAW_IDS[[[trigger - 1]]]),
            history_rating=tf.constant([[4.0]]),
            k=tf.constant(OLD + NEW),
        )
        expected = retriever.retrieve(asked, OLD + NEW)
        positions = expected.positions.numpy()
        ids = np.where(positions >= 0, RAW_IDS[positions], -1)
        np.testing.assert_array_equal(found["ids"], ids)
        np.testing.assert_allclose(found["scores"], expected.scores, rtol=1e-5)
    pair = [tf.constant(RAW_IDS[ids]) for ids in ([OLD, 3], [3, OLD + 2])]
    found = served["similarities"](triggers=pair[0], items=pair[1])["similarities"]
    expected = pair_scorer(model, {"category": CATEGORIES})(
        np.array([OLD + 1, 4]), np.array([4, OLD + 3])
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_store_with_new_items_needs_a_retriever_with_their_features(
    parts, retriever, tmp_path
):
    model, index, extended = parts
    older = PathRetriever(model, index, {"category": problems.categories()}, 4)
    asked = features(TRIGGER)
    with stores.open_store(f"lmdb://{tmp_path}/store") as store:
        write_to_store(extended, store, "2")
        store.switch("2")
        found = StoreRetriever(retriever, store, "model-1").retrieve(asked, 40)
        expected = retriever.retrieve(asked, 40)
        np.testing.assert_array_equal(found.positions, expected.positions)
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6)
        with pytest.raises(StoreError, match=r"retriever's 30 items.*position 3\d"):
            StoreRetriever(older, store, "model-1").retrieve(asked, 40)


def test_features_of_all_items_must_be_given(parts):
    model, _, extended = parts
    message = r"`item_features\['category'\]` must have shape \(35,\).*\(31,\)"
    with pytest.raises(ValueError, match=message):
        PathRetriever(model, extended, {"category": problems.categories()}, 4)
