"""The front's side of the frames that `tfrec/serving/link.py` describes."""

import asyncio
import collections
import os
from collections.abc import Callable
from typing import TypeVar

from tfrec.serving.apis import grpc
from tfrec.serving.errors import CODES, ServingError
from tfrec.serving.link import HEADER, METHODS

T = TypeVar("T")
_IN_THE_QUEUE = "The deadline passed before the request's turn came."
_IN_THE_WORKER = "Deadline Exceeded"
_PIECE = 1 << 20  # bytes that are copied at once, while the loop waits


class Link:
    """Asks a worker, over at most a connection for each thread; of one event loop.

    The connection of a caller that does not wait any longer is kept until the answer
    comes, as the worker's thread is busy until then.

    Args:
        path: of the worker's socket.
        threads: most requests at the same time; others wait here for their turn.
    """

    def __init__(self, path: str | os.PathLike, threads: int):
        self._path = path
        self._idle: list[_Connection | None] = [None] * threads  # None: to be opened
        self._turns: collections.deque[asyncio.Future[_Connection | None]] = (
            collections.deque()
        )
        self._open: set[_Connection] = set()
        self._is_closed = False

    async def call(self, method: str, payload: bytes, timeout: float | None) -> bytes:
        """Asks the worker; request and answer are serialized messages.

        Args:
            method: one of `METHODS`.
            payload: the request.
            timeout: seconds; None: no limit.
        Raises: ServingError: the worker's; DEADLINE_EXCEEDED; UNAVAILABLE: the worker
            can't be reached, or the connection broke.
        """
        deadline = None
        if timeout is not None:
            if timeout <= 0:
                raise ServingError(grpc.StatusCode.DEADLINE_EXCEEDED, _IN_THE_QUEUE)
            deadline = asyncio.get_running_loop().time() + timeout
        try:
            connection = await self._connection(deadline)
            answer = connection.ask(METHODS.index(method), payload)
            code, content = await _before(deadline, answer, _IN_THE_WORKER)
        except OSError as error:
            raise ServingError(grpc.StatusCode.UNAVAILABLE, str(error)) from error
        if code:
            raise ServingError(CODES[code], content.decode())
        return content

    def close(self) -> None:
        """Closes the connections; who still waits gets UNAVAILABLE."""
        self._is_closed = True
        for connection in self._open:
            connection.abort()

    async def _connection(self, deadline: float | None) -> "_Connection":
        """A connection for one request; the last one used, whose thread is warm."""
        found = self._idle.pop() if self._idle else await self._turn(deadline)
        if found is not None and not found.is_closing:
            return found
        try:
            return await self._connect()
        except BaseException:
            self._release(None)
            raise

    async def _turn(self, deadline: float | None) -> "_Connection | None":
        turn = asyncio.get_running_loop().create_future()
        self._turns.append(turn)
        try:
            return await _before(deadline, turn, _IN_THE_QUEUE)
        except BaseException:
            if turn in self._turns:
                self._turns.remove(turn)
            elif not turn.cancelled() and turn.exception() is None:
                self._release(turn.result())  # it came as the caller was cancelled
            raise

    async def _connect(self) -> "_Connection":
        if self._is_closed:
            raise ConnectionError("The link is closed.")
        _, connection = await asyncio.get_running_loop().create_unix_connection(
            lambda: _Connection(self._open, self._release), os.fspath(self._path)
        )
        return connection

    def _release(self, connection: "_Connection | None") -> None:
        """Gives a connection to who has waited longest."""
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(connection)
                return
        self._idle.append(connection)


class _Connection(asyncio.Protocol):
    """A connection, which carries one request at a time.

    Args:
        opened: the connections that are open; it keeps itself in there.
        release: is called with it when a request has its answer, or never will.
    """

    def __init__(
        self, opened: set["_Connection"], release: Callable[["_Connection"], None]
    ):
        self._opened, self._release = opened, release
        self._received = bytearray()
        self._unsent, self._is_full = memoryview(b""), False
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None

    @property
    def is_closing(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._transport.is_closing()

    def ask(self, number: int, payload: bytes) -> asyncio.Future[tuple[int, bytes]]:
        """Sends a request; the future is its answer, or a ConnectionError."""
        self._answer = asyncio.get_running_loop().create_future()
        self._unsent = memoryview(payload)[_PIECE:]
        self._transport.write(HEADER.pack(number, len(payload)) + payload[:_PIECE])
        self._send()
        return self._answer

    def abort(self) -> None:
        """Closes it at once."""
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._opened.add(self)

    def pause_writing(self) -> None:
        """Called by asyncio, when it holds enough that is not sent yet."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Called by asyncio, when most of that is sent."""
        self._is_full = False
        self._send()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio, with some of an answer."""
        self._received += data
        if len(self._received) < HEADER.size:
            return
        code, size = HEADER.unpack_from(self._received)
        if len(self._received) < HEADER.size + size:
            return
        content = bytes(memoryview(self._received)[HEADER.size :])
        self._received = bytearray()
        answer = self._answered()
        if answer is not None:
            answer.set_result((code, content))

    def connection_lost(self, error: Exception | None) -> None:
        """Called by asyncio, also when the worker hung up."""
        self._opened.discard(self)
        answer = self._answered()
        if answer is not None:
            reason = error or "the worker hung up"
            answer.set_exception(ConnectionError(f"The connection broke: {reason}"))

    def _send(self) -> None:
        """Sends what is left of a large request, as far as asyncio takes it."""
        while self._unsent and not self._is_full and not self.is_closing:
            self._transport.write(self._unsent[:_PIECE])
            self._unsent = self._unsent[_PIECE:]

    def _answered(self) -> asyncio.Future[tuple[int, bytes]] | None:
        """Ends a request; what still waits for its answer."""
        answer, self._answer = self._answer, None
        if answer is None:
            return None
        self._release(self)
        return None if answer.done() else answer


async def _before(deadline: float | None, result: asyncio.Future[T], message: str) -> T:
    """Waits; after the deadline, on the loop's clock, it is DEADLINE_EXCEEDED."""
    if deadline is None:
        return await result
    loop = asyncio.get_running_loop()
    timer = loop.call_at(deadline, _expire, result, message)
    try:
        return await result
    finally:
        timer.cancel()


def _expire(result: asyncio.Future, message: str) -> None:
    if not result.done():
        code = grpc.StatusCode.DEADLINE_EXCEEDED
        result.set_exception(ServingError(code, message))
