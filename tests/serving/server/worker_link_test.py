"""The front's side of the frames: turns, deadlines, and workers that are gone."""

import asyncio
import contextlib
import pathlib
import struct
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from tests.serving.server import fakes
from tfrec.serving import link
from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError
from tfrec.serving.server.worker_link import Link

SECONDS = 60.0
LARGE = 32 << 20
IN_THE_QUEUE = "The deadline passed before the request's turn came."
IN_THE_WORKER = "Deadline Exceeded"


class Worker:
    """Echoes, in threads of this process; `held...` waits for `go_on`.

    Attributes:
        log: requests when they come, and again, with a `-`, when they are done.
    """

    def __init__(self):
        self.log: list[bytes] = []
        self.go_on = threading.Event()

    def __call__(self, method: str, payload: bytearray) -> tuple[int, bytes]:
        request = bytes(payload)
        self.log.append(request)
        if request.startswith(b"held"):
            assert self.go_on.wait(SECONDS)
        self.log.append(b"-" + request)
        if request.startswith(b"code "):
            return int(request.split()[1]), "schräg".encode()
        if request == b"large":
            return 0, bytes(LARGE)
        return 0, method.encode() + b" " + request


@pytest.fixture
def path() -> Iterator[pathlib.Path]:
    """A short one, as Unix sockets need."""
    with tempfile.TemporaryDirectory() as folder:
        yield pathlib.Path(folder, "socket")


def run(
    path: pathlib.Path, threads: int, body: Callable[[Worker, Link], Awaitable[None]]
) -> None:
    """Runs a coroutine over a worker and a link to it."""
    worker = Worker()
    server = link.Server(path, worker)

    async def main():
        to_worker = Link(path, threads)
        try:
            await asyncio.wait_for(body(worker, to_worker), SECONDS)
        finally:
            worker.go_on.set()
            to_worker.close()

    asyncio.run(main())
    server.stop(SECONDS)


def start(to_worker: Link, payload: bytes, timeout: float | None = None):
    return asyncio.create_task(to_worker.call("Predict", payload, timeout))


async def failure(call: Awaitable[bytes]) -> tuple[str, str]:
    """Code and message of a call that must fail."""
    with pytest.raises(ServingError) as caught:
        await call
    return caught.value.code.name, caught.value.message


def test_methods_and_codes(path):
    async def body(worker, to_worker):
        for method in link.METHODS:
            expected = method.encode() + b" x"
            assert await to_worker.call(method, b"x", SECONDS) == expected
        assert await to_worker.call("Predict", b"", None) == b"Predict "
        for code in grpc.StatusCode:
            call = start(to_worker, b"code %d" % code.value[0])
            if code is grpc.StatusCode.OK:
                assert await call == "schräg".encode()
            else:
                assert await failure(call) == (code.name, "schräg")

    run(path, 1, body)


