"""Samples of answered requests, by LoggingConfig, as TFRecords of PredictionLog.

A thread writes them, so that a slow disk holds up no request. Each record is handed to
the system whole before the next one: a server that is killed leaves whole records, and
at most one that breaks off at the end of a file. Every start begins a file.
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
from typing import Any

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
        self._waiting: queue.SimpleQueue[_Sample | None] = queue.SimpleQueue()
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
            while (sample := self._waiting.get()) is not None:
                try:
                    files.write(sample.target.prefix, _record(sample))
                    status = grpc.StatusCode.OK.name
                except (OSError, message.Error, tf.errors.OpError) as error:
                    logging.error("A request can't be logged: %s", error)
                    status = grpc.StatusCode.INTERNAL.name
                self._count(sample.version_id.name, status)
                with self._lock:
                    self._waiting_bytes -= sample.num_bytes


class _Files:
    """Open files by their prefix; one that is full, or that failed, is left."""

    def __init__(self) -> None:
        self._writers: dict[pathlib.Path, tf.io.TFRecordWriter] = {}
        self._sizes: dict[pathlib.Path, int] = {}
        self._numbers = itertools.count()

    def write(self, prefix: pathlib.Path, record: bytes) -> None:
        """Raises: OSError or tf.errors.OpError: the file can't be written."""
        if self._sizes.get(prefix, 0) > _MOST_FILE_BYTES:
            self._writers.pop(prefix).close()
        if prefix not in self._writers:
            self._writers[prefix], self._sizes[prefix] = self._open(prefix), 0
        try:
            self._writers[prefix].write(record)
            self._writers[prefix].flush()
        except tf.errors.OpError:
            del self._writers[prefix]
            raise
        self._sizes[prefix] += len(record)

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()

    def _open(self, prefix: pathlib.Path) -> tf.io.TFRecordWriter:
        prefix.parent.mkdir(parents=True, exist_ok=True)
        now = datetime.datetime.now(datetime.timezone.utc)
        name = f"{now:%Y%m%d-%H%M%S-%f}-{os.getpid()}-{next(self._numbers)}.tfrecord"
        return tf.io.TFRecordWriter(f"{prefix}-{name}")


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
