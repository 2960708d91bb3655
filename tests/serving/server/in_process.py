"""The REST API without a network, over servables of this process; or a server's."""

import asyncio
import dataclasses
from typing import Any

import httpx

from tfrec.serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    grpc,
    model_pb2,
    predict_pb2,
    regression_pb2,
)
from tfrec.serving.errors import ServingError
from tfrec.serving.server import rest

MAX_BODY_BYTES = 1 << 20
TIMEOUT = 30.0
AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE
_METHODS = {
    "Predict": ("predict", predict_pb2.PredictRequest),
    "Classify": ("classify", classification_pb2.ClassificationRequest),
    "Regress": ("regress", regression_pb2.RegressionRequest),
    "GetModelMetadata": ("metadata", get_model_metadata_pb2.GetModelMetadataRequest),
}


@dataclasses.dataclass
class InProcessCore:
    """Answers as `tfrec.serving.server.core.Core`.

    Attributes:
        models: the servables by name and version.
        labels: the versions by name and label.
        calls: what was forwarded: method, name, version if the spec has one.
        before: is called with a method before its version is looked up.
    """

    models: dict[str, dict[int, Any]] = dataclasses.field(default_factory=dict)
    labels: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    calls: list[tuple[str, str, int | None]] = dataclasses.field(default_factory=list)
    before: Any = None

    async def forward(
        self,
        method: str,
        spec: model_pb2.ModelSpec,
        payload: bytes,
        timeout: float | None,
    ) -> bytes:
        version = spec.version.value if spec.HasField("version") else None
        self.calls.append((method, spec.name, version))
        if self.before is not None:
            await self.before(method)
        name, request_type = _METHODS[method]
        number = self._number(spec)
        versions = self.models.get(spec.name, {})
        wanted = number or max(versions, default=0)
        if wanted not in versions:
            which = (
                f"Latest({spec.name})"
                if number is None
                else f"Specific({spec.name}, {number})"
            )
            raise ServingError(
                grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {which}"
            )
        request = request_type.FromString(payload)
        return getattr(versions[wanted], name)(request).SerializeToString()

    def status(
        self, spec: model_pb2.ModelSpec
    ) -> get_model_status_pb2.GetModelStatusResponse:
        number = self._number(spec)
        response = get_model_status_pb2.GetModelStatusResponse()
        for version in sorted(self.models.get(spec.name, {}), reverse=True):
            if number in (None, version):
                response.model_version_status.add(
                    version=version, state=AVAILABLE
                ).status.SetInParent()
        if not response.model_version_status:
            what = "any versions" if number is None else f"version {number}"
            raise ServingError(
                grpc.StatusCode.NOT_FOUND,
                f"Could not find {what} of model {spec.name}",
            )
        return response

    def _number(self, spec: model_pb2.ModelSpec) -> int | None:
        if spec.HasField("version"):
            return spec.version.value
        if not spec.version_label:
            return None
        labels = self.labels.get(spec.name, {})
        if spec.version_label not in labels:
            raise ServingError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"Unrecognized servable version label: {spec.version_label}",
            )
        return labels[spec.version_label]


class Echo:
    """A servable whose outputs are its inputs, which must have their dtypes.

    Args:
        name: of the model.
        version: its number.
        inputs: each input's dtype (DataType).
    """

    def __init__(self, name: str, version: int, **inputs: int):
        self._name, self._version, self._inputs = name, version, inputs

    def predict(
        self, request: predict_pb2.PredictRequest
    ) -> predict_pb2.PredictResponse:
        dtypes = {name: tensor.dtype for name, tensor in request.inputs.items()}
        if dtypes != self._inputs:
            raise ServingError(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"expects {self._inputs}, was given {dtypes}",
            )
        return predict_pb2.PredictResponse(outputs=request.inputs)

    def metadata(
        self, request: get_model_metadata_pb2.GetModelMetadataRequest
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        definitions = get_model_metadata_pb2.SignatureDefMap()
        signature = definitions.signature_def["serving_default"]
        for name, dtype in self._inputs.items():
            signature.inputs[name].dtype = dtype
        definitions.signature_def["no_inputs"].SetInParent()
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = self._name
        response.model_spec.version.value = self._version
        response.metadata["signature_def"].Pack(definitions)
        return response


def made_app(core, *, max_body_bytes=MAX_BODY_BYTES, timeout=TIMEOUT, metrics=None):
    """The application."""
    return rest.create_app(
        core, metrics=metrics, max_body_bytes=max_body_bytes, timeout=timeout
    )


def ask(app, method: str, path: str, *, raises=True, **options) -> httpx.Response:
    """The answer of an application, without a network."""

    async def asked():
        transport = httpx.ASGITransport(app, raise_app_exceptions=raises)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://server", timeout=None
        ) as client:
            return await client.request(method, path, **options)

    return asyncio.run(asked())


def request(served, method: str, path: str, **options) -> httpx.Response:
    """The answer of an application over a core, or of the server at an address."""
    if isinstance(served, str):
        return httpx.request(method, f"http://{served}{path}", timeout=60.0, **options)
    return ask(made_app(served), method, path, **options)


def get(served, path: str) -> httpx.Response:
    """As `request`, of GET."""
    return request(served, "GET", path)


def post(served, path: str, content: str | bytes, **options) -> httpx.Response:
    """As `request`, of POST."""
    return request(served, "POST", path, content=content, **options)


def error(response: httpx.Response) -> tuple[int, str]:
    """Status and message of an answer that must be an error in JSON."""
    assert response.headers["content-type"] == "application/json"
    content = response.json()
    assert list(content) == ["error"]
    return response.status_code, content["error"]


def ok(response: httpx.Response):
    """The JSON of an answer that must be none."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()
