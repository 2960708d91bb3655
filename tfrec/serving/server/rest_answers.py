"""HTTP answers: JSON, and errors with TensorFlow Serving's status for each code.

Source: tensorflow_serving/model_servers/http_server.cc.
"""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError
from tfrec.serving.server import rest_json

HTTP_STATUS = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.UNKNOWN: 500,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DATA_LOSS: 500,
    grpc.StatusCode.UNAUTHENTICATED: 401,
}


def json_response(
    body: bytes, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """An answer whose body is JSON."""
    return Response(body, status, headers, media_type="application/json")


async def _on_serving_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServingError)
    return json_response(rest_json.error_body(error.message), HTTP_STATUS[error.code])


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return json_response(
        rest_json.error_body(error.detail), error.status_code, error.headers
    )


async def _on_disconnect(request: Request, error: Exception) -> Response:
    return Response(status_code=HTTP_STATUS[grpc.StatusCode.CANCELLED])


async def _on_defect(request: Request, error: Exception) -> Response:
    return json_response(rest_json.error_body("Internal error"), 500)


HANDLERS = {
    ServingError: _on_serving_error,
    HTTPException: _on_http_error,
    ClientDisconnect: _on_disconnect,
    Exception: _on_defect,
}
