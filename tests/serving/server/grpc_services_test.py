"""gRPC in the test's process, over workers that echo."""

import asyncio
import contextlib
import pathlib

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from tests.serving.server import fakes
from tfrec.serving.apis import (
    get_model_status_pb2,
    grpc,
    inference_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
)
from tfrec.serving.server import core
from tfrec.serving.server.config import ServerConfig, WorkerConfig
from tfrec.serving.server.front import Front
from tfrec.serving.server.metrics import Metrics
from tfrec.serving.server.models import Models

HALF = "half"
PREDICTION = "/tensorflow.serving.PredictionService/"


class Served:
    """A front that listens, and a channel to it."""

    def __init__(self, models: Models, metrics: Metrics, channel: grpc.aio.Channel):
        self.models, self.metrics, self.channel = models, metrics, channel

    async def ask(self, payload: bytes, method: str = "Predict", timeout: float = 20.0):
        """The bytes that a method of PredictionService answers."""
        call = self.channel.unary_unary(PREDICTION + method)
        return await call(payload, timeout=timeout)

    async def failure(self, payload: bytes, method: str = "Predict", timeout=20.0):
        """Code and message of the error."""
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await self.ask(payload, method, timeout)
        return error.value.code(), error.value.details()

    def reload(self, config):
        """The answer of HandleReloadConfigRequest, to be awaited."""
        stub = model_service_pb2_grpc.ModelServiceStub(self.channel)
        request = model_management_pb2.ReloadConfigRequest(config=config)
        return stub.HandleReloadConfigRequest(request, timeout=20.0)

    def status(self, **spec):
        """The answer of GetModelStatus, to be awaited."""
        stub = model_service_pb2_grpc.ModelServiceStub(self.channel)
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = spec["name"]
        if "version" in spec:
            request.model_spec.version.value = spec["version"]
        return stub.GetModelStatus(request, timeout=20.0)

    def health(self, service: str = ""):
        """The answer of grpc.health.v1, to be awaited."""
        request = health_pb2.HealthCheckRequest(service=service)
        return health_pb2_grpc.HealthStub(self.channel).Check(request, timeout=20.0)


@contextlib.asynccontextmanager
async def serving(root: pathlib.Path, max_message_bytes: int = 1 << 20):
    """The model `half` of `root`, behind gRPC."""
    metrics = Metrics()
    config = ServerConfig(
        fakes.config_of(root / HALF),
        port=0,
        workers=WorkerConfig(max_message_bytes=max_message_bytes),
    )
    async with fakes.serving(root) as models:
        await models.take(config.models)
        await models.manager.wait_for(models.names)
        front = Front(config, models, metrics)
        await front.start()
        health = asyncio.create_task(front.keep_health())
        async with grpc.aio.insecure_channel(f"127.0.0.1:{front.port}") as channel:
            yield Served(models, metrics, channel)
        health.cancel()
        await front.stop()


def request_for(
    name: str = HALF, version: int | None = None, label: str | None = None
) -> bytes:
    """A serialized PredictRequest."""
    request = predict_pb2.PredictRequest()
    request.model_spec.name = name
    if version is not None:
        request.model_spec.version.value = version
    if label is not None:
        request.model_spec.version_label = label
    request.inputs["x"].float_val.append(1.0)
    return request.SerializeToString()


def run(body, root: pathlib.Path, **options) -> None:
    """Runs a test's coroutine with a served model."""

    async def whole():
        async with serving(root, **options) as served:
            await body(served)

    asyncio.run(whole())


@pytest.fixture
def root(tmp_path) -> pathlib.Path:
    """A folder with version 1 of the model."""
    fakes.write(tmp_path / HALF, 1)
    return tmp_path


def test_bytes_pass_as_they_are(root):
    async def body(served):
        payload = request_for() + b"\x7a\x03abc"  # with a field that nobody knows
        for method in ("Predict", "Classify", "Regress", "GetModelMetadata"):
            answer = await served.ask(payload, method)
            assert answer.startswith(b"half/1/")
            assert answer.endswith(f"/{method}/".encode() + payload)

    run(body, root)


