"""Asks a worker as the front does, from blocking code."""

import pathlib
import select
import socket
import struct

from tfrec.serving import link
from tfrec.serving.apis import grpc

SECONDS = 60.0
_HEADER = struct.Struct("<BQ")
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class Connection:
    """One connection; a context that closes it."""

    def __init__(self, path: pathlib.Path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(SECONDS)
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def send(self, method: str, payload: bytes) -> None:
        """Sends a request."""
        header = _HEADER.pack(link.METHODS.index(method), len(payload))
        self.socket.sendall(header + payload)

    def is_answered(self, seconds: float = 0.0) -> bool:
        """Whether some of an answer, or the end, has come."""
        return bool(select.select([self.socket], [], [], seconds)[0])

    def receive(self) -> tuple[grpc.StatusCode, bytes]:
        """Waits for an answer. Raises: EOFError: the worker hung up."""
        code, size = _HEADER.unpack(self._exactly(_HEADER.size))
        return _CODES[code], self._exactly(size)

    def ask(self, method: str, payload: bytes) -> tuple[grpc.StatusCode, bytes]:
        """Sends a request and waits for its answer."""
        self.send(method, payload)
        return self.receive()

    def _exactly(self, size: int) -> bytes:
        parts = []
        while size:
            part = self.socket.recv(min(size, 1 << 20))
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def is_refused(path: pathlib.Path) -> bool:
    """Whether a worker accepts no more connections."""
    try:
        Connection(path).socket.close()
    except ConnectionRefusedError:
        return True
    return False
