"""Clients of a model server over gRPC: NumPy in, NumPy out.

    with Client("localhost:8500") as client:
        client.predict("nann", {"history": history, "k": np.int32(10)}, "retrieve")

`AsyncClient` is the same for asyncio. What is tried again, and what is not, is said in
`tfrec/serving/channels.py`.
"""

import asyncio
import time
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import numpy as np

from tfrec.serving.apis import (
    grpc,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)
from tfrec.serving.channels import (
    MAX_MESSAGE_BYTES,
    RETRIES,
    ChannelConfig,
    Retries,
    Tls,
)
from tfrec.serving.client_calls import (
    SECONDS,
    SIGNATURE,
    Calls,
    ModelMetadata,
    VersionStatus,
    serving_error,
)

T = TypeVar("T")


class Client:
    """Calls a model server; threads may share it. A context that closes it.

    Args:
        address: `host:port`, or `unix:<path>`.
        tls: None: not encrypted.
        max_message_bytes: of a request and of a response.
        retries: which waits between tries; only UNAVAILABLE is tried again.
    """

    def __init__(
        self,
        address: str,
        *,
        tls: Tls | None = None,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        retries: Retries = RETRIES,
    ):
        config = ChannelConfig(address, tls, max_message_bytes, retries)
        self._channel = config.open()
        self._calls = _Blocking(self._channel, address)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; calls in flight fail with CANCELLED."""
        self._channel.close()

    def predict(
        self,
        model: str,
        inputs: Mapping[str, Any],
        signature: str = SIGNATURE,
        version: int | None = None,
        label: str | None = None,
        timeout: float = SECONDS,
    ) -> dict[str, np.ndarray]:
        """Runs a signature.

        Args:
            model: its name on the server.
            inputs: arrays by name. An array keeps its dtype, numbers and lists of
                Python become what `tf.constant` makes of them: int32, float32.
            signature: which function of the model.
            version, label: which version, at most one of them; else the latest.
            timeout: seconds for all tries together.
        Returns: the outputs by name; strings are bytes in an array of `object`.
        Raises:
            ServingError: the server refused, or did not answer in time.
            ValueError: `version` and `label`, or an input that is no tensor.
        """
        return _finish(
            self._calls.predict(model, inputs, signature, version, label, timeout)
        )

    def metadata(
        self,
        model: str,
        version: int | None = None,
        label: str | None = None,
        timeout: float = SECONDS,
    ) -> ModelMetadata:
        """Names, dtypes and shapes of a version's signatures.

        Args, raises: as `predict`.
        """
        return _finish(self._calls.metadata(model, version, label, timeout))

    def status(
        self,
        model: str,
        version: int | None = None,
        label: str | None = None,
        timeout: float = SECONDS,
    ) -> tuple[VersionStatus, ...]:
        """What the server knows of a model's versions, in their order.

        Args, raises: as `predict`; without `version` and `label`, all versions.
        """
        return _finish(self._calls.status(model, version, label, timeout))

    def wait_until_ready(
        self,
        model: str,
        version: int | None = None,
        label: str | None = None,
        timeout: float = 60.0,
    ) -> int:
        """Waits until a model, or one version of it, can be asked.

        Also waits for a server that can't be reached yet, and for a model or version
        that it does not know yet.

        Returns: the version that is available, the latest of several.
        Raises: ServingError: DEADLINE_EXCEEDED with what was seen last; or at once the
            error of loading, if every version that was asked for has failed.
        """
        return _finish(self._calls.wait_until_ready(model, version, label, timeout))


class AsyncClient(Calls):
    """`Client` for asyncio: the same calls and arguments, as coroutines.

    It belongs to the event loop that is running when it is made.
    """

    def __init__(
        self,
        address: str,
        *,
        tls: Tls | None = None,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        retries: Retries = RETRIES,
    ):
        config = ChannelConfig(address, tls, max_message_bytes, retries)
        self._address = address
        self._channel = config.open_async()
        self._methods = _methods(self._channel)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connection; calls in flight are cancelled."""
        await self._channel.close()

    async def _send(self, method: str, request: Any, timeout: float) -> Any:
        try:
            return await self._methods[method](request, timeout=timeout)
        except grpc.RpcError as error:
            raise serving_error(error, self._address, timeout) from error

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Blocking(Calls):
    """The calls over a blocking channel: as coroutines they never wait for a loop."""

    def __init__(self, channel: grpc.Channel, address: str):
        self._address = address
        self._methods = _methods(channel)

    async def _send(self, method: str, request: Any, timeout: float) -> Any:
        try:
            return self._methods[method](request, timeout=timeout)
        except grpc.RpcError as error:
            raise serving_error(error, self._address, timeout) from error

    async def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)


def _methods(channel: Any) -> dict[str, Any]:
    """The official stubs' methods that the clients call, by name."""
    prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    models = model_service_pb2_grpc.ModelServiceStub(channel)
    return {
        "Predict": prediction.Predict,
        "GetModelMetadata": prediction.GetModelMetadata,
        "GetModelStatus": models.GetModelStatus,
    }


def _finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that never suspends."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("a blocking call must not suspend")
