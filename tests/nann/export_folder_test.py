"""Version folders, any scorer, refusals, and what a warm-up leaves to compile."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.nann import exports
from tfrec import artifacts, ops
from tfrec.nann.export import FORMAT, KIND, export
from tfrec.nann.retrieval import GraphRetriever
from tfrec.ops.compilations import run_counted
from tfrec.serving import model_card, warmup

NUM_USERS = 3

WARM_UP_THEN_ASK = """
import json, sys
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2
from tfrec.ops.compilations import num_compilations

library, model, num_users, dump = sys.argv[1:]
num_users = int(num_users)
tf.load_op_library(library)
signatures = tf.saved_model.load(model).signatures
records = tf.data.TFRecordDataset(
    model + "/assets.extra/tf_serving_warmup_requests"
)
rng = np.random.default_rng(0)

def ask(num_requests):
    before = num_compilations(dump)
    for _ in range(num_requests):
        raw = rng.integers(150, size=[num_users, rng.integers(12)]) * 10**9
        items = rng.integers(150, size=[num_users, rng.integers(1, 120)]) * 10**9
        history = tf.constant(raw, tf.int64)
        signatures["retrieve"](history=history, k=tf.constant(5))
        signatures["score"](history=history, items=tf.constant(items, tf.int64))
        signatures["retrieve_filtered"](
            history=history, k=tf.constant(5), seen=history, unavailable=items[0]
        )
    return num_compilations(dump) - before

counts = {"cold": ask(2)}
before = num_compilations(dump)
for record in records:
    log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
    request = log.predict_log.request
    inputs = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
    signatures[request.model_spec.signature_name](**inputs)
counts["warmup"] = num_compilations(dump) - before
counts["warm"] = ask(40)
print(json.dumps(counts))
"""


def export_toy(path, scorer=None, **options):
    toy, index = exports.toy()
    options = {"max_history": exports.MAX_HISTORY, **options}
    return export(scorer or toy, index, exports.TOY_WALK, path, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("toy") / "model"
    return export_toy(path, warmup_users=(NUM_USERS,))


def test_after_the_records_nothing_compiles(folder):
    buckets = artifacts.load(folder, kind=KIND)["bucket_sizes"]
    assert len(buckets) > 5
    run = run_counted(
        WARM_UP_THEN_ASK, [ops.library_path(), str(folder), str(NUM_USERS)]
    )
    counts = json.loads(run.stdout)
    assert counts["cold"] > 0
    assert counts["cold"] + counts["warmup"] >= len(buckets)
    assert counts["warm"] == 0


def test_meta(folder):
    _, index = exports.toy()
    meta = artifacts.load(folder, kind=KIND, format=FORMAT, verify=True)
    retriever = GraphRetriever(*exports.toy(), exports.TOY_WALK)
    assert meta["bucket_sizes"] == list(retriever.buckets)
    assert meta["num_items"] == index.num_items
    assert (meta["ops"], meta["jit"]) == ("custom", True)
    assert meta["max_history"] == exports.MAX_HISTORY
    assert {"saved_model.pb", "variables/variables.index"} <= set(meta["files"])


def test_card(folder):
    card = model_card.read(folder)
    assert card["paper"].startswith("Chen et al. 2022")
    assert card["jit"] is True
    assert card["op_library"]["ops"] == ["Tfrec>GraphExpand", "Tfrec>VisitedInsert"]
    names = {"retrieve", "retrieve_filtered", "score", "warmup"}
    assert card["signatures"].keys() == names
    ids = {"dtype": "int64", "shape": [None, None]}
    assert card["signatures"]["retrieve"] == {
        "inputs": {"history": ids, "k": {"dtype": "int32", "shape": []}},
        "outputs": {"ids": ids, "scores": {"dtype": "float32", "shape": [None, None]}},
    }


def test_versions(folder):
    second = export_toy(folder.parent, ops="reference")
    card = model_card.read(second)
    assert (card["op_library"], card["jit"]) == (None, False)
    assert (folder.name, second.name) == ("1", "2")
    assert sorted(p.name for p in folder.parent.iterdir()) == ["1", "2"]
    assert artifacts.load(second, kind=KIND)["jit"] is False
    artifacts.load(folder, kind=KIND, verify=True)


def test_a_failed_export_leaves_nothing(tmp_path, monkeypatch):
    save = tf.saved_model.save

    def save_and_fail(*args, **kwargs):
        save(*args, **kwargs)
        raise OSError("no space left")

    monkeypatch.setattr(tf.saved_model, "save", save_and_fail)
    with pytest.raises(OSError, match="no space left"):
        export_toy(tmp_path / "model", jit=False)
    assert list((tmp_path / "model").iterdir()) == []


def test_another_scorer_with_a_profile(tmp_path):
    scorer, index = exports.toy()
    sizes = {"user_fields": ("age",), "warmup_users": (1, 2), "jit": False}
    path = export_toy(tmp_path, scorer, **sizes)
    signatures = tf.saved_model.load(str(path)).signatures
    raw = index.item_ids.tolist()
    histories = [raw[:3], raw[40:60], []]
    ages = np.array([20, 70, 33], np.int32)
    found = signatures["retrieve"](
        history=tf.constant(exports.rectangle(histories)),
        k=tf.constant(10),
        user_age=tf.constant(ages),
    )
    retriever = GraphRetriever(scorer, index, exports.TOY_WALK)
    item_ids = exports.expected_history(index, histories)
    features = {"user": {"age": ages}, "history": {"item": item_ids}}
    expected = retriever.retrieve(features, 10)
    np.testing.assert_array_equal(found["ids"], index.item_ids[expected.positions])
    np.testing.assert_allclose(found["scores"], expected.scores, atol=1e-5)
    check_records(path, signatures, (1, 2))


def check_records(path, signatures, warmup_users):
    """Each size meets each bucket, and one request; all of them run."""
    buckets = artifacts.load(path, kind=KIND)["bucket_sizes"]
    met, asked = [], []
    for record in warmup.read(path):
        request = record.predict_log.request
        inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
        name = request.model_spec.signature_name
        found = signatures[name](**{k: tf.constant(v) for k, v in inputs.items()})
        if name == "retrieve":
            users, k = len(inputs["history"]), int(inputs["k"])
            assert found["ids"].shape == (users, k)
            assert (found["ids"].numpy()[:, 0] >= 0).all()
            asked.append(users)
        else:
            size = int(inputs["users"]), int(inputs["candidates"])
            assert found["scores"].shape == size
            met.append(size)
    assert met == [(users, size) for users in warmup_users for size in buckets]
    assert asked == list(warmup_users)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_history": 0}, "`max_history` must be at least 1. Received: 0"),
        ({"item_features": {"category": [1, 2]}}, r"must have shape \(121,\)"),
        ({"ops": "fast"}, "`ops` must be one of"),
        ({"warmup_users": (1, 0)}, r"`warmup_users` must be .* Received: \(1, 0\)"),
    ],
)
def test_value_errors(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        export_toy(tmp_path / "model", **options)
    assert not (tmp_path / "model").exists()


def test_minus_one_is_no_raw_id(tmp_path):
    scorer, index = exports.toy()
    index.item_ids[7] = -1
    with pytest.raises(ValueError, match="must not hold -1.* Received: -1 at 7"):
        export(scorer, index, exports.TOY_WALK, tmp_path, max_history=3)
