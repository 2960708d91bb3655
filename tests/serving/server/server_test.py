"""The server as a process, with TensorFlow Serving's example model in its workers."""

import signal

import pytest
import tensorflow as tf

from tests.serving import half_plus_two
from tests.serving.server import fakes, running
from tfrec.serving.apis import (
    get_model_status_pb2,
    grpc,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from tfrec.serving.replay import logs as replay_logs

NAME = "half_plus_two"


def request_of(*values: float) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = NAME
    request.inputs["x"].CopyFrom(tf.make_tensor_proto(list(values), tf.float32))
    return request


def predict(channel, *values: float) -> tuple[int, list[float]]:
    """Version and outputs."""
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    response = stub.Predict(request_of(*values), timeout=60.0)
    return (
        response.model_spec.version.value,
        tf.make_ndarray(response.outputs["y"]).tolist(),
    )


def states(channel) -> dict[int, str]:
    """The states of the model's versions."""
    request = get_model_status_pb2.GetModelStatusRequest()
    request.model_spec.name = NAME
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    response = stub.GetModelStatus(request, timeout=60.0)
    kind = get_model_status_pb2.ModelVersionStatus.State
    return {s.version: kind.Name(s.state) for s in response.model_version_status}


def flags_of(models) -> list[str]:
    return [f"--model_name={NAME}", f"--model_base_path={models}"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with version 1 in `models`."""
    folder = tmp_path_factory.mktemp("server")
    half_plus_two.write(folder / "models", 1)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    """A server for tests that leave it as it is."""
    with running.running(folder, *flags_of(folder / "models"), rest=True) as server:
        yield server


def test_the_official_stubs_have_their_answer(server):
    with server.channel() as channel:
        assert predict(channel, 1.0, 2.0, 5.0) == (1, [2.5, 3.0, 4.5])
        assert states(channel) == {1: "AVAILABLE"}


def test_a_request_beyond_the_limit_is_refused_and_the_server_lives(server):
    options = {"grpc.max_send_message_length": -1}
    with server.channel(**options) as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        with pytest.raises(grpc.RpcError) as error:
            call(bytes(100_000_000), timeout=60.0)
        assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert predict(channel, 1.0) == (1, [2.5])


def test_malformed_inputs_are_invalid_arguments(server):
    with server.channel() as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        spec = predict_pb2.PredictRequest()
        spec.model_spec.name = NAME
        for tail in (b"\x12\x02\xff\xff", b"\x12\xff", b"\x0a\x02\xff\xff"):
            with pytest.raises(grpc.RpcError) as error:
                call(spec.SerializeToString() + tail, timeout=60.0)
            assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert predict(channel, 1.0) == (1, [2.5])


def test_a_killed_server_serves_again_and_its_log_is_whole(tmp_path, folder):
    config = fakes.config_of(folder / "models")
    (model,) = config.model_config_list.config
    model.name = NAME
    model.logging_config.log_collector_config.filename_prefix = "half/requests"
    model.logging_config.sampling_config.sampling_rate = 1.0
    (tmp_path / "models.config").write_text(str(config))
    logs = tmp_path / "logs"
    flags = (
        f"--model_config_file={tmp_path / 'models.config'}",
        f"--request_log_dir={logs}",
    )
    with running.running(tmp_path, *flags) as server, server.channel() as channel:
        workers = server.workers()
        for number in range(50):
            predict(channel, float(number))
        running.until(lambda: len(_logged(logs)) == 50)
        server.end(signal.SIGKILL)
        running.until(lambda: not any(map(fakes.is_alive, workers)))
    with running.running(tmp_path, *flags) as server, server.channel() as channel:
        assert predict(channel, 50.0) == (1, [27.0])
        server.end()
    assert _logged(logs) == list(range(51))


def _logged(logs) -> list[float]:
    if not logs.exists():
        return []
    return [
        tf.make_ndarray(record.predict_log.request.inputs["x"]).item()
        for record in replay_logs.read([logs])
    ]
