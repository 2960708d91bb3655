"""What listens: gRPC and REST, in one event loop."""

import asyncio
import dataclasses

from tfrec.serving.apis import grpc
from tfrec.serving.server import grpc_services, http, ports, rest
from tfrec.serving.server.config import ServerConfig
from tfrec.serving.server.core import Core
from tfrec.serving.server.metrics import Metrics
from tfrec.serving.server.models import Models
from tfrec.serving.server.request_log import RequestLogs


class Front:
    """Both protocols on their ports, which refuse connections until `start`.

    Attributes:
        port: of gRPC, once it has started.

    Args:
        config: where, and the limits.
        models: what is served.
        metrics: counts, and is shown over REST.
        credentials: of gRPC; None: no TLS.
    """

    def __init__(
        self,
        config: ServerConfig,
        models: Models,
        metrics: Metrics,
        credentials: grpc.ServerCredentials | None = None,
    ):
        self._config, self._models = config, models
        self._credentials = credentials
        self._logs = RequestLogs(config.request_log_dir, metrics)
        core = Core(models, metrics, self._logs)
        self._grpc, self._health = grpc_services.make_server(
            core, config.workers.max_message_bytes
        )
        self.port = config.port
        self._rest: http.Server | None = None
        self._rest_task: asyncio.Task[None] | None = None
        if config.rest_api_port:
            self._rest = _rest_server(config, core, metrics)

    async def start(self) -> None:
        """Begins to answer."""
        self._models.follow(self._logs.configure)
        await self._tell_health()
        self.port = self._listen()
        await self._grpc.start()
        if self._rest is not None:
            host = self._config.host
            listener = ports.bound("rest_api_port", host, self._config.rest_api_port)
            self._rest_task = asyncio.create_task(self._rest.serve([listener]))

    async def keep_health(self) -> None:
        """Tells grpc.health.v1 whether all models can be asked."""
        while True:
            change = self._models.manager.change()  # asked first, so that none is lost
            await self._tell_health()
            await change

    async def stop(self) -> None:
        """Accepts nothing more, finishes what is in flight, and writes the logs."""
        await self._health.enter_graceful_shutdown()
        if self._rest is not None:
            self._rest.should_exit = True
        await self._grpc.stop(self._config.load.drain_seconds)
        if self._rest_task is not None:
            await self._rest_task
        await asyncio.to_thread(self._logs.close)

    def _listen(self) -> int:
        host = self._config.host
        address = f"{f'[{host}]' if ':' in host else host}:{self._config.port}"
        if self._credentials is None:
            return self._grpc.add_insecure_port(address)
        return self._grpc.add_secure_port(address, self._credentials)

    async def _tell_health(self) -> None:
        is_ready = self._models.manager.is_ready(self._models.names)
        await grpc_services.set_health(self._health, is_ready)


def _rest_server(config: ServerConfig, core: Core, metrics: Metrics) -> http.Server:
    app = rest.create_app(
        dataclasses.replace(core, entrypoint="REST"),
        metrics=metrics.render,
        max_body_bytes=config.workers.max_message_bytes,
        timeout=config.rest_api_timeout_in_ms / 1000,
    )
    return http.Server(app, config.load.drain_seconds)
