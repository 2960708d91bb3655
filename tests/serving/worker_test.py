"""The process of a version: its reports, how it answers, and how it ends."""

import contextlib
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import tensorflow as tf

from tests.serving import half_plus_two, requests
from tests.serving.half_plus_two import CLASSIFY, REGRESS
from tfrec.serving import worker
from tfrec.serving.apis import (
    get_model_metadata_pb2,
    grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tfrec.serving.errors import ServingError

SECONDS = 60
PREDICT = f"/{worker.SERVICE}/Predict"


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
def stub(folder, sockets):
    """The official stub of a running worker that takes at most 10,000 bytes."""
    with process(folder, sockets / "shared", "--max_message_bytes=10000") as started:
        assert json.loads(started.stdout.readline()) == {"state": "ready"}
        with grpc.insecure_channel(f"unix:{sockets / 'shared'}") as channel:
            yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


def test_all_methods(stub):
    sent = requests.predict({"x": np.float32([1, 2, 5])})
    response = stub.Predict(sent, timeout=SECONDS)
    assert tf.make_ndarray(response.outputs["y"]).tolist() == [2.5, 3.0, 4.5]
    assert response.model_spec.version.value == 7
    one = [requests.example(x=[1.0])]
    classified = stub.Classify(requests.classify(one), timeout=SECONDS)
    assert classified.result.classifications[0].classes[0].score == 2.5
    regressed = stub.Regress(requests.regress(one), timeout=SECONDS)
    assert regressed.result.regressions[0].value == 2.5
    tasks = [("regress_x_to_y2", REGRESS), ("classify_x_to_y", CLASSIFY)]
    inferred = stub.MultiInference(requests.multi_inference(one, tasks))
    assert inferred.results[0].regression_result.regressions[0].value == 3.5
    wanted = get_model_metadata_pb2.GetModelMetadataRequest()
    wanted.metadata_field.append("signature_def")
    metadata = stub.GetModelMetadata(wanted, timeout=SECONDS)
    assert metadata.metadata["signature_def"].value


def test_errors_have_their_code_and_message(stub):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(requests.predict({"x": np.int32([1])}), timeout=SECONDS)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == "input `x` must be float32. Received: int32"


def test_long_messages_are_cut(stub):
    sent = requests.predict({"name" * 2000: np.float32([1])})
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(sent, timeout=SECONDS)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details().startswith("input size does not match signature")
    assert len(caught.value.details()) == 1024 + len("...TRUNCATED")


def test_a_message_beyond_the_limit(stub):
    sent = requests.predict({"x": np.zeros(3000, np.float32)})
    with pytest.raises(grpc.RpcError) as caught:
        stub.Predict(sent, timeout=SECONDS)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    sent = requests.predict({"x": np.zeros(2000, np.float32)})
    assert stub.Predict(sent, timeout=SECONDS).outputs["y"].float_val == [2.0] * 2000


@pytest.mark.parametrize("payload", [b"no proto", b"\x0a\xff\xff\xff\xff\x0f", b"\x0a"])
def test_bytes_that_are_no_request(stub, sockets, payload):
    with (
        grpc.insecure_channel(f"unix:{sockets / 'shared'}") as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        channel.unary_unary(PREDICT)(payload, timeout=SECONDS)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    rule = "The request must be a tensorflow.serving.PredictRequest. Received: "
    assert caught.value.details().startswith(f"{rule}{len(payload)} bytes")


class Held:
    """Answers Predict when it is told to; the other methods are not called."""

    def __init__(self):
        self.arrived, self.go_on = threading.Semaphore(0), threading.Event()
        self.ran = []
        self.classify = self.regress = self.multi_inference = self.metadata = None

    def predict(self, request):
        self.ran.append(request.model_spec.name)
        self.arrived.release()
        assert self.go_on.wait(SECONDS)
        return predict_pb2.PredictResponse()


@contextlib.contextmanager
def held(
    socket, num_threads: int
) -> Iterator[tuple[Held, grpc.UnaryUnaryMultiCallable]]:
    """A server in this process on something that waits, and its Predict."""
    servable = Held()
    server = worker.start(servable, str(socket), num_threads=num_threads)
    try:
        with grpc.insecure_channel(f"unix:{socket}") as channel:
            yield servable, channel.unary_unary(PREDICT)
    finally:
        servable.go_on.set()
        server.stop(None).wait()


def named(name: str) -> bytes:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    return request.SerializeToString()


def test_a_request_whose_deadline_passed_in_the_queue_does_not_run(sockets):
    with held(sockets / "late", num_threads=1) as (servable, predict):
        first = predict.future(named("first"), timeout=SECONDS)
        assert servable.arrived.acquire(timeout=SECONDS)
        with pytest.raises(grpc.RpcError) as caught:
            predict(named("late"), timeout=0.05)
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        last = predict.future(named("last"), timeout=SECONDS)
        servable.go_on.set()
        first.result()
        last.result()
        assert servable.ran == ["first", "last"]


def test_requests_run_at_the_same_time(sockets):
    with held(sockets / "many", num_threads=8) as (servable, predict):
        calls = [predict.future(named(str(i)), timeout=SECONDS) for i in range(8)]
        for _ in calls:
            assert servable.arrived.acquire(timeout=SECONDS)
        servable.go_on.set()
        assert [call.result() for call in calls] == [b""] * 8


def test_default_threads():
    assert worker.default_threads() >= 16
    assert worker.default_threads(100) == max(200, worker.default_threads())
    assert worker.default_threads(10**6) == max(256, worker.default_threads())


def test_a_socket_that_can_not_be_made(sockets):
    path = str(sockets / ("a" * 200))
    with pytest.raises(
        ServingError, match="INVALID_ARGUMENT: `socket` must be a short"
    ):
        worker.start(Held(), path)


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
    with process(slow, sockets / "drained", "--allow_all_ops") as started:
        assert json.loads(started.stdout.readline()) == {"state": "ready"}
        with grpc.insecure_channel(f"unix:{sockets / 'drained'}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            stub.Predict(count(1), timeout=SECONDS)
            call = stub.Predict.future(count(300_000), timeout=SECONDS)
            stub.Predict(count(1), timeout=SECONDS)  # so the call before has arrived
            assert not call.done()
            started.send_signal(signal.SIGTERM)
            assert call.result().outputs["n"].int64_val == [300_000]
        assert started.wait(SECONDS) == 0
        assert started.stdout.read() == ""


def test_sigterm_without_requests(folder, sockets):
    with process(folder, sockets / "idle") as started:
        assert json.loads(started.stdout.readline()) == {"state": "ready"}
        started.send_signal(signal.SIGINT)
        started.terminate()
        assert started.wait(SECONDS) == 0


def test_ends_at_once_with_its_parent(slow, sockets):
    with process(slow, sockets / "orphan", "--allow_all_ops") as started:
        assert json.loads(started.stdout.readline()) == {"state": "ready"}
        with grpc.insecure_channel(f"unix:{sockets / 'orphan'}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            call = stub.Predict.future(count(2**62), timeout=SECONDS)
            stub.Predict(count(1), timeout=SECONDS)
            started.stdin.close()
            assert started.wait(SECONDS) == 1
            assert call.exception().code() == grpc.StatusCode.UNAVAILABLE


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


def test_batching_and_threads_by_flags(folder, sockets, tmp_path):
    (tmp_path / "batching").write_text("max_batch_size { value: 2 }")
    flags = [
        f"--batching_parameters_file={tmp_path / 'batching'}",
        "--tensorflow_intra_op_parallelism=1",
        "--tensorflow_inter_op_parallelism=2",
        "--enable_serialization_as_tensor_content",
    ]
    with process(folder, sockets / "batched", *flags) as started:
        assert json.loads(started.stdout.readline()) == {"state": "ready"}
        with grpc.insecure_channel(f"unix:{sockets / 'batched'}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            sent = requests.predict({"x": np.float32([1, 2])})
            found = stub.Predict(sent, timeout=SECONDS).outputs["y"]
            assert found.tensor_content == np.float32([2.5, 3.0]).tobytes()
            with pytest.raises(grpc.RpcError) as caught:
                sent = requests.predict({"x": np.float32([1, 2, 3])})
                stub.Predict(sent, timeout=SECONDS)
    assert "Task size 3 is larger than maximum" in caught.value.details()
