"""A server from its start to its end."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any

from tfrec.serving.server import ports, tls
from tfrec.serving.server.config import ServerConfig
from tfrec.serving.server.manager import Manager
from tfrec.serving.server.metrics import Metrics
from tfrec.serving.server.models import Models
from tfrec.serving.server.worker_handle import Workers


async def serve(config: ServerConfig, tell: Callable[[str], None]) -> None:
    """Serves until SIGTERM or SIGINT; a second signal ends the process at once.

    Args:
        config: what and where.
        tell: is called with a line when the server answers.
    Raises: ServingError, OSError: it can't start.
    """
    for flag in ("port", "rest_api_port"):
        ports.bound(flag, config.host, getattr(config, flag)).close()
    ssl_config = config.ssl_config_file
    credentials = None if ssl_config is None else tls.credentials(ssl_config)
    stopped = _signalled()
    metrics = Metrics()
    workers = Workers(config.workers)
    manager = Manager(workers, config.load, metrics.load)
    models = Models(
        manager, config.rules(), config.allow_version_labels_for_unavailable_models
    )
    front = None
    tasks: list[asyncio.Task[Any]] = []
    try:
        await models.take(config.models)
        # Imports TensorFlow, for its messages, while the workers load.
        from tfrec.serving.server.front import Front

        front = Front(config, models, metrics, credentials)
        if config.file_system_poll_wait_seconds > 0:
            looks = models.keep_looking(config.file_system_poll_wait_seconds)
            tasks.append(asyncio.create_task(looks))
        ready = asyncio.create_task(manager.wait_for(models.names))
        try:
            await _until(stopped, [ready, *tasks])
        finally:
            await _cancel([ready])
        if not stopped.is_set():
            await front.start()
            tell(_ready_line(config, front.port, models))
            work = [*_reads(config, models), front.keep_health()]
            tasks += [asyncio.create_task(each) for each in work]
            await _until(stopped, tasks)
    finally:
        await _cancel(tasks)
        if front is not None:
            await front.stop()
        try:
            await manager.stop()
        finally:
            workers.close()


def _signalled() -> asyncio.Event:
    """Is set by the first signal that asks for the end."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def stop() -> None:
        stopped.set()
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, stop)
    return stopped


def _reads(config: ServerConfig, models: Models) -> list[Coroutine[Any, Any, None]]:
    """Polls the configuration, if it is to be polled."""
    seconds = config.model_config_file_poll_wait_seconds
    if config.model_config_file is None or seconds <= 0:
        return []
    return [models.keep_reading(config.model_config_file, seconds)]


async def _until(stopped: asyncio.Event, tasks: list[asyncio.Task[Any]]) -> None:
    """Waits for the signal or the end of a task; raises what the task raised."""
    stop = asyncio.create_task(stopped.wait())
    try:
        done, _ = await asyncio.wait(
            [stop, *tasks], return_when=asyncio.FIRST_COMPLETED
        )
        for task in done:
            task.result()
    finally:
        await _cancel([stop])


async def _cancel(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _ready_line(config: ServerConfig, port: int, models: Models) -> str:
    places = [f"gRPC on {config.host}:{port}"]
    if config.rest_api_port:
        places.append(f"REST on {config.host}:{config.rest_api_port}")
    served = []
    for name in sorted(models.names):
        numbers = [v.id.version for v in models.manager.versions(name) if v.serves]
        served.append(f"{name} ({', '.join(map(str, sorted(numbers)))})")
    return f"Ready: {', '.join(places)}; models: {', '.join(served)}"
