"""Samples of requests are written as whole records of PredictionLog."""

import collections
import contextlib
import pathlib

import pytest
import tensorflow as tf

from tests.serving.server import fakes
from tests.serving.server.running import until
from tfrec.serving.apis import (
    classification_pb2,
    inference_pb2,
    predict_pb2,
    prediction_log_pb2,
    regression_pb2,
)
from tfrec.serving.replay import logs as replay_logs
from tfrec.serving.server import request_log
from tfrec.serving.server.metrics import Metrics
from tfrec.serving.server.model_config import Config
from tfrec.serving.server.request_log import RequestLogs
from tfrec.serving.server.worker_handle import VersionId

HALF = VersionId("half", 3)


class Counts(Metrics):
    """Keeps what the logs report."""

    def __init__(self):
        super().__init__()
        self.of = collections.Counter()

    def logged(self, model: str, status: str) -> None:
        self.of[model, status] += 1


def logging_to(prefix: str, rate: float = 1.0) -> Config:
    config = fakes.config_of(pathlib.Path("/half"), pathlib.Path("/unlogged"))
    logging = config.model_config_list.config[0].logging_config
    logging.log_collector_config.filename_prefix = prefix
    logging.sampling_config.sampling_rate = rate
    return config


def predict(value: float) -> tuple[bytes, bytes]:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "half"
    request.inputs["x"].CopyFrom(tf.make_tensor_proto([value]))
    response = predict_pb2.PredictResponse()
    response.outputs["y"].CopyFrom(tf.make_tensor_proto([2 * value]))
    return request.SerializeToString(), response.SerializeToString()


def records(folder: pathlib.Path) -> list[prediction_log_pb2.PredictionLog]:
    return [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for path in sorted(folder.rglob("*.tfrecord"))
        for record in tf.data.TFRecordDataset(str(path))
    ]


@pytest.fixture
def counts() -> Counts:
    """What the logs report."""
    return Counts()


def test_a_record_holds_request_response_and_metadata(tmp_path, counts):
    with contextlib.closing(RequestLogs(tmp_path, counts)) as logs:
        logs.configure(logging_to("half/requests", 1.0))
        request, response = predict(1.5)
        logs.log("Predict", HALF, request, response)
    (path,) = (tmp_path / "half").iterdir()
    assert path.name.startswith("requests-")
    (record,) = records(tmp_path)
    assert record.predict_log.request == predict_pb2.PredictRequest.FromString(request)
    assert record.predict_log.response == predict_pb2.PredictResponse.FromString(
        response
    )
    metadata = record.log_metadata
    assert metadata.model_spec.name == "half"
    assert metadata.model_spec.version.value == 3
    assert metadata.sampling_config.sampling_rate == 1.0
    assert list(metadata.saved_model_tags) == ["serve"]
    assert metadata.timestamp_secs > 1_700_000_000
    assert counts.of == {("half", "OK"): 1}


@pytest.mark.parametrize(
    ("method", "field", "kinds"),
    [
        (
            "Classify",
            "classify_log",
            (
                classification_pb2.ClassificationRequest,
                classification_pb2.ClassificationResponse,
            ),
        ),
        (
            "Regress",
            "regress_log",
            (regression_pb2.RegressionRequest, regression_pb2.RegressionResponse),
        ),
        (
            "MultiInference",
            "multi_inference_log",
            (
                inference_pb2.MultiInferenceRequest,
                inference_pb2.MultiInferenceResponse,
            ),
        ),
    ],
)
def test_each_method_has_its_kind_of_record(tmp_path, counts, method, field, kinds):
    with contextlib.closing(RequestLogs(tmp_path, counts)) as logs:
        logs.configure(logging_to("log"))
        logs.log(method, HALF, *(kind().SerializeToString() for kind in kinds))
    (record,) = records(tmp_path)
    assert record.WhichOneof("log_type") == field


def test_metadata_requests_and_other_models_are_not_logged(tmp_path, counts):
    with contextlib.closing(RequestLogs(tmp_path, counts)) as logs:
        logs.configure(logging_to("log"))
        logs.log("GetModelMetadata", HALF, b"", b"")
        logs.log("Predict", VersionId("unlogged", 1), *predict(1.0))
        logs.configure(Config())
        logs.log("Predict", HALF, *predict(1.0))
    assert records(tmp_path) == []


def test_the_sampling_rate_is_kept(tmp_path, counts):
    with contextlib.closing(RequestLogs(tmp_path, counts)) as logs:
        logs.configure(logging_to("log", 0.0))
        for _ in range(100):
            logs.log("Predict", HALF, *predict(1.0))
        logs.configure(logging_to("log", 0.3))
        for _ in range(1000):
            logs.log("Predict", HALF, *predict(2.0))
    values = [r.predict_log.request.inputs["x"].float_val[0] for r in records(tmp_path)]
    assert set(values) == {2.0}
    assert 200 < len(values) < 400  # 300 with a deviation of 14


