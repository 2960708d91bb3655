"""TensorFlow Serving's `--batching_parameters_file`: how requests are merged."""

import dataclasses
import functools
import os
import pathlib
from typing import Any

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)

from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError, invalid

_PACKAGE, _MESSAGE = "tensorflow.serving", "BatchingParameters"
_WRAPPED = {  # the fields of tensorflow_serving's session_bundle_config.proto
    "max_batch_size": "Int64Value",
    "batch_timeout_micros": "Int64Value",
    "max_enqueued_batches": "Int64Value",
    "num_batch_threads": "Int64Value",
    "thread_pool_name": "StringValue",
}


@dataclasses.dataclass(frozen=True)
class BatchingParameters:
    """How requests are merged; names and defaults are TensorFlow Serving's.

    Attributes:
        max_batch_size: most rows of a batch, and of a request.
        batch_timeout_micros: longest wait for a batch to fill.
        max_enqueued_batches: of a signature; beyond it requests are UNAVAILABLE.
        num_batch_threads: batches of a signature that run at the same time.
        allowed_batch_sizes: a batch is padded to the next of them; empty: not at all.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = os.cpu_count() or 1
    allowed_batch_sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        least = {"batch_timeout_micros": 0}
        for name in ("num_batch_threads", "max_enqueued_batches", "max_batch_size"):
            least[name] = 1
        for name, value in least.items():
            if getattr(self, name) < value:
                received = getattr(self, name)
                raise invalid(
                    f"`{name}` must be at least {value}. Received: {received}"
                )
        sizes = self.allowed_batch_sizes
        if any(a >= b for a, b in zip((0, *sizes), sizes, strict=False)):
            raise invalid(
                "`allowed_batch_sizes` must be in increasing order. "
                f"Received: {list(sizes)}"
            )
        if sizes and sizes[-1] != self.max_batch_size:
            raise invalid(
                "Last entry in allowed_batch_sizes must match max_batch_size; last "
                f"entry was {sizes[-1]}; expected {self.max_batch_size}"
            )


def read(path: str | os.PathLike) -> BatchingParameters:
    """Reads TensorFlow Serving's file: a BatchingParameters proto in text format.

    `thread_pool_name` is read and has no effect: it names threads and nothing else.

    Raises: ServingError: NOT_FOUND: no such file. INVALID_ARGUMENT: it is no such text,
        a value breaks its rule, or `pad_variable_length_inputs` is true.
    """
    try:
        text = pathlib.Path(path).read_text()
        proto = text_format.Parse(text, _message_type()())
    except OSError as error:
        message = f"`{path}` must be a readable file. Received: {error}"
        raise ServingError(grpc.StatusCode.NOT_FOUND, message) from error
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise invalid(
            f"`{path}` must be a {_MESSAGE} in text format. Received: {error}"
        ) from error
    if proto.pad_variable_length_inputs:
        raise invalid(
            f"`{path}`: pad_variable_length_inputs is not supported, inputs of one "
            "signature are only merged if their shapes fit. Received: true"
        )
    given: dict[str, Any] = {
        name: getattr(proto, name).value
        for name in _WRAPPED
        if proto.HasField(name) and name != "thread_pool_name"
    }
    return BatchingParameters(
        **given, allowed_batch_sizes=tuple(proto.allowed_batch_sizes)
    )


@functools.cache
def _message_type() -> Any:
    """The message: `tensorflow-serving-api` lacks it."""
    file = descriptor_pb2.FileDescriptorProto(
        name="tensorflow_serving/servables/tensorflow/batching_parameters.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    message = file.message_type.add(name=_MESSAGE)
    field = descriptor_pb2.FieldDescriptorProto
    numbers = iter(range(1, 8))
    for name, wrapper in _WRAPPED.items():
        message.field.add(
            name=name,
            number=next(numbers),
            type=field.TYPE_MESSAGE,
            type_name=f".google.protobuf.{wrapper}",
            label=field.LABEL_OPTIONAL,
        )
    message.field.add(
        name="allowed_batch_sizes",
        number=next(numbers),
        type=field.TYPE_INT64,
        label=field.LABEL_REPEATED,
    )
    message.field.add(
        name="pad_variable_length_inputs",
        number=next(numbers),
        type=field.TYPE_BOOL,
        label=field.LABEL_OPTIONAL,
    )
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f"{_PACKAGE}.{_MESSAGE}")
    )