def test_multi_inference_asks_the_model_of_its_first_task(root):
    async def body(served):
        request = inference_pb2.MultiInferenceRequest()
        request.tasks.add().model_spec.name = HALF
        answer = await served.ask(request.SerializeToString(), "MultiInference")
        assert answer.startswith(b"half/1/")
        assert await served.failure(b"", "MultiInference") == (
            grpc.StatusCode.INVALID_ARGUMENT,
            "ModelSpec has no name specified.",
        )

    run(body, root)


@pytest.mark.parametrize(
    ("payload", "code", "message"),
    [
        (b"", "INVALID_ARGUMENT", "Missing ModelSpec"),
        (b"\x0a\x00", "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (b"\x0a\x05ab", "INVALID_ARGUMENT", "The request can't be parsed."),
        (b"\xff\xff\xff", "INVALID_ARGUMENT", "The request can't be parsed."),
        (
            request_for("none"),
            "NOT_FOUND",
            "Servable not found for request: Latest(none)",
        ),
        (
            request_for(version=7),
            "NOT_FOUND",
            "Servable not found for request: Specific(half, 7)",
        ),
        (
            request_for(label="x"),
            "INVALID_ARGUMENT",
            "Unrecognized servable version label: x",
        ),
    ],
)
def test_bad_requests_have_tensorflow_servings_answers(root, payload, code, message):
    async def body(served):
        assert await served.failure(payload) == (grpc.StatusCode[code], message)
        assert (await served.ask(request_for())).startswith(b"half/1/")

    run(body, root)


@pytest.mark.parametrize("method", ["GetModelStatus", "HandleReloadConfigRequest"])
def test_model_service_says_what_it_can_not_parse(root, method):
    async def body(served):
        call = served.channel.unary_unary(f"/tensorflow.serving.ModelService/{method}")
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call(b"\xff\xff\xff", timeout=20.0)
        assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert error.value.details() == "The request can't be parsed."

    run(body, root)


def test_long_messages_are_cut_to_what_headers_hold(root):
    async def body(served):
        code, message = await served.failure(request_for("n" * 100_000))
        assert code == grpc.StatusCode.NOT_FOUND
        assert message.endswith("...TRUNCATED")
        code, message = await served.failure(request_for() + b"\x7a\x04fail")
        assert code == grpc.StatusCode.OUT_OF_RANGE
        assert message == "x" * 2048 + "...TRUNCATED"

    run(body, root)


def test_a_request_that_is_too_long_is_refused(root):
    async def body(served):
        code, message = await served.failure(request_for() + bytes(5000))
        assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "larger than max" in message
        assert (await served.ask(request_for())).startswith(b"half/1/")

    run(body, root, max_message_bytes=4096)


def test_a_deadline_is_kept_although_the_worker_is_busy(tmp_path):
    folder = fakes.write(tmp_path / HALF, 1, wait=True)

    async def body(served):
        code, _ = await served.failure(request_for(), timeout=0.05)
        assert code == grpc.StatusCode.DEADLINE_EXCEEDED
        worker = served.models.manager.resolve(HALF, None).worker
        await fakes.until(lambda: worker.in_flight == 0)
        (folder / "go").touch()
        assert (await served.ask(request_for())).startswith(b"half/1/")

    run(body, tmp_path)


def test_too_many_requests_at_once_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(core, "MOST_IN_FLIGHT", 1)
    folder = fakes.write(tmp_path / HALF, 1, wait=True)

    async def body(served):
        first = asyncio.create_task(served.ask(request_for()))
        await fakes.until((folder / "waits").exists)
        for _ in range(3):
            code, message = await served.failure(request_for())
            assert code == grpc.StatusCode.UNAVAILABLE
            assert message.startswith("The server has 1 requests in flight")
        assert (await served.health()).status == health_pb2.HealthCheckResponse.SERVING
        (folder / "go").touch()
        assert (await first).startswith(b"half/1/")
        for _ in range(3):
            assert (await served.ask(request_for())).startswith(b"half/1/")

    run(body, tmp_path)


def test_a_request_that_is_given_up_is_no_longer_in_flight(tmp_path):
    folder = fakes.write(tmp_path / HALF, 1, wait=True)

    async def body(served):
        asked = asyncio.create_task(served.ask(request_for()))
        await fakes.until((folder / "waits").exists)
        worker = served.models.manager.resolve(HALF, None).worker
        assert worker.in_flight == 1
        asked.cancel()
        await fakes.until(lambda: worker.in_flight == 0)
        (folder / "go").touch()
        text = served.metrics.render().decode()
        assert 'request_count{model_name="half",status="CANCELLED"} 1.0' in text

    run(body, tmp_path)


def test_requests_are_counted_and_unknown_names_are_not_labels(root):
    async def body(served):
        await served.ask(request_for())
        await served.ask(request_for(), "GetModelMetadata")
        await served.failure(request_for("anything"))
        text = served.metrics.render().decode()
        assert 'request_count{model_name="half",status="OK"} 1.0' in text
        assert 'request_count{model_name="",status="NOT_FOUND"} 1.0' in text
        assert (
            'latency_count{API="Predict",entrypoint="GRPC",model_name="half"}' in text
        )
        assert "anything" not in text

    run(body, root)


def test_status_lists_versions_with_their_errors(root):
    async def body(served):
        fakes.write(root / HALF, 2, fail="no graph")
        model = served.models.config.model_config_list.config[0]
        model.model_version_policy.all.SetInParent()
        await served.models.look()
        await fakes.until(lambda: served.models.manager.versions(HALF)[0].error)
        response = await served.status(name=HALF)
        states = [
            (s.version, s.state, s.status.error_code, s.status.error_message)
            for s in response.model_version_status
        ]
        assert states == [(2, 50, 3, "no graph"), (1, 30, 0, "")]
        (one,) = (await served.status(name=HALF, version=1)).model_version_status
        assert one.version == 1
        for spec, message in (
            ({"name": "x"}, "Could not find any versions of model x"),
            (
                {"name": HALF, "version": 9},
                "Could not find version 9 of model half",
            ),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await served.status(**spec)
            assert error.value.code() == grpc.StatusCode.NOT_FOUND
            assert error.value.details() == message
        stub = model_service_pb2_grpc.ModelServiceStub(served.channel)
        with pytest.raises(grpc.aio.AioRpcError, match="Missing ModelSpec"):
            await stub.GetModelStatus(get_model_status_pb2.GetModelStatusRequest())

    run(body, root)


def test_a_configuration_is_replaced(root):
    fakes.write(root / "other", 5)

    async def body(served):
        response = await served.reload(fakes.config_of(root / "other"))
        assert response.status.error_code == 0
        assert (await served.ask(request_for("other"))).startswith(b"other/5/")
        await fakes.until(lambda: not served.models.manager.is_ready([HALF]))
        code, _ = await served.failure(request_for())
        assert code == grpc.StatusCode.NOT_FOUND

    run(body, root)


def test_configurations_do_not_leave_the_root(root):
    async def body(served):
        for path in ("/etc", str(root / ".." / "x")):
            config = fakes.config_of(pathlib.Path(path))
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await served.reload(config)
            assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert "must be below `--model_root`" in error.value.details()
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await served.reload(None)
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert "Only ModelConfigList is currently supported" in error.value.details()
        assert (await served.ask(request_for())).startswith(b"half/1/")

    run(body, root)


def test_health_is_that_of_the_models(root):
    async def body(served):
        names = ("", "tensorflow.serving.PredictionService")
        for name in names:
            assert (await served.health(name)).status == 1
        (root / HALF / "1").rename(root / "away")
        await served.models.look()
        await fakes.until(lambda: not served.models.manager.is_ready([HALF]))
        for name in names:
            assert (await served.health(name)).status == 2
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await served.health("other")
        assert error.value.code() == grpc.StatusCode.NOT_FOUND

    run(body, root)


def test_reflection_lists_the_services_and_their_files(root):
    async def body(served):
        stub = reflection_pb2_grpc.ServerReflectionStub(served.channel)
        request = reflection_pb2.ServerReflectionRequest
        call = stub.ServerReflectionInfo()
        await call.write(request(list_services=""))
        services = (await call.read()).list_services_response.service
        assert {service.name for service in services} == {
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
            "tensorflow.serving.ModelService",
            "tensorflow.serving.PredictionService",
        }
        for service in services:
            await call.write(request(file_containing_symbol=service.name))
            response = await call.read()
            assert response.file_descriptor_response.file_descriptor_proto
        await call.done_writing()

    run(body, root)
