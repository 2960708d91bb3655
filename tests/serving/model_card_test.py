"""The model card says what its writer told, and what the saved graph is."""

import dataclasses
import json

import pytest
import tensorflow as tf

import tfrec
from tfrec import ops
from tfrec.serving import model_card
from tfrec.serving.model_card import ModelCard
from tfrec.serving.saved_model import save_signatures


@dataclasses.dataclass(frozen=True)
class Inner:
    """What a config has in it."""

    units: tuple[int, ...] = (4, 2)


@dataclasses.dataclass(frozen=True)
class Config:
    """A config of dataclasses, with what JSON knows by another name."""

    name: str = "é"
    inner: Inner = Inner()


CARD = ModelCard("Someone 2020, Title", Config(), "ml-100k", "ab12", "c0ffee")


def save(folder, **functions):
    """Saves functions of `{name: (function, specs)}`."""
    signatures = {
        name: tf.function(function).get_concrete_function(**specs)
        for name, (function, specs) in functions.items()
    }
    save_signatures("model", signatures, folder)


def plain(x, names):
    return {"twice": 2.0 * x, "same": names}


PLAIN = (
    plain,
    {"x": tf.TensorSpec([None, 3], tf.float32), "names": tf.TensorSpec([], tf.string)},
)


def walk(visited, ids):
    visited, is_new = ops.visited_insert(visited, ids)
    return {"visited": visited, "is_new": is_new}


def branch(visited, ids):
    """The op is in a function that a branch calls, not in the graph itself."""
    return tf.cond(
        tf.size(ids) > 3,
        lambda: walk(visited, ids),
        lambda: {"visited": visited, "is_new": ids >= 0},
    )


IDS = {
    "visited": tf.TensorSpec([None, 2], tf.uint64),
    "ids": tf.TensorSpec([None, None], tf.int32),
}


def test_the_whole_card(tmp_path):
    save(tmp_path, predict=PLAIN)
    expected = {
        "format": 1,
        "paper": "Someone 2020, Title",
        "config": {"name": "é", "inner": {"units": [4, 2]}},
        "dataset": {"name": "ml-100k", "sha256": "ab12"},
        "commit": "c0ffee",
        "versions": {"tensorflow": tf.__version__, "tfrec": tfrec.__version__},
        "op_library": None,
        "jit": False,
        "signatures": {
            "predict": {
                "inputs": {
                    "names": {"dtype": "string", "shape": []},
                    "x": {"dtype": "float32", "shape": [None, 3]},
                },
                "outputs": {
                    "same": {"dtype": "string", "shape": []},
                    "twice": {"dtype": "float32", "shape": [None, 3]},
                },
            }
        },
    }
    written = model_card.write(CARD, tmp_path)
    text = (tmp_path / "assets.extra" / "tfrec.json").read_text(encoding="utf-8")
    assert json.loads(text) == expected
    assert json.loads(json.dumps(written)) == expected
    assert model_card.read(tmp_path) == expected


def test_what_is_not_known_is_null(tmp_path):
    save(tmp_path, predict=PLAIN)
    model_card.write(ModelCard("Paper"), tmp_path)
    found = model_card.read(tmp_path)
    assert (found["config"], found["commit"]) == (None, None)
    assert found["dataset"] == {"name": None, "sha256": None}


def test_the_ops_that_are_needed(tmp_path):
    save(tmp_path, predict=PLAIN, walk=(branch, IDS))
    found = model_card.write(CARD, tmp_path)
    assert found["op_library"] == {
        "file": "_tfrec_ops.so",
        "ops": ["Tfrec>VisitedInsert"],
    }
    assert found["signatures"].keys() == {"predict", "walk"}


def test_jit(tmp_path):
    compiled = tf.function(lambda x: 2.0 * x, jit_compile=True)
    spec = {"x": tf.TensorSpec([None], tf.float32)}
    save(tmp_path, predict=(lambda x: {"y": compiled(x)}, spec))
    assert model_card.write(CARD, tmp_path)["jit"] is True


def test_any_rank(tmp_path):
    spec = {"x": tf.TensorSpec(None, tf.float32)}
    save(tmp_path, predict=(lambda x: {"y": x}, spec))
    inputs = model_card.write(CARD, tmp_path)["signatures"]["predict"]["inputs"]
    assert inputs == {"x": {"dtype": "float32", "shape": None}}


@pytest.mark.parametrize("config", [{"rate": float("nan")}, {"model": object()}])
def test_a_config_must_be_json(config, tmp_path):
    save(tmp_path, predict=PLAIN)
    with pytest.raises(ValueError, match="`config` must be JSON. Received: .*JSON"):
        model_card.write(dataclasses.replace(CARD, config=config), tmp_path)
    assert not (tmp_path / "assets.extra").exists()
