"""The process of a version: its reports, how it answers, and how it ends."""

import contextlib
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf

from tests.serving import half_plus_two, requests, worker_client
from tests.serving.half_plus_two import CLASSIFY, REGRESS
from tests.serving.server import running
from tests.serving.worker_client import SECONDS, Connection
from tfrec.serving import worker
from tfrec.serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    grpc,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)
from tfrec.serving.errors import ServingError

OK, INVALID = grpc.StatusCode.OK, grpc.StatusCode.INVALID_ARGUMENT
READY = {"state": "ready", "threads": worker.default_threads()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return half_plus_two.write(tmp_path_factory.mktemp("models") / "half", 7)


@pytest.fixture(scope="module")
def sockets() -> Iterator[pathlib.Path]:
    """A folder with a short path, as Unix sockets need."""
    with tempfile.TemporaryDirectory() as folder:
        yield pathlib.Path(folder)


@contextlib.contextmanager
def process(folder, socket, *more: str) -> Iterator[subprocess.Popen]:
    """A worker that has reported; killed at the end if it is still there."""
    command = [sys.executable, "-m", "tfrec.serving.worker", "--version=7"]
    command += [f"--model_name={requests.MODEL}", f"--path={folder}"]
    command += [f"--socket={socket}", *more]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as started:
        try:
            yield started
        finally:
            started.kill()


@pytest.fixture(scope="module")
def shared(folder, sockets) -> Iterator[pathlib.Path]:
    """The socket of a running worker."""
    with process(folder, sockets / "shared") as started:
        assert json.loads(started.stdout.readline()) == READY
        yield sockets / "shared"


@pytest.fixture
def connection(shared) -> Iterator[Connection]:
    with Connection(shared) as connection:
        yield connection


def answer(connection: Connection, method: str, request, response_type):
    """The response to a request that is right."""
    code, content = connection.ask(method, request.SerializeToString())
    assert code is OK, content
    return response_type.FromString(content)


def predicted(connection: Connection, request) -> predict_pb2.PredictResponse:
    return answer(connection, "Predict", request, predict_pb2.PredictResponse)


def failure(connection: Connection, payload: bytes) -> tuple[grpc.StatusCode, str]:
    code, content = connection.ask("Predict", payload)
    return code, content.decode()


def test_all_methods(connection):
    sent = requests.predict({"x": np.float32([1, 2, 5])})
    response = predicted(connection, sent)
    assert tf.make_ndarray(response.outputs["y"]).tolist() == [2.5, 3.0, 4.5]
    assert response.model_spec.version.value == 7
    one = [requests.example(x=[1.0])]
    classified = answer(
        connection,
        "Classify",
        requests.classify(one),
        classification_pb2.ClassificationResponse,
    )
    assert classified.result.classifications[0].classes[0].score == 2.5
    regressed = answer(
        connection, "Regress", requests.regress(one), regression_pb2.RegressionResponse
    )
    assert regressed.result.regressions[0].value == 2.5
    inferred = answer(
        connection,
        "MultiInference",
        requests.multi_inference(
            one, [("regress_x_to_y2", REGRESS), ("classify_x_to_y", CLASSIFY)]
        ),
        inference_pb2.MultiInferenceResponse,
    )
    assert inferred.results[0].regression_result.regressions[0].value == 3.5
    wanted = get_model_metadata_pb2.GetModelMetadataRequest()
    wanted.metadata_field.append("signature_def")
    metadata = answer(
        connection,
        "GetModelMetadata",
        wanted,
        get_model_metadata_pb2.GetModelMetadataResponse,
    )
    assert metadata.metadata["signature_def"].value


def test_errors_have_their_code_and_message(connection):
    sent = requests.predict({"x": np.int32([1])}).SerializeToString()
    expected = "input `x` must be float32. Received: int32"
    assert failure(connection, sent) == (INVALID, expected)


def test_long_messages_are_cut(connection):
    sent = requests.predict({"name" * 2000: np.float32([1])}).SerializeToString()
    code, message = failure(connection, sent)
    assert code is INVALID
    assert message.startswith("input size does not match signature")
    assert len(message) == 1024 + len("...TRUNCATED")


@pytest.mark.parametrize("payload", [b"no proto", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a"])
def test_bytes_that_are_no_request(connection, payload):
    code, message = failure(connection, payload)
    assert code is INVALID
    rule = "The request must be a tensorflow.serving.PredictRequest. Received: "
    assert message.startswith(f"{rule}{len(payload)} bytes")


class Broken:
    """Has an error of its own in Predict; the other methods are not called."""

    def __init__(self):
        self.classify = self.regress = self.multi_inference = self.metadata = None

    def predict(self, request):
        raise KeyError(request.model_spec.name * 300)


def test_an_error_of_our_own_is_unknown_and_logged(sockets, caplog):
    server = worker.start(Broken(), str(sockets / "broken"))
    with Connection(sockets / "broken") as connection:
        code, message = failure(connection, named("some"))
        assert failure(connection, named("other"))[0] is code
    server.stop(SECONDS)
    assert code is grpc.StatusCode.UNKNOWN
    assert message.startswith("'somesomesome")
    assert message.endswith("...TRUNCATED")
    assert "Predict failed." in caplog.text
    assert "raise KeyError(request.model_spec.name * 300)" in caplog.text


def named(name: str) -> bytes:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    return request.SerializeToString()


def test_default_threads():
    assert worker.default_threads() >= 16
    assert worker.default_threads(100) == max(200, worker.default_threads())
    assert worker.default_threads(10**6) == max(256, worker.default_threads())


def test_a_socket_that_can_not_be_made(sockets):
    path = str(sockets / ("a" * 200))
    with pytest.raises(
        ServingError, match="INVALID_ARGUMENT: `socket` must be a short"
    ):
        worker.start(Broken(), path)


class Slow(tf.Module):
    """Spins until it has counted to `n`, and prints on both outputs."""

    @tf.function(input_signature=[tf.TensorSpec([], tf.int64)])
    def count(self, n):
        tf.print("printed", output_stream=sys.stdout)
        return {"n": tf.while_loop(lambda i: i < n, lambda i: (i + 1,), (n - n,))[0]}


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    model, folder = Slow(), tmp_path_factory.mktemp("slow") / "1"
    tf.saved_model.save(model, str(folder), signatures={"serving_default": model.count})
    return folder


def count(n: int) -> predict_pb2.PredictRequest:
    return requests.predict({"n": np.int64(n)})


def test_sigterm_lets_requests_in_flight_finish(slow, sockets):
    path = sockets / "drained"
    with process(slow, path, "--allow_all_ops") as started:
        assert json.loads(started.stdout.readline()) == READY
        with Connection(path) as connection:
            predicted(connection, count(1))
            connection.send("Predict", count(300_000).SerializeToString())
            assert not connection.is_answered()
            started.send_signal(signal.SIGTERM)
            code, content = connection.receive()
            assert code is OK
            response = predict_pb2.PredictResponse.FromString(content)
            assert response.outputs["n"].int64_val == [300_000]
        assert started.wait(SECONDS) == 0
        assert started.stdout.read() == ""


def test_sigterm_lets_answers_be_written(folder, sockets):
    path, x = sockets / "large", np.zeros(4 << 20, np.float32)
    with process(folder, path) as started:
        assert json.loads(started.stdout.readline()) == READY
        with Connection(path) as connection:
            sent = requests.predict({"x": x}).SerializeToString()
            connection.send("Predict", sent)
            assert connection.is_answered(SECONDS)
            started.send_signal(signal.SIGTERM)
            running.until(lambda: worker_client.is_refused(path), SECONDS)
            code, content = connection.receive()
            assert code is OK
            response = predict_pb2.PredictResponse.FromString(content)
            assert len(response.outputs["y"].float_val) == len(x)
        assert started.wait(SECONDS) == 0


def test_sigterm_without_requests(folder, sockets):
    with process(folder, sockets / "idle") as started:
        assert json.loads(started.stdout.readline()) == READY
        with Connection(sockets / "idle"):
            started.send_signal(signal.SIGINT)
            started.terminate()
            assert started.wait(SECONDS) == 0


def test_ends_at_once_with_its_parent(slow, sockets):
    path = sockets / "orphan"
    with process(slow, path, "--allow_all_ops") as started:
        assert json.loads(started.stdout.readline()) == READY
        with Connection(path) as connection, Connection(path) as other:
            connection.send("Predict", count(2**62).SerializeToString())
            predicted(other, count(1))
            started.stdin.close()
            assert started.wait(SECONDS) == 1
            with pytest.raises(EOFError):
                connection.receive()


def test_ends_with_its_parent_while_it_starts(folder, sockets):
    with process(folder, sockets / "early") as started:
        started.stdin.close()
        assert started.wait(SECONDS) == 1
        assert started.stdout.read() == ""


def test_a_version_that_can_not_be_loaded(folder, sockets, tmp_path):
    with process(tmp_path / "none", sockets / "failed") as started:
        report = json.loads(started.stdout.readline())
        assert started.wait(SECONDS) == 1
    assert report["state"] == "failed"
    assert report["code"] == "NOT_FOUND"
    assert report["message"].startswith(f"`{tmp_path}/none/saved_model.pb` must be a r")


def test_batching_by_flags(folder, sockets, tmp_path):
    (tmp_path / "batching").write_text("max_batch_size { value: 100 }")
    flags = [
        f"--batching_parameters_file={tmp_path / 'batching'}",
        "--tensorflow_intra_op_parallelism=1",
        "--tensorflow_inter_op_parallelism=2",
        "--enable_serialization_as_tensor_content",
    ]
    with process(folder, sockets / "batched", *flags) as started:
        threads = worker.default_threads(100)
        report = json.loads(started.stdout.readline())
        assert report == {"state": "ready", "threads": threads}
        with Connection(sockets / "batched") as connection:
            found = predicted(connection, requests.predict({"x": np.float32([1, 2])}))
            content = found.outputs["y"].tensor_content
            assert content == np.float32([2.5, 3.0]).tobytes()
            sent = requests.predict({"x": np.zeros(101, np.float32)})
            _, message = failure(connection, sent.SerializeToString())
    assert "Task size 101 is larger than maximum" in message


def test_threads_by_flag(folder, sockets):
    with process(folder, sockets / "three", "--num_threads=3") as started:
        report = json.loads(started.stdout.readline())
    assert report == {"state": "ready", "threads": 3}
