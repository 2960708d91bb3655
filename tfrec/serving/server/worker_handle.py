"""A worker process, which serves one version of a model to this process alone."""

import asyncio
import contextlib
import dataclasses
import itertools
import json
import pathlib
import shutil
import tempfile
from typing import Any

from absl import logging

from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError
from tfrec.serving.server.config import WorkerConfig

METHODS = ("Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata")
_SERVICE = "/tensorflow.serving.PredictionService/"
_UNLIMITED = -1
_NEVER_MS = 2**31 - 1
_LONGEST_LINE = 1 << 20
_KILL_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class VersionId:
    """A version of a model; printed as TensorFlow Serving prints it."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{{name: {self.name} version: {self.version}}}"


class Worker:
    """A process that has loaded a version and answers; `Workers.start` makes it.

    Attributes:
        id: of its version.
        exited: is done when the process has ended; its exit code.
        in_flight: calls that are not answered yet.
    """

    def __init__(
        self,
        version_id: VersionId,
        process: asyncio.subprocess.Process,
        channel: grpc.aio.Channel,
    ):
        self.id = version_id
        self.in_flight = 0
        self.exited: asyncio.Task[int] = asyncio.create_task(process.wait())
        self._process = process
        self._channel = channel
        self._calls = {name: channel.unary_unary(_SERVICE + name) for name in METHODS}
        self._idle = asyncio.Event()
        self._idle.set()
        self._output = asyncio.create_task(_pass_on(process.stdout, version_id))

    async def call(self, method: str, payload: bytes, timeout: float | None) -> bytes:
        """Asks the worker; request and answer are serialized messages.

        Args:
            timeout: seconds; None: no limit.
        Raises: ServingError: the worker's, or UNAVAILABLE if the process ended.
        """
        self.in_flight += 1
        self._idle.clear()
        try:
            return await self._calls[method](payload, timeout=timeout)
        except grpc.aio.AioRpcError as error:
            raise self._translated(error.code(), error.details() or "") from error
        except grpc.aio.UsageError as error:  # the channel is closed
            raise self._translated(grpc.StatusCode.UNAVAILABLE, str(error)) from error
        finally:
            self.in_flight -= 1
            if not self.in_flight:
                self._idle.set()

    async def drain(self, seconds: float) -> None:
        """Waits until no call is in flight, at most some time."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._idle.wait(), seconds)

    async def stop(self, seconds: float) -> None:
        """Ends the process: it may finish what it does, then it is killed."""
        _signal(self._process.terminate)
        try:
            await asyncio.wait_for(asyncio.shield(self.exited), seconds)
        except asyncio.TimeoutError:
            logging.warning("The worker of %s is killed: it did not end.", self.id)
        finally:
            _signal(self._process.kill)
            await self.exited
            await self.drain(_KILL_SECONDS)  # closing would cancel who asked
            await self._channel.close()
            self._output.cancel()

    def _translated(self, code: grpc.StatusCode, details: str) -> ServingError:
        if code == grpc.StatusCode.UNAVAILABLE:
            return ServingError(
                code, f"The worker of {self.id} does not answer now: {details}"
            )
        return ServingError(code, details)


class Workers:
    """Starts workers; their sockets are in a folder that only this user reads."""

    def __init__(self, config: WorkerConfig):
        self._config = config
        self._sockets = pathlib.Path(tempfile.mkdtemp(prefix="tfrec-serving-"))
        self._numbers = itertools.count()

    async def start(self, version_id: VersionId, folder: pathlib.Path) -> Worker:
        """Starts a process and waits until it has loaded the version.

        Raises: ServingError: it could not load it, or ended.
        """
        socket = self._sockets / f"{next(self._numbers)}.sock"
        process = await asyncio.create_subprocess_exec(
            *self._config.command,
            f"--model_name={version_id.name}",
            f"--version={version_id.version}",
            f"--path={folder}",
            f"--socket={socket}",
            f"--max_message_bytes={self._config.max_message_bytes}",
            *self._config.flags,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # the terminal's Ctrl-C is for this process
            limit=_LONGEST_LINE,
        )
        channel = _channel(socket)
        try:
            await _ready(process, version_id)
            return Worker(version_id, process, channel)
        except BaseException:
            _signal(process.kill)
            await process.wait()
            await channel.close()
            raise

    def close(self) -> None:
        """Removes the folder of the sockets."""
        shutil.rmtree(self._sockets, ignore_errors=True)


def _channel(socket: pathlib.Path) -> grpc.aio.Channel:
    options = [
        ("grpc.max_send_message_length", _UNLIMITED),
        ("grpc.max_receive_message_length", _UNLIMITED),
        ("grpc.max_metadata_size", _LONGEST_LINE),
        ("grpc.absolute_max_metadata_size", _LONGEST_LINE),
        ("grpc.enable_retries", 0),
        ("grpc.client_idle_timeout_ms", _NEVER_MS),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    return grpc.aio.insecure_channel(f"unix:{socket}", options)


async def _ready(process: asyncio.subprocess.Process, version_id: VersionId) -> None:
    """Waits for the line that says that the version is loaded, or not."""
    assert process.stdout is not None
    while line := await process.stdout.readline():
        report = _report(line)
        if report is None:
            logging.info("%s: %s", version_id, line.decode(errors="replace").rstrip())
        elif report["state"] == "ready":
            return
        else:
            code = grpc.StatusCode[report.get("code", "UNKNOWN")]
            raise ServingError(code, report.get("message", ""))
    raise ServingError(
        grpc.StatusCode.INTERNAL,
        f"The worker of {version_id} ended while it loaded: exit code "
        f"{await process.wait()}",
    )


def _report(line: bytes) -> dict[str, Any] | None:
    try:
        report = json.loads(line)
    except ValueError:
        return None
    return report if isinstance(report, dict) and "state" in report else None


async def _pass_on(stream: asyncio.StreamReader | None, version_id: VersionId) -> None:
    """Logs what a worker prints, so that its pipe never fills."""
    assert stream is not None
    while line := await stream.readline():
        logging.info("%s: %s", version_id, line.decode(errors="replace").rstrip())


def _signal(send: Any) -> None:
    with contextlib.suppress(ProcessLookupError):
        send()
