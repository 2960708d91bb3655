"""Clients of REST that are slow."""

import asyncio
import contextlib
import time

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tfrec.serving.server import http, ports

HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
HEAD_SECONDS = 0.3


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """No test waits long."""
    monkeypatch.setattr(http, "HEAD_SECONDS", HEAD_SECONDS)


@contextlib.asynccontextmanager
async def serving(answer):
    """A server of one answer; its address."""
    app = Starlette(routes=[Route("/", answer, methods=["GET", "POST"])])
    listener = ports.bound("rest_api_port", "127.0.0.1", 0)
    server = http.Server(app, drain_seconds=5.0)
    task = asyncio.create_task(server.serve([listener]))
    listener.listen()
    try:
        yield listener.getsockname()
    finally:
        server.should_exit = True
        await task


async def hello(request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def ask(address, head: bytes = HEAD) -> bytes:
    """Everything that a server sends on a connection of its own."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(head + b"Connection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 20.0)
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("first", "drop"),
    [(b"", b""), (b"", b"G"), (b"", HEAD), (HEAD + b"\r\n", b"G")],
    ids=["nothing", "byte", "header", "of the second request"],
)
def test_a_connection_without_a_whole_head_is_closed(first, drop):
    async def body():
        async with serving(hello) as address:
            begun = time.monotonic()
            reader, writer = await asyncio.open_connection(*address)
            if first:
                writer.write(first)
                await reader.readuntil(b"hello")
            writer.write(drop)
            assert await asyncio.wait_for(reader.read(), 20.0) == b""
            assert time.monotonic() - begun > 0.9 * HEAD_SECONDS
            writer.close()
            assert (await ask(address)).endswith(b"hello")

    asyncio.run(body())


def test_a_head_in_drops_is_not_waited_for_longer():
    async def body():
        async with serving(hello) as address:
            reader, writer = await asyncio.open_connection(*address)
            closed = asyncio.create_task(reader.read())
            for drop in HEAD * 100:
                if closed.done():
                    break
                writer.write(bytes([drop]))
                await asyncio.sleep(0.05)
            assert closed.result() == b""
            writer.close()

    asyncio.run(body())


def test_an_answer_may_take_longer_than_a_head():
    async def slow(request) -> PlainTextResponse:
        await asyncio.sleep(2 * HEAD_SECONDS)
        return await hello(request)

    async def body():
        async with serving(slow) as address:
            assert (await ask(address)).endswith(b"hello")

    asyncio.run(body())


def test_a_body_may_take_longer_than_a_head():
    async def sized(request) -> PlainTextResponse:
        return PlainTextResponse(f"{len(await request.body())} bytes")

    async def body():
        async with serving(sized) as address:
            reader, writer = await asyncio.open_connection(*address)
            head = HEAD.replace(b"GET", b"POST")
            writer.write(head + b"Content-Length: 9\r\nConnection: close\r\n\r\n")
            for _ in range(3):
                await asyncio.sleep(0.6 * HEAD_SECONDS)
                writer.write(b"abc")
            answer = await asyncio.wait_for(reader.read(), 20.0)
            assert answer.endswith(b"9 bytes")
            writer.close()

    asyncio.run(body())
