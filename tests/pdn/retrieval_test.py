"""Greedy retrieval against eq. 14 in Python, and against scoring every item."""

import numpy as np
import pytest
import tensorflow as tf

from tests.pdn import indexes, problems
from tfrec.pdn.exact import ExactPaths
from tfrec.pdn.retrieval import PathRetriever

FEATURES = {"category": problems.categories()}
OPS = pytest.mark.parametrize("ops", ["custom", "reference"])


@pytest.fixture(scope="module", params=[(6, 4), ()], ids=["direct", "no-direct"])
def parts(request):
    model = problems.model(seed=3, direct_units=request.param)
    return model, indexes.build(model)


@OPS
@pytest.mark.parametrize("m", [1, 3, 8])
def test_against_the_equation(parts, ops, m):
    model, index = parts
    retriever = PathRetriever(model, index, FEATURES, m, num_paths=2, ops=ops)
    features = problems.features()
    found = retriever.retrieve(features, 5)
    for b in range(5):
        expected = indexes.greedy(model, index, features, b, m)
        best = sorted(expected, key=lambda p: (-expected[p][0], p))[:5]
        positions = found.positions.numpy()[b].tolist()
        assert positions == best + [-1] * (5 - len(best))
        for rank, position in enumerate(best):
            score, paths = expected[position]
            assert float(found.scores[b, rank]) == pytest.approx(score, rel=1e-4)
            contributions = found.path_contributions.numpy()[b, rank]
            wanted = [path for path, _ in paths[:2]] + [0.0] * (2 - len(paths))
            np.testing.assert_allclose(contributions, wanted, rtol=1e-4)
            assert found.path_triggers[b, rank, 0] == paths[0][1] - 1
    assert (found.positions.numpy()[0] == -1).all()  # no history, no path
    assert (found.scores.numpy()[0] == -np.inf).all()


@OPS
def test_whole_lists_give_the_exact_ranking(ops):
    """With every pair in the index and every trigger, greedy is exact."""
    model = problems.model(seed=4)
    index = indexes.build(model, k=29, k_hat=29, all_pairs=True)
    retriever = PathRetriever(model, index, FEATURES, problems.MAX_HISTORY, ops=ops)
    features = problems.features()
    history = features["history"]["item"].numpy()
    found = retriever.retrieve(features, 10, excluded=history - 1)
    scores = ExactPaths(model, FEATURES).scores(features)
    for b in range(2, 5):
        scores[b, history[b][history[b] > 0] - 1] = -np.inf
        best = np.argsort(-scores[b], kind="stable")[:10]
        assert found.positions.numpy()[b].tolist() == best.tolist()


@OPS
def test_left_out(parts, ops):
    model, index = parts
    retriever = PathRetriever(model, index, FEATURES, 8, ops=ops)
    features = problems.features()
    everything = retriever.retrieve(features, 30).positions.numpy()
    excluded = everything[:, :2].copy()
    delisted = int(everything[1, 3])
    available = np.ones(problems.NUM_ITEMS, bool)
    available[delisted] = False
    found = retriever.retrieve(features, 30, excluded, tf.constant(available))
    for b in range(5):
        gone = {*excluded[b].tolist(), delisted}
        kept = [p for p in everything[b].tolist() if p >= 0 and p not in gone]
        row = found.positions.numpy()[b]
        assert row[row >= 0].tolist() == kept


def test_triggers_are_the_heaviest(parts):
    model, index = parts
    retriever = PathRetriever(model, index, FEATURES, 3)
    features = problems.features()
    positions, weights = retriever.triggers(features)
    state = model.user_state(features)
    for b in range(5):
        real = features["history"]["item"].numpy()[b] > 0
        expected = np.sort(state["weights"].numpy()[b, real, 0])[::-1][:3]
        count = len(expected)
        np.testing.assert_allclose(weights[b, :count], expected, rtol=1e-6)
        assert (positions.numpy()[b, count:] == -1).all()


def test_similar_items(parts):
    model, index = parts
    retriever = PathRetriever(model, index, FEATURES, 3)
    positions, scores = retriever.similar_items(tf.constant([4, -1]), 8)
    begin, end = index.row_splits[4:6]
    count = end - begin
    assert positions.numpy()[0, :count].tolist() == index.neighbours[begin:end].tolist()
    np.testing.assert_array_equal(scores[0, :count], index.similarities[begin:end])
    assert (positions.numpy()[0, count:] == -1).all()
    assert (positions.numpy()[1] == -1).all()
    assert (scores.numpy()[1] == -np.inf).all()


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({"path_width": 3}, {}, "path_width=3"),
        ({"merge": "product"}, {}, "merge='product'"),
        ({}, {"num_triggers": 0}, "`num_triggers` must be at least 1"),
        ({}, {"ops": "fast"}, "`ops` must be in"),
    ],
)
def test_refuses(parts, changes, arguments, message):
    model = problems.model(**changes)
    arguments = {"num_triggers": 3, **arguments}
    with pytest.raises(ValueError, match=message):
        PathRetriever(model, parts[1], FEATURES, **arguments)


def test_reading_lists_does_not_make_retrieval_copy_them(parts):
    """A gather from a variable puts it into a mode in which each read copies it."""
    model, index = parts
    retriever = PathRetriever(model, index, FEATURES, 3)

    @tf.function
    def similar(positions):
        return retriever.similar_items(positions, 3)

    names = {
        op.type
        for op in similar.get_concrete_function(
            tf.TensorSpec([None], tf.int32)
        ).graph.get_operations()
    }
    assert "ReadVariableOp" in names
    assert "ResourceGather" not in names
