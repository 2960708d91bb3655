"""Runs `python -m tfrec.serving.server` for an experiment, on free loopback ports."""

import contextlib
import dataclasses
import pathlib
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping

from google.protobuf import text_format

from tfrec.serving import Client
from tfrec.serving.apis import grpc, model_server_config_pb2
from tfrec.serving.errors import ServingError

_START_SECONDS = 300.0
_STOP_SECONDS = 60.0
_LOG_LINES = 30


@dataclasses.dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        port: of gRPC.
        rest_port: of REST.
        process: the front process; the workers are its children.
        log: what it writes.
    """

    port: int
    rest_port: int
    process: subprocess.Popen
    log: pathlib.Path

    @property
    def address(self) -> str:
        """Where gRPC listens."""
        return f"127.0.0.1:{self.port}"

    @property
    def rest_address(self) -> str:
        """Where REST listens, as the beginning of a URL."""
        return f"http://127.0.0.1:{self.rest_port}"

    def log_tail(self) -> str:
        """The last lines that it wrote."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES:])


@contextlib.contextmanager
def running(
    models: Mapping[str, pathlib.Path],
    *flags: str,
    log: pathlib.Path | None = None,
    port: int | None = None,
    rest_port: int | None = None,
) -> Iterator[Server]:
    """A server of models, ready to be asked; ended when the block ends.

    Args:
        models: the root of the versions of each, by name.
        flags: more flags of the server.
        log: a file that gets what it writes; default: a temporary one.
        port, rest_port: default: free ones.
    Raises: RuntimeError: it did not become ready; the message has the end of its log.
    """
    with tempfile.TemporaryDirectory(prefix="tfrec_serving_") as folder:
        config = pathlib.Path(folder, "models.config")
        config.write_text(models_config(models), encoding="utf-8")
        log = log or pathlib.Path(folder, "server.log")
        ports = (port or free_port(), rest_port or free_port())
        command = [
            *(sys.executable, "-m", "tfrec.serving.server"),
            *(f"--model_config_file={config}", f"--port={ports[0]}"),
            *(f"--rest_api_port={ports[1]}", "--max_num_load_retries=0", *flags),
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output)
        server = Server(*ports, process, log)
        try:
            _wait(server, models)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def models_config(models: Mapping[str, pathlib.Path]) -> str:
    """TensorFlow Serving's `models.config` of the latest versions, in text format."""
    config = model_server_config_pb2.ModelServerConfig()
    for name, root in models.items():
        config.model_config_list.config.add(
            name=name,
            base_path=str(pathlib.Path(root).absolute()),
            model_platform="tensorflow",
        )
    return text_format.MessageToString(config)


def free_port() -> int:
    """A port of the loopback that nothing listens on."""
    with socket.socket() as chosen:
        chosen.bind(("127.0.0.1", 0))
        return chosen.getsockname()[1]


def _wait(server: Server, models: Mapping[str, pathlib.Path]) -> None:
    attempts = int(_START_SECONDS)
    with Client(server.address) as client:
        for name in models:
            for attempt in range(attempts):
                if server.process.poll() is not None:
                    raise RuntimeError(f"The server ended:\n{server.log_tail()}")
                try:
                    client.wait_until_ready(name, timeout=1.0)
                    break
                except ServingError as error:
                    is_late = error.code is grpc.StatusCode.DEADLINE_EXCEEDED
                    if not is_late or attempt == attempts - 1:
                        raise RuntimeError(f"{error}\n{server.log_tail()}") from error
