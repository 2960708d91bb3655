"""ModelServerConfigs: read from text, and held to the rules of this server."""

import dataclasses
import pathlib
import re
from collections.abc import Sequence
from typing import TypeAlias

from google.protobuf import text_format

from tfrec.serving.apis import grpc, model_server_config_pb2
from tfrec.serving.errors import ServingError

Config: TypeAlias = model_server_config_pb2.ModelServerConfig
ModelConfig: TypeAlias = model_server_config_pb2.ModelConfig
_PLATFORM = "tensorflow"
_LOG_TYPES = ("", "tfrecord")
_NAME = re.compile(r"[^/:\x00-\x1f\x7f]+")
_INVALID = grpc.StatusCode.INVALID_ARGUMENT


@dataclasses.dataclass(frozen=True)
class ModelRules:
    """What a ModelServerConfig must keep to, from wherever it comes.

    Attributes:
        roots: resolved; a base path is below one of them, or is one.
        request_log_dir: of ServerConfig.
    """

    roots: tuple[pathlib.Path, ...]
    request_log_dir: pathlib.Path | None = None

    def check(self, config: Config) -> None:
        """Raises: ServingError (INVALID_ARGUMENT): a model breaks a rule."""
        if config.WhichOneof("config") == "custom_model_config":
            raise ServingError(_INVALID, "`custom_model_config` is not supported.")
        names: set[str] = set()
        for model in config.model_config_list.config:
            if model.name in names:
                raise ServingError(
                    _INVALID,
                    f"Illegal to list model {model.name} multiple times in config list",
                )
            names.add(model.name)
            if not _NAME.fullmatch(model.name):
                raise ServingError(
                    _INVALID,
                    "`name` of a model must not be empty, nor contain '/', ':' or "
                    f"control characters. Received: {model.name!r}",
                )
            _check_platform(model)
            self.base_path(model)
            if model.HasField("logging_config"):
                self._check_logging(model)

    def base_path(self, model: ModelConfig) -> pathlib.Path:
        """The folder of a model's versions, with all links followed.

        Raises: ServingError (INVALID_ARGUMENT): it breaks a rule.
        """
        path = pathlib.Path(model.base_path)
        if not path.is_absolute():
            raise ServingError(
                _INVALID,
                f"Expected model {model.name} to have an absolute path or URI; "
                f"got base_path()={model.base_path}",
            )
        resolved = _resolved(model)
        if not any(resolved.is_relative_to(root) for root in self.roots):
            raise ServingError(
                _INVALID,
                f"`base_path` of model {model.name} must be below `--model_root`. "
                f"Received: {model.base_path}",
            )
        if not _is_folder(resolved):
            raise ServingError(
                _INVALID,
                f"Could not find base path {model.base_path} for servable {model.name}",
            )
        return resolved

    def _check_logging(self, model: ModelConfig) -> None:
        collector = model.logging_config.log_collector_config
        rate = model.logging_config.sampling_config.sampling_rate
        if not 0 <= rate <= 1:
            raise ServingError(
                _INVALID,
                f"`sampling_rate` of model {model.name} must be from 0 to 1. "
                f"Received: {rate}",
            )
        if collector.type not in _LOG_TYPES:
            raise ServingError(
                _INVALID,
                f"`log_collector_config.type` of model {model.name} must be one of "
                f"{_LOG_TYPES}. Received: {collector.type!r}",
            )
        log_prefix(self.request_log_dir, model)


def log_prefix(folder: pathlib.Path | None, model: ModelConfig) -> pathlib.Path:
    """The path that names of a model's request logs start with, below `folder`.

    Raises: ServingError (INVALID_ARGUMENT): there is no folder, or the prefix is empty
        or leaves it.
    """
    prefix = model.logging_config.log_collector_config.filename_prefix
    if folder is None:
        raise ServingError(
            _INVALID,
            f"`logging_config` of model {model.name} needs `--request_log_dir`.",
        )
    root = folder.resolve()
    path = root if "\0" in prefix else (root / prefix).resolve()
    if path == root or not path.is_relative_to(root):
        raise ServingError(
            _INVALID,
            f"`filename_prefix` of model {model.name} must be a path below "
            f"`--request_log_dir`={folder}. Received: {prefix!r}",
        )
    return path


def read_models(path: pathlib.Path) -> Config:
    """A ModelServerConfig from a file in text format.

    Raises:
        FileNotFoundError: there is none.
        ServingError (INVALID_ARGUMENT): it is not one.
    """
    try:
        return text_format.Parse(
            path.read_text(encoding="utf-8"),
            Config(),
        )
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ServingError(
            _INVALID,
            f"`{path}` must be a ModelServerConfig in text format. Received: {error}",
        ) from error


def single_model(name: str, base_path: pathlib.Path) -> Config:
    """The configuration of `--model_name` and `--model_base_path`."""
    config = Config()
    config.model_config_list.config.add(
        name=name, base_path=str(base_path.absolute()), model_platform=_PLATFORM
    )
    return config


def default_roots(
    config: Config,
) -> Sequence[pathlib.Path]:
    """The parents of base paths; the path itself where the parent is the whole disk."""
    paths = [_resolved(model) for model in config.model_config_list.config]
    return [p if p.parent == p.parent.parent else p.parent for p in paths]


def _resolved(model: ModelConfig) -> pathlib.Path:
    try:
        return pathlib.Path(model.base_path).resolve()
    except (OSError, RuntimeError, ValueError) as error:  # a loop, too long, or a NUL
        raise ServingError(
            _INVALID,
            f"`base_path` of model {model.name} must be a path. Received: {error}",
        ) from error


def _is_folder(path: pathlib.Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long, or a folder that may not be read
        return False


def _check_platform(model: ModelConfig) -> None:
    if model.model_type and model.model_platform:
        raise ServingError(
            _INVALID,
            "Illegal setting both ModelServerConfig::model_type (deprecated) and "
            "ModelServerConfig::model_platform.",
        )
    if not model.model_type and not model.model_platform:
        raise ServingError(
            _INVALID,
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            "ModelServerConfig::model_platform.",
        )
    is_tensorflow = model.model_type == model_server_config_pb2.TENSORFLOW
    if not is_tensorflow and model.model_platform != _PLATFORM:
        raise ServingError(
            _INVALID,
            f"Model {model.name} requests unsupported platform {model.model_platform}",
        )
