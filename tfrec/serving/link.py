"""Frames on Unix sockets, by which the server's front asks a worker; the worker's side.

A connection carries one request at a time. A frame is a byte, the length of its payload
in 64 bits, and the payload. A request's byte is the place of its method in `METHODS`,
its payload the serialized message. An answer's byte is a code of gRPC; its payload is
the serialized message if that is OK, else what is wrong, in UTF-8.

It imports nothing but the standard library: a worker without TensorFlow starts at once.
"""

import contextlib
import errno
import os
import socket
import struct
import threading
from collections.abc import Callable

METHODS = ("Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata")
HEADER = struct.Struct("<BQ")

Handler = Callable[[str, bytearray], tuple[int, bytes]]


class Server:
    """Answers on a Unix socket, from a thread for each connection.

    Args:
        path: of the socket, which listens when the constructor returns.
        handler: method and request to code and answer; many threads run it at the same
            time. An error that it raises closes the connection.
    Raises: OSError: the socket can't be made.
    """

    def __init__(self, path: str | os.PathLike, handler: Handler):
        self._handler = handler
        self._connections: set[socket.socket] = set()
        self._changed = threading.Condition()  # of `_connections`
        self._listener = socket.socket(socket.AF_UNIX)
        try:
            self._listener.bind(os.fspath(path))
            self._listener.listen(socket.SOMAXCONN)
        except OSError:
            self._listener.close()
            raise
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def stop(self, seconds: float) -> None:
        """Accepts no more, and answers what has arrived, for at most some time."""
        with contextlib.suppress(OSError):  # it failed, and is closed
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        with self._changed:
            for connection in self._connections:
                with contextlib.suppress(OSError):  # the front hung up
                    connection.shutdown(socket.SHUT_RD)
            self._changed.wait_for(lambda: not self._connections, seconds)

    def _accept(self) -> None:
        """Begins with connections until the listener is shut down."""
        with self._listener:
            while True:
                try:
                    connection, _ = self._listener.accept()
                except OSError as error:
                    if error.errno == errno.EINVAL:
                        return
                    raise
                with self._changed:
                    self._connections.add(connection)
                serve = threading.Thread(
                    target=self._serve, args=[connection], daemon=True
                )
                serve.start()

    def _serve(self, connection: socket.socket) -> None:
        """Answers until the front, or `stop`, ends the connection."""
        try:
            with contextlib.suppress(EOFError, ConnectionError):
                while True:
                    number, request = _received(connection)
                    code, answer = self._handler(METHODS[number], request)
                    connection.sendall(HEADER.pack(code, len(answer)) + answer)
        finally:
            with self._changed:
                connection.close()
                self._connections.remove(connection)
                self._changed.notify_all()


def _received(connection: socket.socket) -> tuple[int, bytearray]:
    """Byte and payload of the next frame. Raises: EOFError: there is no whole one."""
    number, size = HEADER.unpack(_exactly(connection, HEADER.size))
    return number, _exactly(connection, size)


def _exactly(connection: socket.socket, size: int) -> bytearray:
    buffer = bytearray(size)
    missing = memoryview(buffer)
    while missing:
        count = connection.recv_into(missing, 0, socket.MSG_WAITALL)
        if not count:
            raise EOFError
        missing = missing[count:]
    return buffer
