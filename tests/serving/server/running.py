"""Starts `python -m tfrec.serving.server` on the loopback, and ends it."""

import contextlib
import dataclasses
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

from tfrec.serving.apis import grpc

MODULE = "tfrec.serving.server"
_ROOT = pathlib.Path(__file__).resolve().parents[3]
_START_SECONDS = 240.0
_END_SECONDS = 60.0
_READY = re.compile(r"Ready: gRPC on (\S+?:\d+)(?:, REST on (\S+?:\d+))?; models: (.*)")


@dataclasses.dataclass(frozen=True)
class Server:
    """A server that has said that it is ready.

    Attributes:
        process: the front.
        address: of gRPC.
        rest_address: of REST; empty if it is off.
        log: what it wrote to standard error.
    """

    process: subprocess.Popen
    address: str
    rest_address: str
    log: pathlib.Path

    def channel(self, **options) -> grpc.Channel:
        """A gRPC channel with a connection of its own."""
        pairs = [("grpc.use_local_subchannel_pool", 1), *options.items()]
        return grpc.insecure_channel(self.address, pairs)

    def workers(self) -> list[int]:
        """The process ids of the workers that run."""
        return children(self.process.pid)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Sends a signal and waits; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(_END_SECONDS)


def free_port() -> int:
    """A port of the loopback that nothing listens on."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


def children(pid: int) -> list[int]:
    """The processes that a process started, and that still run."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if int(parent) == pid and state != "Z":
                found.append(int(path.parent.name))
    return found


def until(is_true: Callable[[], object], seconds: float = _START_SECONDS) -> None:
    """Waits for a condition, for a limited time."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not is_true():
        assert time.monotonic() < end, "the condition never held"
        pause.wait(0.02)


@contextlib.contextmanager
def running(
    folder: pathlib.Path, *flags: str, rest: bool = False, module: str = MODULE
) -> Iterator[Server]:
    """A server with some flags; it is killed at the end if it still runs.

    Args:
        folder: for its log.
        rest: whether REST is on, on a free port.
        module: what is run.
    """
    rest_port = free_port() if rest else 0
    flags = ("--port=0", f"--rest_api_port={rest_port}", *flags)
    process, log = start(folder, *flags, module=module)
    try:
        ready = _READY.match(_first_line(process, log))
        assert ready, log.read_text(errors="replace")[-4000:]
        yield Server(process, ready[1], ready[2] or "", log)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def start(
    folder: pathlib.Path, *flags: str, module: str = MODULE
) -> tuple[subprocess.Popen, pathlib.Path]:
    """Starts a server and does not wait; also the file of its standard error."""
    log = folder / f"server-{time.monotonic_ns()}.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *flags],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
            cwd=_ROOT,
            start_new_session=True,
        )
    return process, log


def _first_line(process: subprocess.Popen, log: pathlib.Path) -> str:
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.append(process.stdout.readline()))
    reader.start()
    reader.join(_START_SECONDS)
    assert lines, f"no line in {_START_SECONDS} s: {log.read_text(errors='replace')}"
    return lines[0]
