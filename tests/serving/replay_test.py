"""Logs to warm-up records: one of a shape, those that fit, in a new version."""

import copy
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.serving import half_plus_two
from tfrec import artifacts
from tfrec.serving import warmup
from tfrec.serving.apis import prediction_log_pb2
from tfrec.serving.replay import folder as folder_lib
from tfrec.serving.replay import logs
from tfrec.serving.replay.selection import select

KIND, FORMAT = "test-export", 3


def predict(size, signature="serving_default", model="half", dtype=np.float32):
    log = warmup.predict_log(signature, {"x": np.ones(size, dtype)}, model)
    log.predict_log.request.model_spec.version.value = 9
    log.predict_log.response.outputs["y"].dtype = 1
    return log


def examples(kind, count, signature="regress_x_to_y"):
    log = prediction_log_pb2.PredictionLog()
    request = getattr(log, kind).request
    if kind == "multi_inference_log":
        request.tasks.add().model_spec.signature_name = signature
        request.tasks.add().model_spec.signature_name = "regress_x_to_y2"
        request.tasks[0].model_spec.version_label = "stable"
        request.tasks[0].model_spec.name = "half"
    else:
        request.model_spec.name = "half"
        request.model_spec.signature_name = signature
    for number in range(count):
        example = request.input.example_list.examples.add()
        example.features.feature["x"].float_list.value.append(number)
    return log


