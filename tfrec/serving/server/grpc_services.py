"""The gRPC server: PredictionService, ModelService, health and reflection."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from absl import logging
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from tfrec.serving.apis import (
    get_model_status_pb2,
    grpc,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2,
    prediction_service_pb2,
)
from tfrec.serving.errors import ServingError
from tfrec.serving.link import METHODS
from tfrec.serving.server.core import Core

_PREDICTION = prediction_service_pb2.DESCRIPTOR.services_by_name["PredictionService"]
_MODEL = model_service_pb2.DESCRIPTOR.services_by_name["ModelService"]
_SERVICES = (_PREDICTION.full_name, _MODEL.full_name)
_LONGEST_MESSAGE = 2048
_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_STATUS = health_pb2.HealthCheckResponse

Handler = Callable[[bytes, Any], Awaitable[bytes]]  # of serialized messages


def make_server(
    core: Core, max_message_bytes: int
) -> tuple[grpc.aio.Server, health.aio.HealthServicer]:
    """A server without ports, not started, and the servicer that tells its health.

    Args:
        core: answers.
        max_message_bytes: of a request; a longer one is RESOURCE_EXHAUSTED.
    """
    options = [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),  # else a second server shares the port unnoticed
    ]
    server = grpc.aio.server(options=options)
    services = {
        _PREDICTION.full_name: {name: _forwards(core, name) for name in METHODS},
        _MODEL.full_name: {
            "GetModelStatus": _status(core),
            "HandleReloadConfigRequest": _reloads(core),
        },
    }
    for service, methods in services.items():
        handlers = {
            n: grpc.unary_unary_rpc_method_handler(m) for n, m in methods.items()
        }
        generic = grpc.method_handlers_generic_handler(service, handlers)
        server.add_generic_rpc_handlers((generic,))
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    names = (*_SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)
    return server, servicer


async def set_health(servicer: health.aio.HealthServicer, is_serving: bool) -> None:
    """Tells whether all models can be asked, for the server and for each service."""
    status = _STATUS.SERVING if is_serving else _STATUS.NOT_SERVING
    await asyncio.gather(*(servicer.set(name, status) for name in ("", *_SERVICES)))


def _status(core: Core) -> Handler:
    """GetModelStatus: the states of a model's versions."""

    async def handle(payload: bytes, context: Any) -> bytes:
        try:
            spec = _model_spec("GetModelStatus", payload)
            return core.status(spec).SerializeToString()
        except ServingError as error:
            return await _abort(context, error)

    return handle


def _reloads(core: Core) -> Handler:
    """HandleReloadConfigRequest: replaces the configuration."""

    async def handle(payload: bytes, context: Any) -> bytes:
        try:
            request = _parsed(model_management_pb2.ReloadConfigRequest, payload)
            return (await core.reload(request)).SerializeToString()
        except ServingError as error:
            logging.error("ReloadConfig failed: %s", error)
            return await _abort(context, error)

    return handle


def _forwards(core: Core, method: str) -> Handler:
    """A method of PredictionService, answered by a worker."""

    async def handle(payload: bytes, context: Any) -> bytes:
        try:
            spec = _model_spec(method, payload)
            return await core.forward(method, spec, payload, context.time_remaining())
        except ServingError as error:
            return await _abort(context, error)

    return handle


def _model_spec(method: str, payload: bytes) -> model_pb2.ModelSpec:
    """The ModelSpec of a request; the rest of it is not looked at.

    Raises: ServingError (INVALID_ARGUMENT): it can't be parsed, or has none.
    """
    if method == "MultiInference":
        tasks = _parsed(inference_pb2.MultiInferenceRequest, payload).tasks
        return tasks[0].model_spec if tasks else model_pb2.ModelSpec()
    # Its only field is the `model_spec` that all other requests begin with.
    request = _parsed(get_model_status_pb2.GetModelStatusRequest, payload)
    if not request.HasField("model_spec"):
        raise ServingError(_INVALID, "Missing ModelSpec")
    return request.model_spec


def _parsed(message_type: Any, payload: bytes) -> Any:
    """Parses here: gRPC's own parsing answers UNKNOWN where it fails."""
    try:
        return message_type.FromString(payload)
    except DecodeError as error:
        raise ServingError(_INVALID, "The request can't be parsed.") from error


async def _abort(context: Any, error: ServingError) -> Any:
    """Answers with an error, cut to what the headers of a response can hold."""
    text = error.message.encode()
    message = error.message
    if len(text) > _LONGEST_MESSAGE:
        message = text[:_LONGEST_MESSAGE].decode(errors="ignore") + "...TRUNCATED"
    await context.abort(error.code, message)
