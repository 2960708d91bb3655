"""The signatures, against the retriever on features that NumPy makes."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.nann import exports, problems
from tfrec import ops
from tfrec.nann.export import export
from tfrec.nann.retrieval import GraphRetriever

NUM_ITEMS = problems.NUM_ITEMS
RAW = exports.raw_ids(NUM_ITEMS).tolist()
UNKNOWN = 77
HISTORIES = [
    RAW[:4],
    RAW[5:15],  # longer than what the scorer sees
    [],
    [UNKNOWN, UNKNOWN],
    [RAW[3], UNKNOWN, 0, -5, RAW[20]],  # 0 is a raw id like any other
    [*RAW[:5], UNKNOWN, *RAW[10:14], UNKNOWN],
]


@pytest.fixture(scope="module")
def problem():
    return exports.nann()


@pytest.fixture(scope="module")
def folders(problem, tmp_path_factory):
    """The exports by their ops, in another place than they were written to."""
    model, index = problem
    path = tmp_path_factory.mktemp("written")
    moved = tmp_path_factory.mktemp("moved")
    options = {
        "max_history": exports.MAX_HISTORY,
        "item_features": {"category": problems.categories()},
    }
    found = {}
    for kind in ("custom", "reference"):
        written = export(model, index, exports.NANN_WALK, path, ops=kind, **options)
        found[kind] = moved / kind
        shutil.move(written, found[kind])
    return found


def test_the_graph_names_no_folder_and_only_custom_ops_need_more_than_stock(
    folders, tmp_path_factory
):
    for kind, folder in folders.items():
        text = (folder / "saved_model.pb").read_bytes()
        assert str(tmp_path_factory.getbasetemp()).encode() not in text
        saved = saved_model_pb2.SavedModel.FromString(text)
        functions = saved.meta_graphs[0].graph_def.library.function
        ops_used = {node.op for f in functions for node in f.node_def}
        is_custom = any(name.startswith("Tfrec>") for name in ops_used)
        is_compiled = any(f.attr["_XlaMustCompile"].b for f in functions)
        assert (is_custom, is_compiled) == (kind == "custom", kind == "custom")


@pytest.fixture(scope="module")
def served(folders):
    ops.load_library()
    return tf.saved_model.load(str(folders["custom"])).signatures


@pytest.fixture(scope="module")
def retriever(problem):
    return GraphRetriever(*problem, exports.NANN_WALK)


def features(index, histories):
    return {"history": problems.item_fields(exports.expected_history(index, histories))}


def history(histories):
    return tf.constant(exports.rectangle(histories))


def assert_same(found, ids, scores):
    np.testing.assert_array_equal(found["ids"], ids)
    np.testing.assert_allclose(found["scores"], scores, rtol=1e-5, atol=1e-5)


def test_retrieve(served, problem, retriever):
    _, index = problem
    found = served["retrieve"](history=history(HISTORIES), k=tf.constant(7))
    assert found["ids"].dtype == tf.int64
    assert found["scores"].dtype == tf.float32
    expected = retriever.retrieve(features(index, HISTORIES), 7)
    assert (expected.positions.numpy() >= 0).all()
    assert_same(found, index.item_ids[expected.positions], expected.scores)
    assert len({tuple(row) for row in found["ids"].numpy()}) > 2


def test_a_history_without_columns_is_an_empty_one(served):
    empty = tf.zeros([2, 0], tf.int64)
    found = served["retrieve"](history=empty, k=tf.constant(4))
    padded = served["retrieve"](history=history([[-1], [-1]]), k=tf.constant(4))
    assert_same(found, padded["ids"], padded["scores"])


def test_missing_results_are_minus_one(served, retriever, problem):
    _, index = problem
    found = served["retrieve"](history=history(HISTORIES), k=tf.constant(50))
    assert found["ids"].shape == (len(HISTORIES), 50)
    num_found = (found["ids"].numpy() != -1).sum(1)
    assert (num_found <= NUM_ITEMS).all()
    expected = retriever.retrieve(features(index, HISTORIES), 50).positions.numpy()
    np.testing.assert_array_equal(num_found, (expected >= 0).sum(1))
    for ids, scores, count in zip(
        found["ids"].numpy(), found["scores"].numpy(), num_found, strict=True
    ):
        assert len(set(ids[:count])) == count
        assert np.isfinite(scores[:count]).all()
        assert (ids[count:] == -1).all()
        assert (scores[count:] == -np.inf).all()


@pytest.mark.parametrize(
    ("k", "message"),
    [
        (0, "`k` must be at least 1"),
        (-3, "`k` must be at least 1"),
        (2**20 // len(HISTORIES) + 1, "`k` times the number of rows must be at most"),
        (2**31 - 1, "`k` times the number of rows must be at most 1048576"),
    ],
)
def test_k_is_bounded(served, k, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        served["retrieve"](history=history(HISTORIES), k=tf.constant(k))


@pytest.mark.parametrize(
    ("users", "candidates", "message"),
    [
        (2**30, 16, "`users` must be at most 4096"),
        (1, 2**30, "`candidates` times the number of rows must be at most 1048576"),
    ],
)
def test_warmup_is_bounded(served, users, candidates, message):
    sizes = {"users": tf.constant(users), "candidates": tf.constant(candidates)}
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        served["warmup"](**sizes)


def test_users_of_a_request_are_bounded(served):
    nobody = tf.zeros([4097, 0], tf.int64)
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 4096 rows"):
        served["retrieve"](history=nobody, k=tf.constant(1))


def test_retrieve_filtered(served, problem, retriever):
    _, index = problem
    best = served["retrieve"](history=history(HISTORIES), k=tf.constant(9))["ids"]
    unavailable = [int(best[0, 0]), int(best[1, 2]), UNKNOWN, int(best[0, 0])]
    seen = [[int(i) for i in row[1:3]] + [UNKNOWN] for row in best.numpy()]
    found = served["retrieve_filtered"](
        history=history(HISTORIES),
        k=tf.constant(6),
        unavailable=tf.constant(unavailable, tf.int64),
        seen=history(seen),
    )
    position = {raw: p for p, raw in enumerate(index.item_ids.tolist())}
    available = ~np.isin(index.item_ids, unavailable)
    assert available.sum() == NUM_ITEMS - len({*unavailable} - {UNKNOWN})
    positions = [[position.get(i, -1) for i in row] for row in seen]
    expected = retriever.retrieve(
        features(index, HISTORIES),
        6,
        tf.constant(available),
        tf.constant(positions, tf.int32),
    )
    assert_same(found, index.item_ids[expected.positions], expected.scores)
    for row, left_out in zip(found["ids"].numpy(), seen, strict=True):
        assert not {*row} & {*unavailable, *left_out}


def test_empty_filters_filter_nothing(served):
    expected = served["retrieve"](history=history(HISTORIES), k=tf.constant(5))
    found = served["retrieve_filtered"](
        history=history(HISTORIES),
        k=tf.constant(5),
        unavailable=tf.zeros([0], tf.int64),
        seen=tf.zeros([len(HISTORIES), 0], tf.int64),
    )
    assert_same(found, expected["ids"], expected["scores"])


def test_score(served, problem):
    model, index = problem
    positions = np.random.default_rng(0).integers(NUM_ITEMS, size=[len(HISTORIES), 40])
    items = index.item_ids[positions]
    items[1, 3] = UNKNOWN
    found = served["score"](history=history(HISTORIES), items=tf.constant(items))
    vectors = tf.gather(index.vectors, positions)
    expected = model.score(model.user_state(features(index, HISTORIES)), vectors)
    expected = expected.numpy()
    expected[1, 3] = -np.inf
    np.testing.assert_allclose(found["scores"], expected, rtol=1e-5, atol=1e-5)


def test_a_process_with_tensorflow_and_the_op_library(served, folders):
    expected = served["retrieve"](history=history(HISTORIES), k=tf.constant(7))
    found = exports.run_only_tensorflow(
        ops.library_path(), folders["custom"], HISTORIES, 7
    )
    assert_same(found, expected["ids"], expected["scores"])


def test_the_reference_runs_on_stock_tensorflow(served, folders):
    expected = served["retrieve"](history=history(HISTORIES), k=tf.constant(7))
    found = exports.run_only_tensorflow("-", folders["reference"], HISTORIES, 7)
    assert_same(found, expected["ids"], expected["scores"])
