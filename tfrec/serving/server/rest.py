"""TensorFlow Serving's REST API as an ASGI application.

    POST /v1/models/<name>[/versions/<n>|/labels/<label>]:predict|classify|regress
    GET  /v1/models/<name>[/versions/<n>|/labels/<label>][/metadata]
    GET  /monitoring/prometheus/metrics

Paths, statuses and messages are TensorFlow Serving's. Every answer but the metrics' is
JSON; every error is `{"error": message}`.

JSON of more than `THREAD_BYTES` is converted in a thread, one request at a time. Others
pass between its steps, of which the longest, the reading of the JSON, takes 10 ms a MB
(2 busy cores).

Source: tensorflow_serving/model_servers/http_rest_api_handler.cc,
http_rest_api_util.cc, http_server.cc; g3doc/api_rest.md.
"""

import asyncio
import re
import time
import urllib.parse
from collections.abc import Callable
from concurrent import futures
from typing import Any, TypeVar

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tfrec.serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    grpc,
    model_pb2,
    regression_pb2,
)
from tfrec.serving.errors import ServingError, invalid
from tfrec.serving.server import (
    rest_answers,
    rest_body,
    rest_examples,
    rest_json,
    rest_predict,
)
from tfrec.serving.server.rest_answers import json_response
from tfrec.serving.server.rest_signatures import (
    METADATA_FIELD,
    Core,
    KeptSignatures,
    Resolved,
    signature_defs,
)

METRICS_PATH = "/monitoring/prometheus/metrics"
THREAD_BYTES = 1 << 16  # ours: 1 ms of work
_MODEL = r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?"
_PREDICTION = re.compile(_MODEL + ":(classify|regress|predict)", re.I | re.A)
_STATUS = re.compile(
    r"/v1/models(?:/([^/:]+))?(?:/versions/(\d+)|/labels/([^/:]+))?(?:/(metadata))?",
    re.I | re.A,
)
_EXAMPLE_METHODS: dict[str, tuple[str, Any, Callable[[bytes], bytes]]] = {
    "classify": (
        "Classify",
        classification_pb2.ClassificationRequest,
        rest_examples.classify_answer,
    ),
    "regress": (
        "Regress",
        regression_pb2.RegressionRequest,
        rest_examples.regress_answer,
    ),
}
_ROOT = "/v1/"
_MAX_VERSION = 2**63 - 1
T = TypeVar("T")


def create_app(
    core: Core,
    *,
    metrics: Callable[[], bytes] | None,
    max_body_bytes: int,
    timeout: float,
) -> Starlette:
    """Makes the application.

    Args:
        core: the server whose models answer.
        metrics: returns the metrics in Prometheus's text format; None: no such path.
        max_body_bytes: a longer body is answered with status 413, and not read on.
        timeout: seconds for a request, from its headers to the model's answer: 408 if
            the body did not arrive, 504 if the model did not answer.
    """
    api = _RestApi(core, metrics, max_body_bytes, timeout)
    return Starlette(
        routes=[Route("/{path:path}", api)],
        exception_handlers=rest_answers.HANDLERS,
    )


