"""What listens: gRPC and REST, in one event loop."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Iterator

import uvicorn

from tfrec.serving.apis import grpc
from tfrec.serving.server import grpc_services, ports, rest, tls
from tfrec.serving.server.config import ServerConfig
from tfrec.serving.server.core import Core
from tfrec.serving.server.metrics import Metrics
from tfrec.serving.server.models import Models
from tfrec.serving.server.request_log import RequestLogs


class Front:
    """Both protocols on their ports, which refuse connections until `start`.

    Attributes:
        port: of gRPC, once it has started.
    """

    def __init__(self, config: ServerConfig, models: Models, metrics: Metrics):
        self._config, self._models = config, models
        self._logs = RequestLogs(config.request_log_dir, metrics)
        core = Core(models, metrics, self._logs)
        self._grpc, self._health = grpc_services.make_server(
            core, config.workers.max_message_bytes
        )
        self.port = config.port
        self._rest: _RestServer | None = None
        self._rest_task: asyncio.Task[None] | None = None
        if config.rest_api_port:
            self._rest = _rest_server(config, core, metrics)

    async def start(self) -> None:
        """Begins to answer."""
        self._models.follow(self._logs.configure)
        await self._tell_health()
        self.port = _listen(self._grpc, self._config)
        await self._grpc.start()
        if self._rest is not None:
            host = self._config.host
            listener = ports.bound("rest_api_port", host, self._config.rest_api_port)
            self._rest_task = asyncio.create_task(self._rest.serve([listener]))

    async def keep_health(self) -> None:
        """Tells grpc.health.v1 whether all models can be asked."""
        while True:
            await self._models.manager.change()
            await self._tell_health()

    async def stop(self) -> None:
        """Accepts nothing more, finishes what is in flight, and writes the logs."""
        await self._health.enter_graceful_shutdown()
        if self._rest is not None:
            self._rest.should_exit = True
        await self._grpc.stop(self._config.load.drain_seconds)
        if self._rest_task is not None:
            await self._rest_task
        await asyncio.to_thread(self._logs.close)

    async def _tell_health(self) -> None:
        is_ready = self._models.manager.is_ready(self._models.names)
        await grpc_services.set_health(self._health, is_ready)


class _RestServer(uvicorn.Server):
    """Leaves the signals to the program."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _rest_server(config: ServerConfig, core: Core, metrics: Metrics) -> _RestServer:
    app = rest.create_app(
        dataclasses.replace(core, entrypoint="REST"),
        metrics=metrics.render,
        max_body_bytes=config.workers.max_message_bytes,
        timeout=config.rest_api_timeout_in_ms / 1000,
    )
    options = uvicorn.Config(
        app,
        lifespan="off",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=round(config.load.drain_seconds),
    )
    return _RestServer(options)


def _listen(server: grpc.aio.Server, config: ServerConfig) -> int:
    host = f"[{config.host}]" if ":" in config.host else config.host
    address = f"{host}:{config.port}"
    if config.ssl_config_file is None:
        return server.add_insecure_port(address)
    return server.add_secure_port(address, tls.credentials(config.ssl_config_file))