def write_log(path, records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record.SerializeToString())


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A SavedModel without `meta.json`."""
    return half_plus_two.write(tmp_path_factory.mktemp("half_plus_two"))


@pytest.fixture(scope="module")
def signatures(model):
    return folder_lib.signatures(model)


@pytest.fixture
def export(model, tmp_path):
    """Versions 1 and 4 of an export; 4 has a warm-up record."""
    for version in ("1", "4"):
        meta = {"note": version, "files": {"saved_model.pb": {"note": "the graph"}}}
        with artifacts.create(
            tmp_path / "export" / version, kind=KIND, format=FORMAT, meta=meta
        ) as folder:
            for path in model.rglob("*"):
                if path.is_file():
                    copied = folder / path.relative_to(model)
                    copied.parent.mkdir(parents=True, exist_ok=True)
                    copied.write_bytes(path.read_bytes())
            if version == "4":
                (folder / "assets.extra").mkdir(exist_ok=True)
                warmup.write(folder, [predict(2)])
    return tmp_path / "export"


def sizes(records):
    found = []
    for record in records:
        (tensor,) = record.predict_log.request.inputs.values()
        found.append(tensor.tensor_shape.dim[0].size)
    return found


def test_one_record_a_shape_the_most_frequent_first(signatures):
    log = [predict(size) for size in (1, 3, 2, 3, 2, 3)]
    found = select(log, signatures)
    assert sizes(found.records) == [3, 2, 1]
    assert (found.num_read, found.num_shapes, found.misfits) == (6, 3, {})
    spec = found.records[0].predict_log.request.model_spec
    assert (spec.name, spec.WhichOneof("version_choice")) == ("half", None)
    assert not found.records[0].predict_log.HasField("response")


def test_what_makes_a_shape(signatures):
    filtered = predict(1)
    filtered.predict_log.request.output_filter.append("y")
    unnamed = predict(1)
    unnamed.predict_log.request.model_spec.signature_name = ""
    log = [predict(1), unnamed, filtered, predict(1)]
    log += [examples("regress_log", 2), examples("regress_log", 3)]
    log += [examples("regress_log", 2, "regress_x_to_y2")]
    log += [examples("classify_log", 2, "classify_x_to_y")]
    log += [examples("multi_inference_log", 2)] * 2
    found = select(log, signatures)
    assert found.num_shapes == len(found.records) == 7
    kinds = [record.WhichOneof("log_type") for record in found.records]
    assert sorted(set(kinds)) == [
        *("classify_log", "multi_inference_log"),
        *("predict_log", "regress_log"),
    ]
    (multi,) = (r for r in found.records if r.HasField("multi_inference_log"))
    tasks = multi.multi_inference_log.request.tasks
    assert tasks[0].model_spec.WhichOneof("version_choice") is None


def test_records_that_are_there_stay_first(signatures):
    there = [predict(7), predict(2), predict(7)]
    found = select([predict(1), predict(2), predict(1)], signatures, there)
    assert sizes(found.records) == [7, 2, 7, 1]


def test_at_most_a_thousand(signatures):
    log = [predict(size) for size in range(1, 1100)]
    log += [predict(1099)] * 2 + [predict(50)]
    found = select(log, signatures, [predict(2000)])
    assert len(found.records) == 1000
    assert sizes(found.records)[:4] == [2000, 1099, 50, 1]
    assert found.num_shapes == 1099
    assert found.num_beyond == 100


def test_what_the_model_can_not_answer_is_left_out(signatures):
    two = predict(1)
    two.predict_log.request.inputs["z"].dtype = 1
    unknown = predict(1)
    unknown.predict_log.request.inputs["x"].tensor_shape.dim.add().size = 2
    log = [
        *(two, unknown, predict(1, "score"), predict(1, dtype=np.int64)),
        *(prediction_log_pb2.PredictionLog(), examples("regress_log", 1, "rank")),
        predict(5),
    ]
    found = select(log, signatures)
    assert sizes(found.records) == [5]
    assert found.misfits == {
        "inputs ['x', 'z'] instead of ['x']": 1,
        "`x` of another shape": 1,
        "`x` of another type": 1,
        "no signature 'score'": 1,
        "no signature 'rank'": 1,
        "empty records can't be replayed": 1,
    }


def test_inputs_with_defaults_may_be_absent(signatures):
    changed = copy.deepcopy(signatures)
    default = changed["serving_default"].defaults["x"]
    default.CopyFrom(tf.make_tensor_proto([1.0]))
    bare = predict(1)
    del bare.predict_log.request.inputs["x"]
    assert select([bare], changed).records
    assert select([bare], signatures).misfits == {"inputs [] instead of ['x']": 1}


def test_a_log_of_several_models(signatures):
    log = [predict(1, model="a"), predict(2, model="b"), predict(3, model="b")]
    with pytest.raises(ValueError, match=r"of one model. Received: \['a', 'b'\]"):
        select(log, signatures)
    found = select(log, signatures, model="b")
    assert sizes(found.records) == [2, 3]
    assert found.misfits == {"of the model 'a'": 1}


def test_logs_of_files_and_folders(tmp_path):
    (tmp_path / "logs" / "b").mkdir(parents=True)
    write_log(tmp_path / "logs" / "b" / "2", [predict(2)])
    write_log(tmp_path / "logs" / "a", [predict(1), predict(4)])
    write_log(tmp_path / "single", [predict(3)])
    found = logs.read([tmp_path / "single", tmp_path / "logs"])
    assert sizes(found) == [3, 1, 4, 2]
    with pytest.raises(FileNotFoundError, match="must be a file, or a folder.*nothing"):
        list(logs.read([tmp_path / "nothing"]))


@pytest.mark.parametrize("missing", [1, 9, 40])
def test_a_log_that_breaks_off(tmp_path, missing):
    whole = tmp_path / "a"
    write_log(whole, [predict(1), predict(2), predict(3)])
    write_log(tmp_path / "b", [predict(4)])
    whole.write_bytes(whole.read_bytes()[:-missing])
    assert sizes(logs.read([tmp_path])) == [1, 2, 4]


def test_a_log_of_something_else(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "log")) as writer:
        writer.write(predict(1).SerializeToString())
        writer.write(b"\xff\xff")
    with pytest.raises(ValueError, match="log` must hold PredictionLog.*record 2"):
        list(logs.read([tmp_path]))


def test_the_next_version_is_a_copy_with_records(export):
    before = {p: p.read_bytes() for p in export.rglob("*") if p.is_file()}
    target = folder_lib.copy_with_records(export / "4", [predict(6), predict(8)])
    assert target == export / "5"
    assert {p: p.read_bytes() for p in before} == before
    meta = artifacts.load(target, kind=KIND, format=FORMAT)
    assert (meta["note"], meta["copy_of_version"]) == ("4", "4")
    assert meta["files"]["saved_model.pb"]["note"] == "the graph"
    assert sizes(warmup.read(target)) == [6, 8]
    assert set(meta["files"]) == set(
        artifacts.load(export / "4", kind=KIND, format=3)["files"]
    )
    loaded = tf.saved_model.load(str(target))
    found = loaded.signatures["serving_default"](tf.constant([4.0]))
    assert found["y"].numpy() == [4.0]


def test_copies_where_there_are_no_hard_links(export, monkeypatch):
    def refuse(*paths):
        raise OSError("not here")

    monkeypatch.setattr(os, "link", refuse)
    target = folder_lib.copy_with_records(export / "1", [predict(6)])
    artifacts.load(target, kind=KIND, format=FORMAT)
    assert target.name == "5"


def test_a_failure_leaves_no_version(export, monkeypatch):
    def fail(folder, records):
        raise OSError("no space left")

    monkeypatch.setattr(warmup, "write", fail)
    with pytest.raises(OSError, match="no space left"):
        folder_lib.copy_with_records(export / "4", [predict(6)])
    assert sorted(path.name for path in export.iterdir()) == ["1", "4"]


def test_a_broken_version_is_not_copied(export):
    path = export / "4" / "saved_model.pb"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(artifacts.ArtifactError, match="saved_model.pb` must have"):
        folder_lib.copy_with_records(export / "4", [predict(6)])
    assert sorted(path.name for path in export.iterdir()) == ["1", "4"]


def run_main(log, export):
    flags = (f"--request_log={log}", f"--export={export}")
    return subprocess.run(
        [sys.executable, "-m", "tfrec.serving.replay", *flags],
        capture_output=True,
        text=True,
        check=False,
    )


def test_main(export, tmp_path):
    write_log(tmp_path / "log", [predict(1), predict(3), predict(1), predict(1, "b")])
    done = run_main(tmp_path / "log", export)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "Read 4 requests of 2 shapes.",
        "Left out 1: no signature 'b'.",
        "Kept the 1 warm-up records of that version.",
        f"Wrote {export / '5'}, with 3 warm-up records.",
    ]
    assert sizes(warmup.read(export / "5")) == [2, 1, 3]
    done = run_main(tmp_path / "log", export / "5")
    assert f"{export / '5'} stays the latest version" in done.stdout
    assert sorted(path.name for path in export.iterdir()) == ["1", "4", "5"]


def test_main_says_what_is_wrong(model, tmp_path):
    done = run_main(tmp_path, tmp_path / "nothing")
    assert done.returncode == 1
    assert "must hold a numbered folder" in done.stderr.splitlines()[-1]
    write_log(tmp_path / "log", [predict(3)])
    done = run_main(tmp_path / "log", model.parent)
    assert done.returncode == 1
    assert f"{artifacts.META_NAME}" in done.stderr.splitlines()[-1]