def test_a_full_file_is_followed_by_another_one(tmp_path, counts, monkeypatch):
    monkeypatch.setattr(request_log, "_MOST_FILE_BYTES", 250)
    with contextlib.closing(RequestLogs(tmp_path, counts)) as logs:
        logs.configure(logging_to("log"))
        for number in range(10):
            logs.log("Predict", HALF, *predict(float(number)))
    assert len(list(tmp_path.iterdir())) > 1
    values = [r.predict_log.request.inputs["x"].float_val[0] for r in records(tmp_path)]
    assert sorted(values) == list(range(10))


def test_a_restart_overwrites_nothing(tmp_path, counts):
    for number in range(3):
        with contextlib.closing(RequestLogs(tmp_path, counts)) as logs:
            logs.configure(logging_to("log"))
            logs.log("Predict", HALF, *predict(float(number)))
    assert len(records(tmp_path)) == 3


def test_what_can_not_be_written_is_counted_and_the_log_goes_on(tmp_path, counts):
    (tmp_path / "file").touch()
    with contextlib.closing(RequestLogs(tmp_path, counts)) as logs:
        logs.configure(logging_to("file/log"))
        logs.log("Predict", HALF, *predict(1.0))
    assert counts.of == {("half", "INTERNAL"): 1}
    with contextlib.closing(RequestLogs(tmp_path, counts)) as logs:
        logs.configure(logging_to("log"))
        logs.log("Predict", HALF, b"\xff\xff", b"")
        logs.log("Predict", HALF, *predict(2.0))
    assert len(records(tmp_path)) == 1
    assert counts.of == {("half", "INTERNAL"): 2, ("half", "OK"): 1}


def test_a_full_disk_gets_one_try_in_some_seconds_and_no_empty_file(
    tmp_path, counts, monkeypatch
):
    def fails(writer) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "No space left")

    flush = tf.io.TFRecordWriter.flush
    monkeypatch.setattr(tf.io.TFRecordWriter, "flush", fails)
    monkeypatch.setattr(request_log, "_SECONDS_WITHOUT", 3600.0)
    with contextlib.closing(RequestLogs(tmp_path, counts)) as logs:
        logs.configure(logging_to("log"))
        for _ in range(3):
            logs.log("Predict", HALF, *predict(1.0))
    assert counts.of == {("half", "INTERNAL"): 1, ("half", "UNAVAILABLE"): 2}
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(request_log, "_SECONDS_WITHOUT", 0.0)
    with contextlib.closing(RequestLogs(tmp_path, counts)) as logs:
        logs.configure(logging_to("log"))
        logs.log("Predict", HALF, *predict(1.0))
        until(lambda: counts.of["half", "INTERNAL"] == 2)
        monkeypatch.setattr(tf.io.TFRecordWriter, "flush", flush)
        logs.log("Predict", HALF, *predict(2.0))
    assert counts.of["half", "OK"] == 1
    assert len(records(tmp_path)) == 1


def test_files_of_a_log_that_is_configured_away_are_closed(tmp_path, counts):
    with contextlib.closing(RequestLogs(tmp_path, counts)) as logs:
        logs.configure(logging_to("first"))
        logs.log("Predict", HALF, *predict(1.0))
        until(lambda: counts.of["half", "OK"] == 1)
        assert is_open(tmp_path)
        logs.configure(logging_to("second"))
        until(lambda: not is_open(tmp_path))
        logs.log("Predict", HALF, *predict(2.0))
    assert len(records(tmp_path)) == 2


def is_open(folder: pathlib.Path) -> bool:
    """Whether this process has a file below a folder open."""
    for descriptor in pathlib.Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if descriptor.readlink().is_relative_to(folder):
                return True
    return False


def test_what_waits_for_a_slow_disk_is_limited(tmp_path, counts, monkeypatch):
    monkeypatch.setattr(request_log, "_MOST_WAITING_BYTES", 10)
    with contextlib.closing(RequestLogs(tmp_path, counts)) as logs:
        logs.configure(logging_to("log"))
        logs.log("Predict", HALF, *predict(1.0))
    assert counts.of == {("half", "RESOURCE_EXHAUSTED"): 1}
    assert records(tmp_path) == []


def test_a_file_that_breaks_off_is_read_as_far_as_it_goes(tmp_path, counts):
    with contextlib.closing(RequestLogs(tmp_path, counts)) as logs:
        logs.configure(logging_to("log"))
        for number in range(3):
            logs.log("Predict", HALF, *predict(float(number)))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-5])
    assert len(list(replay_logs.read([path]))) == 2
