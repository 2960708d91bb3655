"""One way to export: the version folder, refusals, what needs the extra."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests import own_process
from tests.serving import exporting
from tfrec import artifacts
from tfrec.serving import model_card, warmup

_ROOT = pathlib.Path(__file__).resolve().parents[2]
WITHOUT_THE_EXTRA = """
import pathlib, sys
sys.modules["tensorflow_serving"] = None  # an import of it fails
from tfrec.nann.export import export
from tests.nann import exports

def write(**options):
    toy, index = exports.toy()
    return export(toy, index, exports.TOY_WALK, sys.argv[1], max_history=3, **options)

folder = write(ops="reference", warmup_users=())
print(sorted(p.name for p in (folder / "assets.extra").iterdir()))
try:
    write()
except ImportError as error:
    print(error)
print([p.name for p in folder.parent.iterdir()])
"""


def test_a_version_folder(tmp_path):
    first = exporting.write(tmp_path / "deep" / "model")
    second = exporting.write(tmp_path / "deep" / "model", warmup=())
    assert (first.name, second.name) == ("1", "2")
    assert sorted(p.name for p in first.parent.iterdir()) == ["1", "2"]
    exporting.check(first)
    meta = artifacts.load(first, kind=exporting.KIND, format=exporting.FORMAT)
    assert meta["degree"] == 1
    assert set(meta["files"]) >= {
        "assets.extra/tf_serving_warmup_requests",
        "assets.extra/tfrec.json",
        "saved_model.pb",
        "variables/variables.index",
    }
    assert len(list(warmup.read(first))) == 3
    assert not (second / warmup.PATH).exists()


def test_the_card_is_of_the_signatures(tmp_path):
    card = model_card.read(exporting.write(tmp_path))
    assert card["paper"] == exporting.CARD.paper
    assert card["dataset"] == {"name": "points", "sha256": "ab12"}
    x, y = ({"dtype": "float32", "shape": [None]} for _ in "xy")
    assert card["signatures"] == {"line": {"inputs": {"x": x}, "outputs": {"y": y}}}


def test_variables_that_no_signature_reads_are_not_saved(tmp_path):
    folder = exporting.write(tmp_path)
    saved = tf.train.list_variables(str(folder / "variables" / "variables"))
    values = [name for name, _ in saved if name.endswith("VARIABLE_VALUE")]
    assert len(values) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"warmup": [warmup.predict_log("curve", {"x": exporting.X})]},
            "`warmup` must call one of .*'line'.*Received: 'curve'",
        ),
        (
            {"warmup": [warmup.predict_log("line", {"x": np.array([1, 2])})]},
            "`warmup` must call 'line' with",
        ),
        (
            {"warmup": [warmup.predict_log("line", {"x": exporting.X})] * 1001},
            "at most 1000",
        ),
        (
            {"card": model_card.ModelCard("Lines", {"degree": 1j})},
            "`config` must be JSON",
        ),
    ],
)
def test_what_is_refused_leaves_nothing(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        exporting.write(tmp_path, **options)
    assert list(tmp_path.iterdir()) == []


def test_another_export_may_take_the_version_meanwhile(tmp_path, monkeypatch):
    write_card = model_card.write

    def write_later(card, folder):
        (tmp_path / "1" / "another").mkdir(parents=True)
        return write_card(card, folder)

    monkeypatch.setattr(model_card, "write", write_later)
    with pytest.raises(artifacts.ArtifactError, match="1` must be free"):
        exporting.write(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["1"]
    assert [p.name for p in (tmp_path / "1").iterdir()] == ["another"]


def test_only_warm_up_records_need_the_extra(tmp_path):
    lines = own_process.lines("-c", WITHOUT_THE_EXTRA, tmp_path / "model")
    files, error, left = lines[-3:]
    assert json.loads(files.replace("'", '"')) == ["tfrec.json"]
    assert 'pip install "tfrec[serving]"' in error
    assert json.loads(left.replace("'", '"')) == ["1"]
