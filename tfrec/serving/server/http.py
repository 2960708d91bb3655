"""uvicorn as the server of REST, with a limit for clients that are slow."""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 30.0  # ours


class Server(uvicorn.Server):
    """Leaves the signals to the program.

    Args:
        app: answers.
        drain_seconds: that requests in flight have when the server ends.
    """

    def __init__(self, app: ASGIApp, drain_seconds: float):
        options = uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=round(drain_seconds),
        )
        super().__init__(options)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none."""
        yield


class _Protocol(HttpToolsProtocol):
    """A connection that is closed when a request's head takes `HEAD_SECONDS`.

    uvicorn itself waits forever once the first byte has come.
    """

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Keeps a timer while the next request's head is awaited or incomplete."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._unwatch()
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _unwatch(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
