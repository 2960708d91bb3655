"""Samples of answered requests, by LoggingConfig, as TFRecords of PredictionLog.

A thread writes them, so that a slow disk holds up no request. Each record is handed to
the system whole before the next one: a server that is killed leaves whole records, and
at most one that breaks off at the end of a file. Every start begins a file. A file that
can't be written is left, and for some seconds its model's samples are dropped: a full
disk makes neither a file nor a line of the server's log for each of them.
"""

import contextlib
import dataclasses
import datetime
import itertools
import os
import pathlib
import queue
import random
import threading
import time
from typing import Any, TypeAlias

import tensorflow as tf
from absl import logging
from google.protobuf import message

from tfrec.serving.apis import grpc, prediction_log_pb2
from tfrec.serving.server.metrics import Metrics
from tfrec.serving.server.model_config import Config, log_prefix
from tfrec.serving.server.worker_handle import VersionId

_FIELDS = {
    "Predict": "predict_log",
    "Classify": "classify_log",
    "Regress": "regress_log",
    "MultiInference": "multi_inference_log",
}
_TAGS = ("serve",)
_MOST_WAITING_BYTES = 64 << 20
_MOST_FILE_BYTES = 256 << 20
_SECONDS_WITHOUT = 10.0  # after a failure


_Prefixes: TypeAlias = frozenset[pathlib.Path]


@dataclasses.dataclass(frozen=True)
class _Target:
    """Where a model's samples go."""

    prefix: pathlib.Path
    sampling: Any


@dataclasses.dataclass(frozen=True)
class _Sample:
    """A request to be written."""

    target: _Target
    method: str
    version_id: VersionId
    request: bytes
    response: bytes
    seconds: int

    @property
    def num_bytes(self) -> int:
        return len(self.request) + len(self.response)


class RequestLogs:
    """The logs of all models.

    Args:
        folder: what all files are below; None: no model has a log.
        metrics: counts what is written.
    """

    def __init__(self, folder: pathlib.Path | None, metrics: Metrics):
        self._folder, self._metrics = folder, metrics
        self._targets: dict[str, _Target] = {}
        self._waiting: queue.SimpleQueue[_Sample | _Prefixes | None]
        self._waiting = queue.SimpleQueue()
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def configure(self, config: Config) -> None:
        """Takes over the `logging_config` of each model; checked by `ModelRules`."""
        self._targets = {
            model.name: _Target(
                log_prefix(self._folder, model),
                model.logging_config.sampling_config,
            )
            for model in config.model_config_list.config
            if model.HasField("logging_config")
        }
        if self._targets and self._thread is None:
            self._thread = threading.Thread(target=self._write_all, name="request-log")
            self._thread.start()
        if self._thread is not None:
            prefixes = frozenset(target.prefix for target in self._targets.values())
            self._waiting.put(prefixes)

    def log(
        self, method: str, version_id: VersionId, request: bytes, response: bytes
    ) -> None:
        """Keeps an answered request with the probability of its model's log."""
        target = self._targets.get(version_id.name)
        if target is None or method not in _FIELDS:
            return
        if random.random() >= target.sampling.sampling_rate:
            return
        sample = _Sample(
            target, method, version_id, request, response, int(time.time())
        )
        with self._lock:
            is_dropped = self._waiting_bytes + sample.num_bytes > _MOST_WAITING_BYTES
            if not is_dropped:
                self._waiting_bytes += sample.num_bytes
        if is_dropped:
            self._count(version_id.name, grpc.StatusCode.RESOURCE_EXHAUSTED.name)
        else:
            self._waiting.put(sample)

    def close(self) -> None:
        """Writes what waits."""
        self._targets = {}
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()
            self._thread = None

    def _count(self, model: str, status: str) -> None:
        with self._lock:
            self._metrics.logged(model, status)

    def _write_all(self) -> None:
        with contextlib.closing(_Files()) as files:
            while (item := self._waiting.get()) is not None:
                if isinstance(item, frozenset):
                    files.keep(item)
                else:
                    self._write(files, item)

    def _write(self, files: "_Files", sample: _Sample) -> None:
        prefix = sample.target.prefix
        status = grpc.StatusCode.UNAVAILABLE
        if files.accepts(prefix):
            try:
                files.write(prefix, _record(sample))
                status = grpc.StatusCode.OK
            except (OSError, message.Error, tf.errors.OpError) as error:
                logging.error("A request can't be logged: %s", error)
                status = grpc.StatusCode.INTERNAL
        self._count(sample.version_id.name, status.name)
        with self._lock:
            self._waiting_bytes -= sample.num_bytes


@dataclasses.dataclass
class _File:
    """A file that is written.

    Attributes:
        path: of it.
        num_bytes: of the records in it.
    """

    path: pathlib.Path
    num_bytes: int = 0

    def __post_init__(self) -> None:
        self.writer = tf.io.TFRecordWriter(str(self.path))


class _Files:
    """Open files by their prefix; one that is full, or that failed, is left."""

    def __init__(self) -> None:
        self._files: dict[pathlib.Path, _File] = {}
        self._retries: dict[pathlib.Path, float] = {}
        self._numbers = itertools.count()

    def accepts(self, prefix: pathlib.Path) -> bool:
        """False for some seconds after a failure."""
        return time.monotonic() >= self._retries.get(prefix, 0.0)

    def write(self, prefix: pathlib.Path, record: bytes) -> None:
        """Raises: OSError or tf.errors.OpError: the file can't be written."""
        try:
            file = self._files.get(prefix)
            if file is not None and file.num_bytes > _MOST_FILE_BYTES:
                self._files.pop(prefix).writer.close()
                file = None
            if file is None:
                file = self._files[prefix] = _File(self._path(prefix))
            file.writer.write(record)
            file.writer.flush()
            file.num_bytes += len(record)
        except (OSError, tf.errors.OpError):
            self._retries[prefix] = time.monotonic() + _SECONDS_WITHOUT
            self._leave(prefix)
            raise

    def keep(self, prefixes: _Prefixes) -> None:
        """Closes the files of all other prefixes."""
        for prefix in self._files.keys() - prefixes:
            self._leave(prefix)

    def close(self) -> None:
        self.keep(frozenset())

    def _leave(self, prefix: pathlib.Path) -> None:
        """Closes a file, and removes it if no record is whole in it."""
        file = self._files.pop(prefix, None)
        if file is None:
            return
        with contextlib.suppress(tf.errors.OpError):  # it failed before, or now
            file.writer.close()
        if not file.num_bytes:
            file.path.unlink(missing_ok=True)

    def _path(self, prefix: pathlib.Path) -> pathlib.Path:
        prefix.parent.mkdir(parents=True, exist_ok=True)
        now = datetime.datetime.now(datetime.timezone.utc)
        name = f"{now:%Y%m%d-%H%M%S-%f}-{os.getpid()}-{next(self._numbers)}.tfrecord"
        return prefix.with_name(f"{prefix.name}-{name}")


def _record(sample: _Sample) -> bytes:
    log = prediction_log_pb2.PredictionLog()
    entry = getattr(log, _FIELDS[sample.method])
    entry.request.ParseFromString(sample.request)
    entry.response.ParseFromString(sample.response)
    metadata = log.log_metadata
    metadata.model_spec.name = sample.version_id.name
    metadata.model_spec.version.value = sample.version_id.version
    metadata.sampling_config.CopyFrom(sample.target.sampling)
    metadata.saved_model_tags.extend(_TAGS)
    metadata.timestamp_secs = sample.seconds
    return log.SerializeToString()