class _RestApi:
    def __init__(
        self,
        core: Core,
        metrics: Callable[[], bytes] | None,
        max_body_bytes: int,
        timeout: float,
    ):
        self._core = core
        self._metrics = metrics
        self._max_body_bytes = max_body_bytes
        self._timeout = timeout
        self._signatures = KeptSignatures(core)
        self._thread = futures.ThreadPoolExecutor(1, thread_name_prefix="rest-json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path, target = _target(request)
        if path == METRICS_PATH and self._metrics is not None:
            return Response(self._metrics(), media_type=CONTENT_TYPE_LATEST)
        if not path.lower().startswith(_ROOT):
            raise HTTPException(404, "Not Found")
        deadline = time.monotonic() + self._timeout
        if request.method == "POST" and (match := _PREDICTION.fullmatch(target)):
            spec = _model_spec(*match.groups()[:3])
            return json_response(await self._infer(match[4], spec, request, deadline))
        if request.method == "GET" and (match := _STATUS.fullmatch(target)):
            if not match[1]:
                raise invalid("Missing model name in request.")
            spec = _model_spec(*match.groups()[:3])
            if match[4] == "metadata":
                return json_response(await self._metadata(spec, deadline))
            return json_response(_status_body(self._core, spec))
        raise _malformed(request.method, target)

    async def _infer(
        self, method: str, spec: model_pb2.ModelSpec, request: Request, deadline: float
    ) -> bytes:
        """Answers predict, classify and regress."""
        if method != "predict" and method not in _EXAMPLE_METHODS:
            raise _malformed(request.method, _target(request)[1])
        body = await rest_body.read(request, self._max_body_bytes, self._timeout)
        if rest_body.is_compressed(request):
            body = await self._in_thread(
                rest_body.decompress, body, self._max_body_bytes
            )
        if method == "predict":
            return await self._predict(spec, body, deadline)
        rpc, kind, write = _EXAMPLE_METHODS[method]
        payload = await self._run(body, rest_examples.request, body, kind, spec)
        answer = await self._core.forward(rpc, spec, payload, _left(deadline))
        return await self._run(answer, write, answer)

    async def _predict(
        self, spec: model_pb2.ModelSpec, body: bytes, deadline: float
    ) -> bytes:
        """Answers predict by one version, with that version's dtypes."""
        try:
            resolved = await self._signatures.resolve(spec, _left(deadline))
        except ServingError:
            await self._run(body, rest_json.parse, body)
            raise
        try:
            return await self._predict_by(resolved, body, deadline)
        except ServingError as error:
            newer = await self._signatures.newer(spec, resolved, error, _left(deadline))
            if newer is None:
                raise
        return await self._predict_by(newer, body, deadline)

    async def _predict_by(
        self, resolved: Resolved, body: bytes, deadline: float
    ) -> bytes:
        payload, is_row = await self._run(
            body, rest_predict.request, body, resolved.spec, resolved.signatures
        )
        answer = await self._core.forward(
            "Predict", resolved.spec, payload, _left(deadline)
        )
        return await self._run(answer, rest_predict.answer, answer, is_row)

    async def _metadata(self, spec: model_pb2.ModelSpec, deadline: float) -> bytes:
        """Answers with a version's signatures."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=spec, metadata_field=[METADATA_FIELD]
        )
        payload = await self._core.forward(
            "GetModelMetadata", spec, request.SerializeToString(), _left(deadline)
        )
        answer = get_model_metadata_pb2.GetModelMetadataResponse.FromString(payload)
        defs = rest_json.to_dict(signature_defs(answer))
        return rest_json.dumps(
            {
                "model_spec": rest_json.to_dict(answer.model_spec),
                "metadata": {METADATA_FIELD: defs},
            }
        )

    async def _run(self, data: bytes, function: Callable[..., T], *args: Any) -> T:
        """Calls a function, in the thread if the data is large."""
        if len(data) <= THREAD_BYTES:
            return function(*args)
        return await self._in_thread(function, *args)

    async def _in_thread(self, function: Callable[..., T], *args: Any) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, function, *args)


def _target(request: Request) -> tuple[str, str]:
    """The path as it was sent, and the same with its query."""
    path = request.scope["raw_path"].decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    return path, f"{path}?{query}" if query else path


def _malformed(method: str, target: str) -> ServingError:
    return invalid(f"Malformed request: {method} {target}")


def _model_spec(
    name: str, version: str | None, label: str | None
) -> model_pb2.ModelSpec:
    spec = model_pb2.ModelSpec(name=urllib.parse.unquote(name))
    if version:
        digits = version.lstrip("0") or "0"
        if len(digits) > len(str(_MAX_VERSION)) or int(digits) > _MAX_VERSION:
            raise invalid(f"Failed to convert version: {version} to numeric.")
        spec.version.value = int(digits)
    if label:
        spec.version_label = urllib.parse.unquote(label)
    return spec


def _left(deadline: float) -> float:
    """Seconds until the deadline.

    Raises: ServingError: DEADLINE_EXCEEDED: it has passed.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise ServingError(
            grpc.StatusCode.DEADLINE_EXCEEDED, "The request's time is over."
        )
    return left


def _status_body(core: Core, spec: model_pb2.ModelSpec) -> bytes:
    return rest_json.dumps(rest_json.to_dict(core.status(spec)))
