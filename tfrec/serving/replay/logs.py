"""Reads request logs: TFRecord files of PredictionLog, as servers write them."""

import os
import pathlib
from collections.abc import Iterable, Iterator

import tensorflow as tf
from absl import logging
from google.protobuf.message import DecodeError

from tfrec.serving.apis import prediction_log_pb2


def read(
    paths: Iterable[str | os.PathLike],
) -> Iterator[prediction_log_pb2.PredictionLog]:
    """The records of files, and of all files in folders, in the order of their names.

    A file that breaks off, because its server was killed or still writes, is read as
    far as it goes, and a warning says so.

    Raises:
        FileNotFoundError: a path does not exist.
        ValueError: a record is not a PredictionLog.
    """
    for path in _files(paths):
        number = 0
        try:
            for number, record in enumerate(tf.data.TFRecordDataset(str(path)), 1):
                yield _parse(record.numpy(), path, number)
        except tf.errors.DataLossError as error:
            logging.warning(
                "`%s` breaks off after %d records: %s", path, number, error.message
            )


def _files(paths: Iterable[str | os.PathLike]) -> Iterator[pathlib.Path]:
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            yield from sorted(inner for inner in path.rglob("*") if inner.is_file())
        elif path.is_file():
            yield path
        else:
            raise FileNotFoundError(
                f"A request log must be a file, or a folder of them. Received: {path}"
            )


def _parse(
    record: bytes, path: pathlib.Path, number: int
) -> prediction_log_pb2.PredictionLog:
    try:
        return prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        raise ValueError(
            f"`{path}` must hold PredictionLog records. Received: record {number}: "
            f"{error}"
        ) from error
