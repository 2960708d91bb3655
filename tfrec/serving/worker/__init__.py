"""Answers the PredictionService of one version, for the server in front of it."""

import os
from collections.abc import Callable
from typing import Any

from absl import logging
from google.protobuf.message import DecodeError

from tfrec.serving import link
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

_MAX_ERROR_CHARACTERS = 1024  # TensorFlow Serving's; gRPC's headers end at 8 KiB
_LEAST_THREADS, _MOST_THREADS = 16, 256


def start(servable: Servable, socket: str) -> link.Server:
    """Begins to answer on a Unix socket.

    Args:
        servable: what answers.
        socket: path of the socket.
    Returns: the running server; `stop(seconds)` lets requests in flight finish.
    Raises: ServingError: INVALID_ARGUMENT: the socket can't be made.
    """
    try:
        return link.Server(socket, _handler(servable))
    except OSError as error:
        raise ServingError(
            grpc.StatusCode.INVALID_ARGUMENT,
            "`socket` must be a short path in a folder that is. "
            f"Received: {socket} ({error})",
        ) from error


def default_threads(largest_batch: int = 0) -> int:
    """Threads that keep all cores at work while others wait.

    Args:
        largest_batch: `max_batch_size`; twice as many requests must wait at the same
            time for batches to fill (TensorFlow Serving's advice). 0: no batching.
    """
    least = max(_LEAST_THREADS, 4 * (os.cpu_count() or 1))
    return max(least, min(2 * largest_batch, _MOST_THREADS))


def _handler(servable: Servable) -> link.Handler:
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

    def answer(method: str, payload: bytearray) -> tuple[int, bytes]:
        call, request_type = calls[method]
        try:
            content = call(_parse(payload, request_type)).SerializeToString()
            return _number(grpc.StatusCode.OK), content
        except ServingError as error:
            code, message = error.code, error.message
        except Exception as error:  # noqa: BLE001 (logged, and the client is told)
            logging.exception("%s failed.", method)
            code, message = grpc.StatusCode.UNKNOWN, str(error)
        return _number(code), _shortened(message).encode(errors="replace")

    return answer


def _number(code: grpc.StatusCode) -> int:
    return code.value[0]


def _parse(payload: bytearray, request_type: Any) -> Any:
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
