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
from tfrec.serving.server.worker_link import Link

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
        link: Link,
    ):
        self.id = version_id
        self.in_flight = 0
        self.exited: asyncio.Task[int] = asyncio.create_task(process.wait())
        self._process = process
        self._link = link
        self._idle = asyncio.Event()
        self._idle.set()
        self._output = asyncio.create_task(_pass_on(process.stdout, version_id))

    async def call(self, method: str, payload: bytes, timeout: float | None) -> bytes:
        """Asks the worker; request and answer are serialized messages.

        Args:
            timeout: seconds; None: no limit.
        Raises: ServingError: the worker's, DEADLINE_EXCEEDED, or UNAVAILABLE if the
            process ended.
        """
        self.in_flight += 1
        self._idle.clear()
        try:
            return await self._link.call(method, payload, timeout)
        except ServingError as error:
            if error.code is not grpc.StatusCode.UNAVAILABLE:
                raise
            message = f"The worker of {self.id} does not answer now: {error.message}"
            raise ServingError(error.code, message) from error
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
            await self.drain(_KILL_SECONDS)  # who asked is told that it ended
            self._link.close()
            self._output.cancel()


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
            *self._config.flags,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            start_new_session=True,  # the terminal's Ctrl-C is for this process
            limit=_LONGEST_LINE,
        )
        try:
            threads = await _ready(process, version_id)
            return Worker(version_id, process, Link(socket, threads))
        except BaseException:
            _signal(process.kill)
            await process.wait()
            raise

    def close(self) -> None:
        """Removes the folder of the sockets."""
        shutil.rmtree(self._sockets, ignore_errors=True)


async def _ready(process: asyncio.subprocess.Process, version_id: VersionId) -> int:
    """Waits for the line that says that the version is loaded, or not; its threads."""
    assert process.stdout is not None
    while line := await process.stdout.readline():
        report = _report(line)
        if report is None:
            logging.info("%s: %s", version_id, line.decode(errors="replace").rstrip())
        elif report["state"] == "ready":
            return report["threads"]
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