def test_large_messages_hold_nobody_up(path):
    async def body(worker, to_worker):
        sent = bytes(range(256)) * (LARGE // 256)
        large = [start(to_worker, b"large"), start(to_worker, sent)]
        small = [start(to_worker, b"%d" % i) for i in range(50)]
        assert await asyncio.gather(*small) == [b"Predict %d" % i for i in range(50)]
        assert await large[0] == bytes(LARGE)
        assert await large[1] == b"Predict " + sent

    run(path, 4, body)


def test_no_more_requests_than_threads_and_the_others_in_order(path):
    async def body(worker, to_worker):
        held = [start(to_worker, b"held %d" % i) for i in range(3)]
        await fakes.until(lambda: len(worker.log) == 3)
        later = [start(to_worker, b"%d" % i) for i in range(20)]
        assert await failure(start(to_worker, b"late", 0.05)) == (
            "DEADLINE_EXCEEDED",
            IN_THE_QUEUE,
        )
        assert len(worker.log) == 3
        worker.go_on.set()
        await asyncio.gather(*held, *later)
        assert b"late" not in worker.log

    run(path, 3, body)


def test_waiting_requests_are_sent_in_order_without_those_that_gave_up(path):
    async def body(worker, to_worker):
        held = start(to_worker, b"held")
        await fakes.until(lambda: worker.log)
        first, late = start(to_worker, b"1"), start(to_worker, b"late", 0.05)
        cancelled, second = start(to_worker, b"cancelled"), start(to_worker, b"2")
        assert await failure(late) == ("DEADLINE_EXCEEDED", IN_THE_QUEUE)
        cancelled.cancel()
        worker.go_on.set()
        await asyncio.gather(held, first, second)
        assert worker.log == [b"held", b"-held", b"1", b"-1", b"2", b"-2"]
        assert cancelled.cancelled()

    run(path, 1, body)


@pytest.mark.parametrize("timeout", [0.0, -1.0])
def test_a_deadline_that_is_over(path, timeout):
    async def body(worker, to_worker):
        found = await failure(to_worker.call("Predict", b"late", timeout))
        assert found == ("DEADLINE_EXCEEDED", IN_THE_QUEUE)
        assert await to_worker.call("Predict", b"x", SECONDS) == b"Predict x"
        assert worker.log == [b"x", b"-x"]

    run(path, 1, body)


@pytest.mark.parametrize("is_cancelled", [False, True])
def test_a_thread_is_busy_after_its_caller_gave_up(path, is_cancelled):
    async def body(worker, to_worker):
        call = start(to_worker, b"held", None if is_cancelled else 0.05)
        await fakes.until(lambda: worker.log)
        if is_cancelled:
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        else:
            assert await failure(call) == ("DEADLINE_EXCEEDED", IN_THE_WORKER)
        late = start(to_worker, b"late", 0.05)
        assert await failure(late) == ("DEADLINE_EXCEEDED", IN_THE_QUEUE)
        after = start(to_worker, b"after")
        worker.go_on.set()
        assert await after == b"Predict after"
        assert worker.log == [b"held", b"-held", b"after", b"-after"]

    run(path, 1, body)


def test_a_turn_that_comes_as_its_caller_is_cancelled_goes_to_the_next(path):
    async def body(worker, to_worker):
        release = to_worker._release

        def release_and_cancel(connection):
            release(connection)
            second.cancel()

        to_worker._release = release_and_cancel
        first = start(to_worker, b"held")
        await fakes.until(lambda: worker.log)
        second, third = start(to_worker, b"2"), start(to_worker, b"3")
        await asyncio.sleep(0)
        worker.go_on.set()
        await first
        assert await third == b"Predict 3"
        assert second.cancelled()
        assert b"2" not in worker.log

    run(path, 1, body)


@contextlib.asynccontextmanager
async def raw(
    path: pathlib.Path, answer: Callable[[bytes], bytes], *, close: bool
) -> AsyncIterator[list[asyncio.StreamWriter]]:
    """What answers with any bytes, in this event loop; its connections."""
    connections = []

    async def serve(reader, writer):
        connections.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                _, size = struct.unpack("<BQ", await reader.readexactly(9))
                writer.write(answer(await reader.readexactly(size)))
                if close:
                    break
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    async with server:
        yield connections
        for writer in connections:
            writer.close()


def echo(payload: bytes) -> bytes:
    return struct.pack("<BQ", 0, len(payload)) + payload


@pytest.mark.parametrize("size", [0, 5, 9, 12])
def test_a_worker_that_ends_before_its_answer(path, size):
    """The answer is cut after `size` bytes; who waits is told as well."""

    async def body():
        async with raw(path, lambda payload: echo(payload)[:size], close=True):
            to_worker = Link(path, 2)
            calls = [start(to_worker, b"payload") for _ in range(5)]
            for call in calls:
                code, message = await failure(call)
                assert code == "UNAVAILABLE"
                assert "hung up" in message
            to_worker.close()

    asyncio.run(body())


def test_no_worker(path):
    async def body():
        to_worker = Link(path, 2)
        for _ in range(3):
            code, message = await failure(start(to_worker, b"x"))
            assert code == "UNAVAILABLE"
            assert "No such file" in message

    asyncio.run(body())


def test_connections_are_kept(path):
    async def body():
        async with raw(path, echo, close=False) as connections:
            to_worker = Link(path, 8)
            for _ in range(20):
                assert await start(to_worker, b"x") == b"x"
            assert len(connections) == 1
            await asyncio.gather(*(start(to_worker, b"x") for _ in range(20)))
            assert len(connections) == 8
            to_worker.close()

    asyncio.run(body())


def test_a_connection_that_broke_while_it_was_idle_is_replaced(path):
    async def body():
        async with raw(path, echo, close=True) as connections:
            to_worker = Link(path, 1)
            for number in range(1, 4):
                assert await start(to_worker, b"x") == b"x"
                assert len(connections) == number
                await fakes.until(lambda: not to_worker._open)
            to_worker.close()

    asyncio.run(body())


def test_close(path):
    async def body(worker, to_worker):
        calls = [start(to_worker, b"held"), start(to_worker, b"waits")]
        await fakes.until(lambda: worker.log)
        to_worker.close()
        calls.append(start(to_worker, b"late"))
        for call in calls:
            assert (await failure(call))[0] == "UNAVAILABLE"
        assert worker.log == [b"held"]

    run(path, 1, body)
