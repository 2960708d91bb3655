"""What both protocols ask: requests for a version, states, another configuration."""

import asyncio
import dataclasses
import time

from tfrec.serving.apis import (
    get_model_status_pb2,
    grpc,
    model_management_pb2,
    model_pb2,
)
from tfrec.serving.errors import ServingError
from tfrec.serving.server.metrics import Metrics
from tfrec.serving.server.models import Models
from tfrec.serving.server.request_log import RequestLogs

MOST_IN_FLIGHT = 1000  # requests to versions, of both protocols (ours)


class InFlight:
    """Counts requests that are not answered yet, and refuses those beyond a limit."""

    def __init__(self) -> None:
        self._count = 0

    def __enter__(self) -> None:
        """Raises: ServingError (UNAVAILABLE): there are too many."""
        if self._count >= MOST_IN_FLIGHT:
            raise ServingError(
                grpc.StatusCode.UNAVAILABLE,
                f"The server has {self._count} requests in flight, which is its limit.",
            )
        self._count += 1

    def __exit__(self, *error: object) -> None:
        self._count -= 1


@dataclasses.dataclass(frozen=True)
class Core:
    """The server behind the protocols; of one event loop.

    Attributes:
        models: what is served.
        metrics: counts the requests.
        logs: keeps samples of the requests.
        entrypoint: the protocol, for the metrics: "GRPC" or "REST".
        in_flight: of both protocols.
    """

    models: Models
    metrics: Metrics
    logs: RequestLogs
    entrypoint: str = "GRPC"
    in_flight: InFlight = dataclasses.field(default_factory=InFlight)

    async def forward(
        self,
        method: str,
        spec: model_pb2.ModelSpec,
        payload: bytes,
        timeout: float | None,
    ) -> bytes:
        """Asks the version that a spec names; the messages pass unparsed.

        Args:
            method: of PredictionService: "Predict", "Classify", "Regress",
                "MultiInference" or "GetModelMetadata".
            spec: the request's.
            payload: the request.
            timeout: seconds; None: no limit.
        Returns: the response.
        Raises: ServingError: as TensorFlow Serving would answer.
        """
        started = time.perf_counter()
        status = grpc.StatusCode.OK
        try:
            version = self.models.resolve(spec)
            if version.worker is None:
                raise ServingError(
                    grpc.StatusCode.UNAVAILABLE,
                    f"The worker of {version.id} ended and is started again.",
                )
            with self.in_flight:
                response = await version.worker.call(method, payload, timeout)
            self.logs.log(method, version.id, payload, response)
            return response
        except ServingError as error:
            status = error.code
            raise
        except asyncio.CancelledError:
            status = grpc.StatusCode.CANCELLED
            raise
        finally:
            if method != "GetModelMetadata":  # as in TensorFlow Serving
                name = spec.name if spec.name in self.models.names else ""
                seconds = time.perf_counter() - started
                self.metrics.request(
                    name, method, self.entrypoint, status.name, seconds
                )

    def status(
        self, spec: model_pb2.ModelSpec
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """The states of a model's versions, or of the one that a spec names.

        Raises: ServingError (NOT_FOUND): there is no such version.
        """
        number = self.models.number(spec)
        response = get_model_status_pb2.GetModelStatusResponse()
        for version in self.models.manager.versions(spec.name):
            if number in (None, version.id.version):
                entry = response.model_version_status.add(
                    version=version.id.version, state=int(version.state)
                )
                entry.status.SetInParent()
                if version.error is not None:
                    entry.status.error_code = version.error.code.value[0]
                    entry.status.error_message = version.error.message
        if not response.model_version_status:
            what = "any versions" if number is None else f"version {number}"
            raise ServingError(
                grpc.StatusCode.NOT_FOUND,
                f"Could not find {what} of model {spec.name}",
            )
        return response

    async def reload(
        self, request: model_management_pb2.ReloadConfigRequest
    ) -> model_management_pb2.ReloadConfigResponse:
        """Replaces the configuration; answers when models new in it are available.

        Raises: ServingError: it breaks a rule, or a new model can't be loaded.
        """
        if request.config.WhichOneof("config") != "model_config_list":
            raise ServingError(
                grpc.StatusCode.INVALID_ARGUMENT,
                "ServerModelConfig type not supported by HandleReloadConfigRequest. "
                "Only ModelConfigList is currently supported",
            )
        await self.models.reload(request.config)
        response = model_management_pb2.ReloadConfigResponse()
        response.status.error_code = grpc.StatusCode.OK.value[0]
        return response
