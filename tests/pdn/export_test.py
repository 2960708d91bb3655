"""The signatures, against the Python objects on the features that training has."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.pdn import exports, index_problems, indexes, problems
from tests.serving import fresh_process
from tfrec import ops
from tfrec.pdn import index_build
from tfrec.pdn.export import Served
from tfrec.pdn.index_shards import IndexConfig
from tfrec.pdn.pair_scores import pair_scorer
from tfrec.pdn.retrieval import PathRetriever
from tfrec.pdn.saved_similarity import SavedSimilarity

KINDS = ("custom", "reference")
OUTPUTS = ("scores", "path_contributions")
NO_HISTORY = 0  # the first of the examples


@pytest.fixture(scope="module")
def problem():
    model = exports.model()
    return model, indexes.build(model)


@pytest.fixture(scope="module")
def folders(problem, tmp_path_factory):
    """The exports by their ops, in another place than they were written to."""
    path = tmp_path_factory.mktemp("written")
    moved = tmp_path_factory.mktemp("moved")
    for kind in KINDS:
        shutil.move(exports.write(*problem, path, ops=kind), moved / kind)
    return {kind: moved / kind for kind in KINDS}


@pytest.fixture(scope="module")
def loaded(folders):
    ops.load_library()
    return {kind: tf.saved_model.load(str(path)) for kind, path in folders.items()}


@pytest.fixture(scope="module", params=KINDS)
def served(loaded, request):
    return loaded[request.param].signatures


@pytest.fixture(scope="module")
def retriever(problem):
    return PathRetriever(
        *problem, exports.fields().item, exports.NUM_TRIGGERS, exports.NUM_PATHS
    )


def assert_same(found, expected):
    """A result of `retrieve` and one of the retriever, in positions."""
    ids, triggers = exports.raw(expected.positions), exports.raw(expected.path_triggers)
    np.testing.assert_array_equal(found["ids"], ids)
    np.testing.assert_array_equal(found["path_triggers"], triggers)
    for name in OUTPUTS:
        np.testing.assert_allclose(found[name], getattr(expected, name), rtol=1e-5)


def assert_equal(found, expected):
    """Two results of `retrieve`."""
    for name in ("ids", "path_triggers"):
        np.testing.assert_array_equal(found[name], expected[name])
    for name in OUTPUTS:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)


def test_features_are_those_of_training(retriever):
    """Profile, ratings, ranks from the end and times before the last, to the id."""
    expected = exports.features()
    made = Served(
        retriever, indexes.RAW_IDS, exports.RAW_USERS, exports.fields()
    ).features(exports.request())
    lengths = np.diff(exports.examples().history_splits)
    assert lengths.min() == 0 < problems.MAX_HISTORY < lengths.max()
    for part in ("user", "history"):
        assert set(made[part]) == set(expected[part])
        for name, values in expected[part].items():
            np.testing.assert_array_equal(made[part][name], values, name)
    assert len(np.unique(expected["history"]["time_gap"])) > 4


@pytest.mark.parametrize("k", [5, 60])
def test_retrieve(served, retriever, k):
    found = served["retrieve"](k=tf.constant(k), **exports.request())
    assert (found["ids"].dtype, found["scores"].dtype) == (tf.int64, tf.float32)
    assert found["ids"].shape == (26, k)
    assert found["path_triggers"].shape == (26, k, exports.NUM_PATHS)
    assert_same(found, retriever.retrieve(exports.features(), k))
    assert len({tuple(row) for row in found["ids"].numpy()}) > 10


def test_an_empty_history_retrieves_nothing(served):
    found = served["retrieve"](k=tf.constant(3), **exports.request())
    assert (found["ids"][NO_HISTORY].numpy() == -1).all()
    assert (found["scores"][NO_HISTORY].numpy() == -np.inf).all()
    empty = {
        name: values[:, :0] if name.startswith("history") else values
        for name, values in exports.request().items()
    }
    found = served["retrieve"](k=tf.constant(3), **empty)
    assert (found["ids"].numpy() == -1).all()
    assert (found["path_triggers"].numpy() == -1).all()


def test_unknown_items_are_left_out_with_what_stands_beside_them(served):
    request = exports.request()
    expected = served["retrieve"](k=tf.constant(8), **request)
    strange = {"history": exports.UNKNOWN, "history_rating": 0.5}
    strange["history_timestamp"] = 4 * 10**9  # the latest of all
    for name, value in strange.items():
        values = np.insert(request[name].numpy(), [1, 3, 6], value, axis=1)
        request[name] = tf.pad(values, [[0, 0], [0, 1]], constant_values=value)
    assert_equal(served["retrieve"](k=tf.constant(8), **request), expected)


def test_an_unknown_user_and_unknown_values_are_id_0(served, retriever):
    request, features = exports.request(), exports.features()
    request["user"] = tf.fill([26], np.int64(exports.UNKNOWN))
    request["user_gender"] = tf.fill([26], "")
    request["history_rating"] = tf.fill(request["history"].shape, 3.25)
    features["user"] = {k: v * 0 for k, v in features["user"].items()}
    features["history"]["rating"] *= 0
    found = served["retrieve"](k=tf.constant(5), **request)
    assert_same(found, retriever.retrieve(features, 5))
    assert (found["ids"][NO_HISTORY + 1 :, 0].numpy() != -1).all()


@pytest.mark.parametrize(
    ("k", "message"),
    [
        (0, "`k` must be at least 1"),
        (-3, "`k` must be at least 1"),
        (2**20 + 1, "`k` times the number of rows must be at most 1048576"),
        (2**31 - 1, "`k` times the number of rows must be at most 1048576"),
    ],
)
def test_k_is_bounded(served, k, message):
    request, none = exports.request(), tf.zeros([0], tf.int64)
    filters = {"unavailable": none, "seen": tf.zeros([26, 0], tf.int64)}
    calls = {
        "retrieve": request,
        "retrieve_filtered": {**request, **filters},
        "similar_items": {"items": none},
    }
    for name, inputs in calls.items():
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            served[name](k=tf.constant(k), **inputs)


@pytest.mark.parametrize("name", ["history_rating", "history_timestamp"])
def test_behaviours_must_stand_beside_items(served, name):
    """A shorter row would shift or lose what belongs to an item."""
    request = exports.request()
    request[name] = request[name][:, :-1]
    message = f"`{name}` must have the shape of `history`"
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        served["retrieve"](k=tf.constant(3), **request)


def test_users_must_be_as_many_as_histories(served):
    request = exports.request()
    request["user"] = request["user"][:1]
    with pytest.raises(tf.errors.InvalidArgumentError, match="`user` must have an el"):
        served["triggers"](**request)


def test_retrieve_filtered(served, retriever):
    request = exports.request()
    best = served["retrieve"](k=tf.constant(9), **request)["ids"].numpy()
    unavailable = [int(best[0, 0]), int(best[1, 2]), exports.UNKNOWN, int(best[0, 0])]
    seen = np.insert(best[:, 1:3], 1, exports.UNKNOWN, axis=1)
    found = served["retrieve_filtered"](
        k=tf.constant(6),
        unavailable=tf.constant(unavailable, tf.int64),
        seen=tf.constant(seen),
        **request,
    )
    position = {raw: p for p, raw in enumerate(indexes.RAW_IDS.tolist())}
    excluded = [[position.get(i, -1) for i in row] for row in seen.tolist()]
    available = tf.constant(~np.isin(indexes.RAW_IDS, unavailable))
    expected = retriever.retrieve(
        exports.features(), 6, tf.constant(excluded, tf.int32), available
    )
    assert_same(found, expected)
    for row, left_out in zip(found["ids"].numpy(), seen, strict=True):
        assert not {*row} - {-1} & {*unavailable, *left_out}


def test_triggers(served, retriever):
    found = served["triggers"](**exports.request())
    positions, weights = retriever.triggers(exports.features())
    np.testing.assert_array_equal(found["ids"], exports.raw(positions))
    np.testing.assert_allclose(found["weights"], weights, rtol=1e-5)
    assert found["ids"].shape == (26, exports.NUM_TRIGGERS)


def test_similar_items(served, problem):
    _, index = problem
    asked = tf.constant([*indexes.RAW_IDS, exports.UNKNOWN], tf.int64)
    found = served["similar_items"](items=asked, k=tf.constant(9))
    lists = [*index_problems.lists(index), []]
    assert min(map(len, lists)) < max(map(len, lists)) < 9
    for row, pairs in enumerate(lists):
        rest = 9 - len(pairs)
        ids = [int(indexes.RAW_IDS[position]) for position, _ in pairs]
        scores = [score for _, score in pairs]
        assert found["ids"][row].numpy().tolist() == ids + [-1] * rest
        assert found["similarities"][row].numpy().tolist() == scores + [-np.inf] * rest


def test_similarities(served, problem):
    model, _ = problem
    pairs = np.array([[1, 2], [2, 1], [30, 7], [5, 5]])
    triggers, items = (tf.constant(indexes.RAW_IDS[ids - 1]) for ids in pairs.T)
    found = served["similarities"](triggers=triggers, items=items)["similarities"]
    simnet = pair_scorer(model, {"category": problems.categories()})
    expected = simnet(*pairs.T)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    unknown = tf.fill([4], np.int64(exports.UNKNOWN))
    found = served["similarities"](triggers=triggers, items=unknown)["similarities"]
    expected = simnet(pairs[:, 0], np.zeros(4, np.int32))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_index_of_the_exported_similarity_is_the_models(folders, problem):
    model, index = problem
    inputs = indexes.inputs(model)
    score_pairs = SavedSimilarity(str(folders["reference"]))(inputs)
    config = IndexConfig(k=6, k_hat=15)
    built = index_build.build(inputs, score_pairs, config, indexes.VERSION)
    np.testing.assert_array_equal(built.neighbours, index.neighbours)
    np.testing.assert_array_equal(built.row_splits, index.row_splits)
    np.testing.assert_allclose(built.similarities, index.similarities, rtol=1e-5)


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
        assert is_custom == (kind == "custom")


def test_a_process_without_tfrec(folders, loaded):
    request = exports.request()
    expected = loaded["custom"].signatures["retrieve"](k=tf.constant(7), **request)
    sent = {name: value.numpy() for name, value in request.items()}
    sent["user_gender"] = sent["user_gender"].astype(str)
    for kind, library in (("custom", ops.library_path()), ("reference", "-")):
        found = fresh_process.retrieve(library, folders[kind], {**sent, "k": 7})
        assert_equal(found, expected)
