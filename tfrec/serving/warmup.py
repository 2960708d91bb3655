"""Warm-up records: requests that a model server runs before a version answers others.

They are in `assets.extra/tf_serving_warmup_requests` of a version folder, in TensorFlow
Serving's own format: a TFRecord file, each record a PredictionLog.
"""

import os
import pathlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from tfrec.serving.apis import grpc, predict_pb2, prediction_log_pb2
from tfrec.serving.errors import ServingError

FILE_NAME = "tf_serving_warmup_requests"
PATH = pathlib.PurePosixPath("assets.extra", FILE_NAME)
MAX_RECORDS = 1000  # TensorFlow Serving's limit; it refuses a version with more
_LENGTH = struct.Struct("<Q4x")  # bytes of the record, then the length's checksum
_CHECKSUM_BYTES = 4


def predict_log(
    signature: str, inputs: Mapping[str, np.ndarray], model: str = ""
) -> prediction_log_pb2.PredictionLog:
    """A record of a Predict request.

    Args:
        signature: which one is called.
        inputs: arrays by the names of the signature's inputs, of its dtypes.
        model: its name; a server runs the record for whatever model the folder is.
    """
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    log = prediction_log_pb2.PredictLog(request=request)
    return prediction_log_pb2.PredictionLog(predict_log=log)


def check(
    records: Iterable[prediction_log_pb2.PredictionLog],
    signatures: Mapping[str, Mapping[str, Any]],
) -> None:
    """Checks that Predict requests suit the signatures of a model card.

    Raises: ValueError: one calls no signature, or not with its inputs.
    """
    for record in records:
        if record.WhichOneof("log_type") != "predict_log":
            continue
        request = record.predict_log.request
        name = request.model_spec.signature_name
        if name not in signatures:
            raise ValueError(
                f"`warmup` must call one of {sorted(signatures)}. Received: {name!r}"
            )
        found = {key: _spec(tensor) for key, tensor in request.inputs.items()}
        wanted = {
            key: tf.TensorSpec(tensor["shape"], tensor["dtype"])
            for key, tensor in signatures[name]["inputs"].items()
        }
        if found.keys() != wanted.keys() or not all(
            spec.is_compatible_with(found[key]) for key, spec in wanted.items()
        ):
            raise ValueError(
                f"`warmup` must call {name!r} with {wanted}. Received: {found}"
            )


def write(
    folder: pathlib.Path, records: Iterable[prediction_log_pb2.PredictionLog]
) -> None:
    """Writes the records of a version folder; those that were there are replaced.

    Raises: ValueError: more than 1000 records. OSError: the file can't be written; what
        was there is still there.
    """
    records = list(records)
    if len(records) > MAX_RECORDS:
        raise ValueError(
            f"`records` must be at most {MAX_RECORDS}, TensorFlow Serving's limit. "
            f"Received: {len(records)}"
        )
    path = folder / PATH
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _write_records(temporary, records)
        temporary.replace(path)
    except (OSError, tf.errors.OpError) as error:
        raise OSError(f"`{path}` can't be written. Received: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def read(folder: pathlib.Path) -> Iterator[prediction_log_pb2.PredictionLog]:
    """The records of a version folder, none if it has no such file.

    The file is data from elsewhere: lengths are compared with its size before
    TensorFlow reads it.

    Raises: ServingError: DATA_LOSS: it is no TFRecord file, or broken.
        INVALID_ARGUMENT: a record is no PredictionLog, or there are more than 1000.
    """
    path = folder / PATH
    if not path.exists():
        return
    if not path.is_file():
        raise _data_loss(path, "no file")
    count = _count(path)
    if count > MAX_RECORDS:
        raise ServingError(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"`{path}` must hold at most {MAX_RECORDS} warm-up records. "
            f"Received: {count}",
        )
    try:
        for number, record in enumerate(tf.data.TFRecordDataset(str(path))):
            yield _parse(record.numpy(), f"record {number} of `{path}`")
    except tf.errors.DataLossError as error:
        raise _data_loss(path, error.message) from error


def _spec(tensor: Any) -> tf.TensorSpec:
    return tf.TensorSpec(tf.TensorShape(tensor.tensor_shape), tensor.dtype)


def _write_records(
    path: pathlib.Path, records: Iterable[prediction_log_pb2.PredictionLog]
) -> None:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record.SerializeToString())
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _count(path: pathlib.Path) -> int:
    """How many records the lengths in a file tell of, at most one above the limit."""
    count, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while file.tell() < size and count <= MAX_RECORDS:
            header = file.read(_LENGTH.size)
            if len(header) < _LENGTH.size:
                raise _data_loss(path, f"{len(header)} bytes after record {count}")
            (length,) = _LENGTH.unpack(header)
            if length + _CHECKSUM_BYTES > size - file.tell():
                raise _data_loss(path, f"record {count} of {length} bytes")
            file.seek(length + _CHECKSUM_BYTES, os.SEEK_CUR)
            count += 1
    return count


def _parse(record: bytes, name: str) -> prediction_log_pb2.PredictionLog:
    log = prediction_log_pb2.PredictionLog()
    try:
        log.ParseFromString(record)
    except DecodeError as error:
        raise ServingError(
            grpc.StatusCode.INVALID_ARGUMENT,
            f"{name} must be a PredictionLog. Received: {error}",
        ) from error
    return log


def _data_loss(path: pathlib.Path, found: str) -> ServingError:
    return ServingError(
        grpc.StatusCode.DATA_LOSS,
        f"`{path}` must be a whole TFRecord file. Received: {found}",
    )
