"""Bodies: too long, too slow, compressed, large, and over a real connection."""

import asyncio
import contextlib
import gzip
import json
import socket
import threading

import httpx
import numpy as np
import pytest
import uvicorn
from tensorflow.core.framework import types_pb2

from tests.serving.server.in_process import (
    MAX_BODY_BYTES,
    TIMEOUT,
    Echo,
    InProcessCore,
    ask,
    error,
    made_app,
    ok,
    post,
)

FLOAT, INT64 = types_pb2.DT_FLOAT, types_pb2.DT_INT64
PREDICT = "/v1/models/m:predict"


@pytest.fixture
def echo() -> InProcessCore:
    return InProcessCore({"m": {1: Echo("m", 1, x=INT64)}})


def test_bodies_that_are_too_long(echo):
    app = made_app(echo, max_body_bytes=100)
    body = b'{"inputs": 7}'.ljust(100)
    assert ok(ask(app, "POST", PREDICT, content=body)) == {"outputs": 7}
    assert error(ask(app, "POST", PREDICT, content=body + b" ")) == (
        413,
        "The body must have at most 100 bytes. Received: 101",
    )

    async def chunks():
        for _ in range(1_000_000):
            yield b" " * 60

    status, message = error(ask(app, "POST", PREDICT, content=chunks()))
    assert (status, message[-11:]) == (413, "120 or more")
    huge = {"content-length": "9" * 30}
    assert error(ask(app, "POST", PREDICT, content=b"", headers=huge))[0] == 413


def test_bodies_that_come_too_slowly(echo):
    async def chunks():
        yield b'{"inputs"'
        await asyncio.Event().wait()

    app = made_app(echo, timeout=0.05)
    answer = ask(app, "POST", PREDICT, content=chunks())
    assert error(answer) == (408, "The body must arrive within 0.05 s.")
    assert answer.headers["connection"] == "close"


def test_models_that_answer_too_late(echo):
    async def wait(method):
        await asyncio.sleep(0.1)

    echo.before = wait
    answer = ask(made_app(echo, timeout=0.05), "POST", PREDICT, content='{"inputs": 7}')
    assert error(answer) == (504, "The request's time is over.")


def test_timeouts_are_passed_on(echo):
    timeouts = []

    class Listening(InProcessCore):
        async def forward(self, method, spec, payload, timeout):
            timeouts.append(timeout)
            return await super().forward(method, spec, payload, timeout)

    post(Listening(echo.models), PREDICT, '{"inputs": 7}')
    assert len(timeouts) == 2
    assert TIMEOUT >= timeouts[0] >= timeouts[1] > 0


def test_compressed_bodies(echo):
    headers = {"content-encoding": "gzip"}

    def sent(content):
        return post(echo, PREDICT, content, headers=headers)

    packed = gzip.compress(b'{"inputs": 7}')
    assert ok(sent(packed)) == {"outputs": 7}
    assert error(sent(packed[:-9]))[0] == 400
    assert error(sent(b'{"inputs": 7}'))[0] == 400
    bomb = gzip.compress(b" " * (MAX_BODY_BYTES + 1))
    assert error(sent(bomb))[0] == 413


@pytest.mark.parametrize("size", [10, 200_000])
def test_bodies_of_any_size(size):
    values = np.arange(size)
    core = InProcessCore({"m": {1: Echo("m", 1, x=INT64)}})
    app = made_app(core, max_body_bytes=1 << 24)
    body = json.dumps({"inputs": values.tolist()})
    assert ok(ask(app, "POST", PREDICT, content=body)) == {"outputs": values.tolist()}


def test_other_requests_pass_while_a_large_one_is_converted(echo):
    """A document with a token is read by Python, a turn at a time."""
    echo.models["floats"] = {1: Echo("floats", 1, x=FLOAT)}
    app = made_app(echo, max_body_bytes=1 << 24)
    large = json.dumps({"inputs": [float("nan"), *[1.5] * 300_000]})

    async def asked():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://server", timeout=None
        ) as client:
            slow = asyncio.create_task(
                client.post("/v1/models/floats:predict", content=large)
            )
            passed = 0
            while not slow.done():
                answer = await client.post(PREDICT, content='{"inputs": 7}')
                assert ok(answer) == {"outputs": 7}
                passed += 1
            return passed, await slow

    passed, slow = asyncio.run(asked())
    assert slow.status_code == 200
    assert passed > 5


@contextlib.contextmanager
def running(app):
    """Runs uvicorn on a free port of the loopback; gives the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="warning", http="httptools")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


def exchange(port: int, sent: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer to bytes; the server must close the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(sent)
        received = b""
        while piece := connection.recv(1 << 16):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


def test_over_a_network(echo):
    echo.models["floats"] = {1: Echo("floats", 1, x=FLOAT)}
    app = made_app(echo, timeout=0.5, max_body_bytes=1000)
    with running(app) as port:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            answer = client.post(PREDICT, content='{"instances": [1, 2, 5]}')
            assert ok(answer) == {"predictions": [1, 2, 5]}
            model = "/v1/models/floats"
            assert ok(client.get(f"{model}/metadata"))["model_spec"]["version"] == "1"
            assert error(client.post(PREDICT, content=b"x" * 3_000_000))[0] == 413
            tokens = '{"instances": [NaN, -Infinity]}'
            nan = client.post(f"{model}:predict", content=tokens)
            assert nan.text == '{"predictions":[NaN,-Infinity]}'
            assert error(client.get("/v1/models/a%2Fb")) == (
                404,
                "Could not find any versions of model a/b",
            )
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n"
        answered, body = exchange(port, head.encode() + b'{"instances"')
        assert answered.startswith(b"HTTP/1.1 408 ")
        assert json.loads(body) == {"error": "The body must arrive within 0.5 s."}
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head.encode() + b'{"instances"')
        assert httpx.get(f"http://127.0.0.1:{port}/v1/models/m").status_code == 200
