"""What both clients do: NumPy to requests, responses to NumPy, waiting for a model."""

import abc
import dataclasses
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    grpc,
    model_pb2,
    predict_pb2,
)
from tfrec.serving.errors import CODES, ServingError

SIGNATURE = "serving_default"
SECONDS = 10.0
_SECONDS_BETWEEN_POLLS = 0.1
_STATES = get_model_status_pb2.ModelVersionStatus.State


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """What a signature says of an input or an output.

    Attributes:
        dtype: `object` for strings.
        shape: None in it is any size; None alone is any shape.
    """

    dtype: np.dtype
    shape: tuple[int | None, ...] | None


@dataclasses.dataclass(frozen=True)
class SignatureInfo:
    """Inputs and outputs by name, and the method (`tensorflow/serving/predict`)."""

    method: str
    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]


@dataclasses.dataclass(frozen=True)
class ModelMetadata:
    """The signatures of a version, by name."""

    name: str
    version: int
    signatures: Mapping[str, SignatureInfo]


@dataclasses.dataclass(frozen=True)
class VersionStatus:
    """What the server says of a version.

    Attributes:
        version: its number.
        state: START, LOADING, AVAILABLE, UNLOADING or END.
        code, message: why it could not be loaded; OK if nothing went wrong.
    """

    version: int
    state: str
    code: grpc.StatusCode
    message: str

    def __str__(self) -> str:
        failed = self.code is not grpc.StatusCode.OK
        why = f" ({self.code.name}: {self.message})" if failed else ""
        return f"version {self.version} is {self.state}{why}"


class Calls(abc.ABC):
    """The calls, as coroutines over a transport that a subclass supplies."""

    @abc.abstractmethod
    async def _send(self, method: str, request: Any, timeout: float) -> Any:
        """Calls a method of the stubs; gRPC's errors become ServingErrors."""

    @abc.abstractmethod
    async def _sleep(self, seconds: float) -> None:
        """Waits."""

    async def predict(
        self,
        model: str,
        inputs: Mapping[str, Any],
        signature: str = SIGNATURE,
        version: int | None = None,
        label: str | None = None,
        timeout: float = SECONDS,
    ) -> dict[str, np.ndarray]:
        """See `Client.predict`."""
        request = predict_request(model, inputs, signature, version, label)
        response = await self._send("Predict", request, timeout)
        return {
            name: tf.make_ndarray(value) for name, value in response.outputs.items()
        }

    async def metadata(
        self,
        model: str,
        version: int | None = None,
        label: str | None = None,
        timeout: float = SECONDS,
    ) -> ModelMetadata:
        """See `Client.metadata`."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=model_spec(model, version, label),
            metadata_field=["signature_def"],
        )
        response = await self._send("GetModelMetadata", request, timeout)
        found = get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(found)
        spec = response.model_spec
        return ModelMetadata(
            spec.name, spec.version.value, signature_infos(found.signature_def)
        )

    async def status(
        self,
        model: str,
        version: int | None = None,
        label: str | None = None,
        timeout: float = SECONDS,
    ) -> tuple[VersionStatus, ...]:
        """See `Client.status`."""
        request = get_model_status_pb2.GetModelStatusRequest(
            model_spec=model_spec(model, version, label)
        )
        response = await self._send("GetModelStatus", request, timeout)
        found = (
            VersionStatus(
                entry.version,
                _STATES.Name(entry.state),
                CODES.get(entry.status.error_code, grpc.StatusCode.UNKNOWN),
                entry.status.error_message,
            )
            for entry in response.model_version_status
        )
        return tuple(sorted(found, key=lambda entry: entry.version))

    async def wait_until_ready(
        self,
        model: str,
        version: int | None = None,
        label: str | None = None,
        timeout: float = 60.0,
    ) -> int:
        """See `Client.wait_until_ready`."""
        deadline = time.monotonic() + timeout
        seen = "no answer"
        while (left := deadline - time.monotonic()) > 0:
            try:
                found = await self.status(model, version, label, left)
            except ServingError as error:
                if error.code not in _MAY_BECOME_READY:
                    raise
                seen = str(error)
            else:
                ready = [entry for entry in found if entry.state == "AVAILABLE"]
                if ready:
                    return ready[-1].version
                _raise_if_all_failed(model, found)
                seen = "; ".join(map(str, found))
            await self._sleep(min(_SECONDS_BETWEEN_POLLS, max(0.0, left)))
        raise ServingError(
            grpc.StatusCode.DEADLINE_EXCEEDED,
            f"`{model}` must be AVAILABLE within {timeout:g} s. Received: {seen}",
        )


_MAY_BECOME_READY = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.DEADLINE_EXCEEDED,
)


def model_spec(
    model: str,
    version: int | None = None,
    label: str | None = None,
    signature: str = "",
) -> model_pb2.ModelSpec:
    """Names a model, a version of it by number or label, and a signature.

    Raises: ValueError: both `version` and `label` are given.
    """
    if version is not None and label is not None:
        raise ValueError(
            "Only one of `version` and `label` may be given. Received: "
            f"version={version}, label={label!r}"
        )
    spec = model_pb2.ModelSpec(name=model, signature_name=signature)
    if version is not None:
        spec.version.value = version
    if label is not None:
        spec.version_label = label
    return spec


def predict_request(
    model: str,
    inputs: Mapping[str, Any],
    signature: str = SIGNATURE,
    version: int | None = None,
    label: str | None = None,
) -> predict_pb2.PredictRequest:
    """A request of arrays.

    Raises: ValueError: an input is of a type that a tensor can't have.
    """
    spec = model_spec(model, version, label, signature)
    request = predict_pb2.PredictRequest(model_spec=spec)
    for name, value in inputs.items():
        try:
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`inputs[{name!r}]` must be an array of a TensorFlow type. "
                f"Received: {error}"
            ) from error
    return request


def signature_infos(signatures: Mapping[str, Any]) -> dict[str, SignatureInfo]:
    """Signatures of protocol buffers `SignatureDef`, by name.

    Without the ones that TensorFlow keeps for itself, such as `__saved_model_init_op`.
    """
    return {
        name: SignatureInfo(
            signature.method_name,
            _tensor_infos(signature.inputs),
            _tensor_infos(signature.outputs),
        )
        for name, signature in sorted(signatures.items())
        if not name.startswith("__")
    }


def serving_error(error: grpc.RpcError, address: str, timeout: float) -> ServingError:
    """The error of a call, with code and message of the server, or of gRPC."""
    message = error.details()
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        message = f"{message} ({address} had {timeout:g} s)"
    return ServingError(error.code(), message)


def _tensor_infos(tensors: Mapping[str, Any]) -> dict[str, TensorInfo]:
    infos = {}
    for name, tensor in sorted(tensors.items()):
        shape = tf.TensorShape(tensor.tensor_shape)
        dtype = np.dtype(tf.as_dtype(tensor.dtype).as_numpy_dtype)
        infos[name] = TensorInfo(
            dtype, None if shape.rank is None else tuple(shape.as_list())
        )
    return infos


def _raise_if_all_failed(model: str, found: tuple[VersionStatus, ...]) -> None:
    """Waiting is in vain where every version has ended with an error."""
    failed = [
        entry
        for entry in found
        if entry.state == "END" and entry.code is not grpc.StatusCode.OK
    ]
    if failed and len(failed) == len(found):
        last = failed[-1]
        raise ServingError(
            last.code, f"`{model}` version {last.version} failed: {last.message}"
        )
