"""What a server is told."""

import dataclasses
import math
import pathlib
import sys

from tfrec.serving.server.model_config import Config, ModelRules, default_roots

_MOST_PORT = 2**16 - 1
_MOST_INT32 = 2**31 - 1


def check_range(name: str, value: float, least: float, most: float = math.inf) -> None:
    """Raises: ValueError: a value is out of its range, infinite or NaN."""
    if not (least <= value <= most and math.isfinite(value)):
        rule = f"at least {least}" if most == math.inf else f"from {least} to {most}"
        raise ValueError(f"`{name}` must be {rule}. Received: {value}")


@dataclasses.dataclass(frozen=True)
class WorkerConfig:
    """How the process of a version is started.

    Attributes:
        flags: for every worker, `--name=value`.
        command: what is started with the flags.
        max_message_bytes: of a request.
    Raises: ValueError: a number is out of its range.
    """

    flags: tuple[str, ...] = ()
    command: tuple[str, ...] = (sys.executable, "-m", "tfrec.serving.worker")
    max_message_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        check_range("max_message_bytes", self.max_message_bytes, 1, _MOST_INT32)


@dataclasses.dataclass(frozen=True)
class LoadConfig:
    """How versions come and go.

    Attributes:
        max_num_load_retries: after the first failure (TensorFlow Serving).
        load_retry_seconds: before each retry (TensorFlow Serving).
        drain_seconds: that requests in flight have when their version ends (ours).
    Raises: ValueError: a number is out of its range.
    """

    max_num_load_retries: int = 5
    load_retry_seconds: float = 60.0
    drain_seconds: float = 30.0

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            check_range(name, value, 0)


@dataclasses.dataclass(frozen=True)
class ServerConfig:
    """A server; the names and defaults are those of TensorFlow Serving's flags.

    Attributes:
        models: what is served at first.
        host: address that is listened on (ours; TensorFlow Serving: all of them).
        port: of gRPC; 0: the system chooses.
        rest_api_port: 0: no REST.
        rest_api_timeout_in_ms: of a REST request.
        model_config_file: where `models` is from, if it is to be polled.
        model_config_file_poll_wait_seconds: between polls; 0: none.
        file_system_poll_wait_seconds: between looks for versions; 0: one look only.
        allow_version_labels_for_unavailable_models: a label that is new may name a
            version that is not available yet.
        ssl_config_file: SSLConfig in text format; None: no TLS.
        model_roots: base paths must be below one of them; empty: below the parents of
            those in `models` (ours).
        request_log_dir: what LoggingConfig's `filename_prefix` is below; None: no
            model may have a LoggingConfig (ours).
        workers, load: see there.
    Raises: ValueError: a number is out of its range.
    """

    models: Config
    host: str = "127.0.0.1"
    port: int = 8500
    rest_api_port: int = 0
    rest_api_timeout_in_ms: int = 30_000
    model_config_file: pathlib.Path | None = None
    model_config_file_poll_wait_seconds: float = 0.0
    file_system_poll_wait_seconds: float = 1.0
    allow_version_labels_for_unavailable_models: bool = False
    ssl_config_file: pathlib.Path | None = None
    model_roots: tuple[pathlib.Path, ...] = ()
    request_log_dir: pathlib.Path | None = None
    workers: WorkerConfig = WorkerConfig()
    load: LoadConfig = LoadConfig()

    def __post_init__(self) -> None:
        for name in ("port", "rest_api_port"):
            check_range(name, getattr(self, name), 0, _MOST_PORT)
        for what in ("model_config_file", "file_system"):
            name = f"{what}_poll_wait_seconds"
            check_range(name, getattr(self, name), 0)
        timeout = self.rest_api_timeout_in_ms
        check_range("rest_api_timeout_in_ms", timeout, 1, _MOST_INT32)

    def rules(self) -> ModelRules:
        """What this server's models must keep to."""
        roots = self.model_roots or default_roots(self.models)
        return ModelRules(tuple(path.resolve() for path in roots), self.request_log_dir)
