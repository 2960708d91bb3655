"""Version folders, models with fewer features, refusals."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.pdn import exports, indexes, problems
from tfrec import artifacts
from tfrec.artifacts import ArtifactError
from tfrec.data.fields import Fields
from tfrec.data.schema import Field, Schema
from tfrec.pdn.cooccurrence import Cooccurrence
from tfrec.pdn.export import FORMAT, KIND
from tfrec.pdn.index_build import build
from tfrec.pdn.index_inputs import IndexInputs
from tfrec.pdn.index_shards import IndexConfig
from tfrec.pdn.model import Pdn
from tfrec.pdn.retrieval import PathRetriever
from tfrec.serving import model_card, warmup


@pytest.fixture(scope="module")
def problem():
    model = exports.model()
    return model, indexes.build(model)


def test_meta_and_versions(problem, tmp_path):
    folders = [exports.write(*problem, tmp_path, ops=k) for k in ("reference",) * 2]
    assert [folder.name for folder in folders] == ["1", "2"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2"]
    meta = artifacts.load(folders[0], kind=KIND, format=FORMAT, verify=True)
    assert {"saved_model.pb", "variables/variables.index"} <= set(meta["files"])
    expected = {
        "ops": "reference",
        "model_version": indexes.VERSION,
        "num_items": problems.NUM_ITEMS,
        "max_history": problems.MAX_HISTORY,
        "num_triggers": exports.NUM_TRIGGERS,
        "num_paths": exports.NUM_PATHS,
        "inputs": {
            "user": "int64",
            "user_gender": "string",
            "history": "int64",
            "history_rating": "float32",
            "history_timestamp": "int64",
        },
    }
    assert {name: meta[name] for name in expected} == expected


@pytest.mark.parametrize("kind", ["custom", "reference"])
def test_card_and_records(problem, tmp_path, kind):
    sizes = (1, 3)
    path = exports.write(*problem, tmp_path, ops=kind, warmup_users=sizes)
    card = model_card.read(path)
    assert card["paper"].startswith("Li et al. 2021")
    needed = {"file": "_tfrec_ops.so", "ops": ["Tfrec>PathTopK"]}
    assert card["op_library"] == (needed if kind == "custom" else None)
    assert card["jit"] is False
    inputs = card["signatures"]["retrieve"]["inputs"]
    assert inputs["user_gender"] == {"dtype": "string", "shape": [None]}
    assert inputs["history_rating"] == {"dtype": "float32", "shape": [None, None]}
    served = tf.saved_model.load(str(path)).signatures
    asked = []
    for record in warmup.read(path):
        request = record.predict_log.request
        assert request.model_spec.signature_name == "retrieve"
        sent = {k: tf.constant(tf.make_ndarray(v)) for k, v in request.inputs.items()}
        assert sent.keys() == {"k", *exports.request()}
        assert sent["history"].shape[1] == problems.MAX_HISTORY
        found = served["retrieve"](**sent)
        assert (found["path_triggers"].numpy()[:, 0, 0] != -1).all()
        asked.append(len(sent["user"]))
    assert asked == list(sizes)


def test_a_failed_export_leaves_nothing(problem, tmp_path, monkeypatch):
    save = tf.saved_model.save

    def save_and_fail(*args, **kwargs):
        save(*args, **kwargs)
        raise OSError("no space left")

    monkeypatch.setattr(tf.saved_model, "save", save_and_fail)
    with pytest.raises(OSError, match="no space left"):
        exports.write(*problem, tmp_path / "model")
    assert list((tmp_path / "model").iterdir()) == []


def test_an_index_of_another_model_is_refused_with_both_named(problem, tmp_path):
    with pytest.raises(ArtifactError, match="must be 'other'. Received: 'model-1'"):
        exports.write(*problem, tmp_path / "model", model_version="other")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_triggers": 0}, "`num_triggers` must be at least 1"),
        ({"ops": "fast"}, "`ops` must be in"),
        ({"warmup_users": (0,)}, r"`warmup_users` must be .* Received: \(0,\)"),
        ({"raw_user_ids": np.array([4, -1])}, "must not hold -1"),
        (
            {"fields": dataclasses.replace(exports.fields(), item={"category": [0]})},
            r"item_features\['category'\]` must have shape \(31,\).*Received: \(1,\)",
        ),
    ],
)
def test_value_errors(problem, tmp_path, options, message):
    fields = options.get("fields")
    if fields is not None:
        item = {name: np.array(values) for name, values in fields.item.items()}
        options = {"fields": dataclasses.replace(fields, item=item)}
    with pytest.raises(ValueError, match=message):
        exports.write(*problem, tmp_path / "model", **options)
    assert not (tmp_path / "model").exists()


def test_minus_one_is_no_raw_id(problem, tmp_path):
    model, index = problem
    item_ids = index.item_ids.copy()
    item_ids[7] = -1
    index = dataclasses.replace(index, item_ids=item_ids)
    with pytest.raises(ValueError, match="must not hold -1.* Received: -1 at 7"):
        exports.write(model, index, tmp_path)


def test_ids_alone(tmp_path):
    """No profile, no behaviour, no category, no direct net: ids in, ids out."""
    item = (Field("item", problems.NUM_ITEMS + 1),)
    schema = Schema((Field("user", problems.NUM_USERS + 1),), item, item)
    config = dataclasses.replace(problems.CONFIG, direct_units=(), bias_net=False)
    rows = problems.train_rows()
    counts = Cooccurrence(rows, problems.NUM_ITEMS, config.cooccurrence)
    model = Pdn(config, schema, counts)
    index = build(
        IndexInputs(indexes.RAW_IDS, counts.counts),
        lambda *pair: model.similarity(*({"item": i} for i in pair))[..., 0].numpy(),
        IndexConfig(k=6, k_hat=15),
        indexes.VERSION,
    )
    path = exports.write(model, index, tmp_path, fields=Fields(), ops="reference")
    served = tf.saved_model.load(str(path)).signatures["retrieve"]
    ids = np.array([[1, 2, 0], [7, 0, 0]], np.int32)
    found = served(
        user=tf.constant(exports.RAW_USERS[:2]),
        history=tf.constant(np.where(ids > 0, indexes.RAW_IDS[ids - 1], -1)),
        k=tf.constant(4),
    )
    features = {"user": {"user": tf.constant([1, 2])}, "history": {"item": ids}}
    expected = PathRetriever(model, index, {}, 4).retrieve(features, 4)
    np.testing.assert_array_equal(found["ids"], exports.raw(expected.positions))
    np.testing.assert_allclose(found["scores"], expected.scores, rtol=1e-5)
