"""`python -m tfrec.serving.server`: a model server with TensorFlow Serving's flags.

    python -m tfrec.serving.server --model_name=nann --model_base_path=/models/nann
    python -m tfrec.serving.server --model_config_file=models.config

`docs/serving.md` describes it.
"""

import asyncio
import os
import pathlib
import sys
from collections.abc import Sequence

from absl import app, flags

from tfrec.serving import batching_parameters
from tfrec.serving.errors import ServingError
from tfrec.serving.server import model_config, run
from tfrec.serving.server.config import LoadConfig, ServerConfig, WorkerConfig

_DEFAULTS = ServerConfig
_LOAD = LoadConfig()
_WORKERS = WorkerConfig()

_HOST = flags.DEFINE_string("host", _DEFAULTS.host, "Address to listen on (ours).")
_PORT = flags.DEFINE_integer(
    "port", _DEFAULTS.port, "Port of gRPC; 0: the system chooses one."
)
_REST_API_PORT = flags.DEFINE_integer(
    "rest_api_port", _DEFAULTS.rest_api_port, "Port of HTTP/REST; 0: no REST."
)
_REST_API_TIMEOUT_IN_MS = flags.DEFINE_integer(
    "rest_api_timeout_in_ms",
    _DEFAULTS.rest_api_timeout_in_ms,
    "For a REST request: to read its body, and as its deadline.",
)
_MODEL_NAME = flags.DEFINE_string(
    "model_name", "default", "Name of the model; not with --model_config_file."
)
_MODEL_BASE_PATH = flags.DEFINE_string(
    "model_base_path", None, "Folder of the versions; not with --model_config_file."
)
_MODEL_CONFIG_FILE = flags.DEFINE_string(
    "model_config_file", None, "A ModelServerConfig in text format."
)
_MODEL_CONFIG_FILE_POLL_WAIT_SECONDS = flags.DEFINE_float(
    "model_config_file_poll_wait_seconds",
    _DEFAULTS.model_config_file_poll_wait_seconds,
    "Between two looks at --model_config_file; 0: it is read once.",
)
_FILE_SYSTEM_POLL_WAIT_SECONDS = flags.DEFINE_float(
    "file_system_poll_wait_seconds",
    _DEFAULTS.file_system_poll_wait_seconds,
    "Between two looks for new versions; 0: one look only.",
)
_MAX_NUM_LOAD_RETRIES = flags.DEFINE_integer(
    "max_num_load_retries",
    _LOAD.max_num_load_retries,
    "Times that a version is loaded again after the first failure.",
)
_LOAD_RETRY_INTERVAL_MICROS = flags.DEFINE_integer(
    "load_retry_interval_micros",
    round(_LOAD.load_retry_seconds * 1e6),
    "Before a version is loaded again.",
)
_ENABLE_BATCHING = flags.DEFINE_bool(
    "enable_batching", False, "Merge requests that come at the same time."
)
_BATCHING_PARAMETERS_FILE = flags.DEFINE_string(
    "batching_parameters_file", None, "BatchingParameters in text format."
)
_SSL_CONFIG_FILE = flags.DEFINE_string(
    "ssl_config_file", None, "SSLConfig in text format: gRPC by TLS."
)
_ALLOW_VERSION_LABELS = flags.DEFINE_bool(
    "allow_version_labels_for_unavailable_models",
    _DEFAULTS.allow_version_labels_for_unavailable_models,
    "A new label may name a version that is not available yet.",
)
_INTRA_OP = flags.DEFINE_integer(
    "tensorflow_intra_op_parallelism", 0, "Threads within an op; 0: one a core."
)
_INTER_OP = flags.DEFINE_integer(
    "tensorflow_inter_op_parallelism", 0, "Ops at the same time; 0: one a core."
)
_AS_TENSOR_CONTENT = flags.DEFINE_bool(
    "enable_serialization_as_tensor_content",
    False,
    "Numbers of Predict's outputs in `tensor_content`, not in `float_val` and so on.",
)
_MAX_MESSAGE_BYTES = flags.DEFINE_integer(
    "max_message_bytes",
    _WORKERS.max_message_bytes,
    "Largest request, by gRPC and by REST (ours).",
)
_ALLOW_ALL_OPS = flags.DEFINE_bool(
    "allow_all_ops",
    False,
    "Load models whatever files their ops read or write (ours).",
)
_MODEL_ROOT = flags.DEFINE_multi_string(
    "model_root",
    [],
    "Base paths must be below it, also in later configurations; by default below the "
    "parents of those given at the start (ours).",
)
_REQUEST_LOG_DIR = flags.DEFINE_string(
    "request_log_dir",
    None,
    "What the `filename_prefix` of a LoggingConfig is below (ours).",
)
_DRAIN_SECONDS = flags.DEFINE_float(
    "drain_seconds",
    _LOAD.drain_seconds,
    "That requests in flight have when a version, or the server, ends (ours).",
)


