"""The worker's side of the frames, which the tests write and read by hand."""

import contextlib
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator

import pytest

from tests.serving import worker_client
from tests.serving.server import running
from tests.serving.worker_client import SECONDS, Connection
from tfrec.serving import link
from tfrec.serving.apis import grpc

OK = grpc.StatusCode.OK
LARGE = 16 << 20


class Handler:
    """Echoes; a request `held` waits for `go_on`; `large` gets many bytes."""

    def __init__(self):
        self.calls, self.done = [], []
        self.arrived, self.go_on = threading.Event(), threading.Event()

    def __call__(self, method: str, payload: bytearray) -> tuple[int, bytes]:
        request = bytes(payload)
        self.calls.append((method, request))
        if request == b"held":
            self.arrived.set()
            assert self.go_on.wait(SECONDS)
        self.done.append(request)
        if request == b"wrong":
            return 3, "schräg".encode()
        return 0, bytes(LARGE) if request == b"large" else request


@pytest.fixture
def path() -> Iterator[pathlib.Path]:
    """A short one, as Unix sockets need."""
    with tempfile.TemporaryDirectory() as folder:
        yield pathlib.Path(folder, "socket")


@pytest.fixture
def served(path) -> Iterator[tuple[Handler, link.Server]]:
    handler = Handler()
    server = link.Server(path, handler)
    yield handler, server
    handler.go_on.set()
    server.stop(SECONDS)


def test_frames(path, served):
    handler, _ = served
    with Connection(path) as connection:
        connection.socket.sendall(b"\x02\x03\0\0\0\0\0\0\0abc")
        assert connection.socket.recv(100) == b"\0\x03\0\0\0\0\0\0\0abc"
        connection.socket.sendall(b"\x04\0\0\0\0\0\0\0\0")
        assert connection.socket.recv(100) == b"\0\0\0\0\0\0\0\0\0"
        connection.socket.sendall(b"\x00\x05\0\0\0\0\0\0\0wrong")
        answer = b"\x03\x07\0\0\0\0\0\0\0" + "schräg".encode()
        assert connection.socket.recv(100) == answer
    expected = [("Regress", b"abc"), ("GetModelMetadata", b""), ("Predict", b"wrong")]
    assert handler.calls == expected


def test_a_frame_in_pieces(path, served):
    with Connection(path) as connection, Connection(path) as other:
        for number, byte in enumerate(b"\x00\x02\0\0\0\0\0\0\0ab"):
            connection.socket.sendall(bytes([byte]))
            assert other.ask("Predict", b"%d" % number) == (OK, b"%d" % number)
        assert connection.receive() == (OK, b"ab")


@pytest.mark.parametrize("sent", [b"", b"\x00\x03\0", b"\x00\x03\0\0\0\0\0\0\0ab"])
def test_a_frame_that_is_cut_off_is_not_run(path, served, sent):
    handler, _ = served
    with Connection(path) as connection, Connection(path) as other:
        connection.socket.sendall(sent)
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.socket.recv(1) == b""
        assert other.ask("Predict", b"x") == (OK, b"x")
    assert handler.calls == [("Predict", b"x")]


def test_large_frames_hold_nobody_up(path, served):
    sent = bytes(range(256)) * (LARGE // 256)
    with Connection(path) as large, Connection(path) as other:
        large.send("Predict", b"large")
        assert large.is_answered(SECONDS)  # it is being written, and nobody reads
        assert other.ask("Predict", b"x") == (OK, b"x")
        assert other.ask("Predict", sent) == (OK, sent)
        assert large.receive() == (OK, bytes(LARGE))


def test_who_hangs_up_is_no_error(path, served, monkeypatch):
    handler, server = served
    failures = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    with Connection(path) as connection:
        connection.send("Predict", b"held")
        assert handler.arrived.wait(SECONDS)
    with Connection(path) as connection:
        connection.send("Predict", b"large")
        assert connection.is_answered(SECONDS)
    handler.go_on.set()
    with Connection(path) as connection:
        assert connection.ask("Predict", b"x") == (OK, b"x")
    server.stop(SECONDS)
    assert {request for _, request in handler.calls} == {b"held", b"large", b"x"}
    assert failures == []


@contextlib.contextmanager
def stopping(path, server: link.Server) -> Iterator[threading.Thread]:
    """A thread in `stop`, which has begun."""
    thread = threading.Thread(target=server.stop, args=[SECONDS])
    thread.start()
    running.until(lambda: worker_client.is_refused(path), SECONDS)
    yield thread
    thread.join(SECONDS)
    assert not thread.is_alive()


def test_stop_lets_what_has_arrived_finish(path, served):
    handler, server = served
    with Connection(path) as connection, Connection(path) as idle:
        assert idle.ask("Predict", b"x") == (OK, b"x")
        connection.send("Predict", b"held")
        assert handler.arrived.wait(SECONDS)
        with stopping(path, server) as thread:
            assert idle.socket.recv(1) == b""
            assert thread.is_alive()
            handler.go_on.set()
            assert connection.receive() == (OK, b"held")
            assert connection.socket.recv(1) == b""


def test_stop_answers_what_was_sent_before_it(path, served):
    """Also what no thread has looked at yet."""
    handler, server = served
    with contextlib.ExitStack() as stack:
        sent = [stack.enter_context(Connection(path)) for _ in range(50)]
        for number, connection in enumerate(sent):
            connection.send("Predict", b"%d" % number)
        server.stop(SECONDS)
        assert len(handler.done) == len(sent)
        for number, connection in enumerate(sent):
            assert connection.receive() == (OK, b"%d" % number)


def test_stop_ends_after_its_time(path, served):
    handler, server = served
    with Connection(path) as connection:
        connection.send("Predict", b"held")
        assert handler.arrived.wait(SECONDS)
        server.stop(0.01)
        assert handler.done == []


def test_an_error_of_the_handler_ends_its_connection_alone(path, monkeypatch):
    failures = []
    monkeypatch.setattr(threading, "excepthook", failures.append)

    def handler(method: str, payload: bytearray) -> tuple[int, bytes]:
        return 0, {b"known": b"x"}[bytes(payload)]

    server = link.Server(path, handler)
    with Connection(path) as connection, Connection(path) as other:
        connection.send("Predict", b"unknown")
        assert connection.socket.recv(1) == b""
        assert other.ask("Predict", b"known") == (OK, b"x")
    server.stop(SECONDS)
    assert [failure.exc_type for failure in failures] == [KeyError]


@pytest.mark.parametrize("name", ["a" * 200, "missing/socket"])
def test_a_socket_that_can_not_be_made(path, name):
    with pytest.raises(OSError, match="too long|No such file"):
        link.Server(path.parent / name, Handler())


def test_a_worker_without_tensorflow_imports_none():
    code = "import sys, tfrec.serving.link as _; print(*sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"tensorflow", "grpc", "numpy"} & set(found.stdout.split())
