"""Answers the PredictionService of one version, for the server in front of it."""

import os
from collections.abc import Callable
from concurrent import futures
from typing import Any

from google.protobuf.message import DecodeError

from tfrec.serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    grpc,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)
from tfrec.serving.errors import ServingError
from tfrec.serving.servable import Servable

SERVICE = "tensorflow.serving.PredictionService"
MAX_MESSAGE_BYTES = 2**31 - 1  # TensorFlow Serving's
_MAX_ERROR_CHARACTERS = 1024  # TensorFlow Serving's; gRPC's headers end at 8 KiB
_LEAST_THREADS, _MOST_THREADS = 16, 256


def start(
    servable: Servable,
    socket: str,
    *,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    num_threads: int | None = None,
) -> grpc.Server:
    """Starts a gRPC server on a Unix socket.

    Args:
        servable: what answers.
        socket: path of the socket.
        max_message_bytes: of a request; larger ones are RESOURCE_EXHAUSTED.
        num_threads: requests at the same time; None: 4 a core, at least 16.
    Returns: the running server; `stop(grace)` lets requests in flight finish.
    Raises: ServingError: INVALID_ARGUMENT: the socket can't be made.
    """
    pool = futures.ThreadPoolExecutor(num_threads or default_threads())
    options = [
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", -1),
    ]
    server = grpc.server(pool, options=options)
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(SERVICE, _methods(servable))]
    )
    try:
        server.add_insecure_port(f"unix:{socket}")
    except RuntimeError as error:
        raise ServingError(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"`socket` must be a short path in a folder that is. Received: {socket}",
        ) from error
    server.start()
    return server


def default_threads(largest_batch: int = 0) -> int:
    """Threads that keep all cores at work while others wait.

    Args:
        largest_batch: `max_batch_size`; twice as many requests must wait at the same
            time for batches to fill (TensorFlow Serving's advice). 0: no batching.
    """
    least = max(_LEAST_THREADS, 4 * (os.cpu_count() or 1))
    return max(least, min(2 * largest_batch, _MOST_THREADS))


def _methods(servable: Servable) -> dict[str, grpc.RpcMethodHandler]:
    calls: dict[str, tuple[Callable, Any]] = {
        "Predict": (servable.predict, predict_pb2.PredictRequest),
        "Classify": (servable.classify, classification_pb2.ClassificationRequest),
        "Regress": (servable.regress, regression_pb2.RegressionRequest),
        "MultiInference": (
            servable.multi_inference,
            inference_pb2.MultiInferenceRequest,
        ),
        "GetModelMetadata": (
            servable.metadata,
            get_model_metadata_pb2.GetModelMetadataRequest,
        ),
    }
    return {
        name: grpc.unary_unary_rpc_method_handler(_answering(call, request_type))
        for name, (call, request_type) in calls.items()
    }


def _answering(call: Callable, request_type: Any) -> Callable:
    """A handler of bytes: gRPC's own parsing would fail without saying why."""

    def answer(payload: bytes, context: grpc.ServicerContext) -> bytes:
        remaining = context.time_remaining()
        if not context.is_active() or (remaining is not None and remaining <= 0):
            message = "The deadline passed before the request's turn came."
            context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, message)
        try:
            return call(_parse(payload, request_type)).SerializeToString()
        except ServingError as error:
            context.abort(error.code, _shortened(error.message))
            raise AssertionError("abort raises") from error

    return answer


def _parse(payload: bytes, request_type: Any) -> Any:
    try:
        return request_type.FromString(payload)
    except DecodeError as error:
        raise ServingError(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"The request must be a {request_type.DESCRIPTOR.full_name}. "
            f"Received: {len(payload)} bytes that are none: {error}",
        ) from error


def _shortened(message: str) -> str:
    if len(message) <= _MAX_ERROR_CHARACTERS:
        return message
    return message[:_MAX_ERROR_CHARACTERS] + "...TRUNCATED"