def main(arguments: Sequence[str]) -> None:
    """Serves until SIGTERM or SIGINT."""
    if len(arguments) > 1:
        raise app.UsageError(f"unknown argument: {arguments[1]}")
    try:
        asyncio.run(run.serve(_server_config(), _tell))
    except (OSError, ServingError, ValueError) as error:
        sys.exit(f"Failed to start server. Error: {error}")


def _tell(line: str) -> None:
    print(line, flush=True)


def _server_config() -> ServerConfig:
    return ServerConfig(
        models=_models(),
        host=_HOST.value,
        port=_PORT.value,
        rest_api_port=_REST_API_PORT.value,
        rest_api_timeout_in_ms=_REST_API_TIMEOUT_IN_MS.value,
        model_config_file=_path(_MODEL_CONFIG_FILE.value),
        model_config_file_poll_wait_seconds=_MODEL_CONFIG_FILE_POLL_WAIT_SECONDS.value,
        file_system_poll_wait_seconds=_FILE_SYSTEM_POLL_WAIT_SECONDS.value,
        allow_version_labels_for_unavailable_models=_ALLOW_VERSION_LABELS.value,
        ssl_config_file=_path(_SSL_CONFIG_FILE.value),
        model_roots=tuple(map(pathlib.Path, _MODEL_ROOT.value)),
        request_log_dir=_path(_REQUEST_LOG_DIR.value),
        workers=WorkerConfig(
            flags=_worker_flags(), max_message_bytes=_MAX_MESSAGE_BYTES.value
        ),
        load=LoadConfig(
            max_num_load_retries=_MAX_NUM_LOAD_RETRIES.value,
            load_retry_seconds=max(_LOAD_RETRY_INTERVAL_MICROS.value, 0) / 1e6,
            drain_seconds=_DRAIN_SECONDS.value,
        ),
    )


def _models() -> model_config.Config:
    if _MODEL_CONFIG_FILE.value:
        return model_config.read_models(pathlib.Path(_MODEL_CONFIG_FILE.value))
    if _MODEL_BASE_PATH.value:
        base_path = pathlib.Path(_MODEL_BASE_PATH.value)
        return model_config.single_model(_MODEL_NAME.value, base_path)
    raise ValueError("`--model_base_path` or `--model_config_file` must be given.")


def _worker_flags() -> tuple[str, ...]:
    worker_flags = [
        f"--tensorflow_intra_op_parallelism={_INTRA_OP.value}",
        f"--tensorflow_inter_op_parallelism={_INTER_OP.value}",
        f"--enable_serialization_as_tensor_content={_AS_TENSOR_CONTENT.value}",
        f"--allow_all_ops={_ALLOW_ALL_OPS.value}",
    ]
    if _ENABLE_BATCHING.value:
        # An empty file holds the defaults.
        parameters = _BATCHING_PARAMETERS_FILE.value or os.devnull
        batching_parameters.read(parameters)
        worker_flags.append(f"--batching_parameters_file={parameters}")
    elif _BATCHING_PARAMETERS_FILE.value:
        raise ValueError(
            "`--batching_parameters_file` is set without setting `--enable_batching`."
        )
    return tuple(worker_flags)


def _path(value: str | None) -> pathlib.Path | None:
    return pathlib.Path(value) if value else None


if __name__ == "__main__":
    app.run(main)
