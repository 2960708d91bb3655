"""Batching across requests: those that wait at the same time run as one.

TensorFlow's own batch function does it, with the parameters of TensorFlow Serving's
`--batching_parameters_file`. A request of a batch that fails runs again alone, so that
a bad one fails alone.
"""

import dataclasses
import functools
import os
import pathlib
import uuid
from typing import Any

import tensorflow as tf
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)

from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError
from tfrec.serving.signature import RUN_ERRORS, Signature

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
                raise _invalid(
                    f"`{name}` must be at least {value}. Received: {received}"
                )
        sizes = self.allowed_batch_sizes
        if any(a >= b for a, b in zip((0, *sizes), sizes, strict=False)):
            raise _invalid(
                "`allowed_batch_sizes` must be in increasing order. "
                f"Received: {list(sizes)}"
            )
        if sizes and sizes[-1] != self.max_batch_size:
            raise _invalid(
                "Last entry in allowed_batch_sizes must match max_batch_size; last "
                f"entry was {sizes[-1]}; expected {self.max_batch_size}"
            )


def read_parameters(path: str | os.PathLike) -> BatchingParameters:
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
        raise _invalid(
            f"`{path}` must be a {_MESSAGE} in text format. Received: {error}"
        ) from error
    if proto.pad_variable_length_inputs:
        raise _invalid(
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


def can_batch(signature: Signature) -> bool:
    """Whether requests can be merged along the first dimension, whoever sends them.

    All inputs and outputs begin with a dimension of any size, and no other dimension of
    an input is open: requests of different shapes can't be one batch.
    """
    inputs = [spec.dims for spec in signature.specs.values()]
    function: Any = signature.call
    outputs = [
        None if spec.shape.rank is None else tuple(spec.shape[:1])
        for spec in function.structured_outputs.values()
    ]
    return (
        bool(inputs)
        and all(dims and dims[0] is None and None not in dims[1:] for dims in inputs)
        and all(dims == (None,) for dims in outputs)
    )


def batch(signature: Signature, parameters: BatchingParameters) -> None:
    """Lets a signature merge requests, if `can_batch`; else leaves it as it is."""
    if can_batch(signature):
        signature.call = _Batched(signature, parameters)


class _Batched:
    """A signature's function, called for several requests at once.

    Args:
        signature: of which `can_batch` is true.
        parameters: how requests are merged.
    """

    def __init__(self, signature: Signature, parameters: BatchingParameters):
        self._alone = signature.call
        self._most = parameters.max_batch_size
        self._names = list(signature.specs)
        self._outputs = signature.outputs
        self._merged = tf.function(
            self._merging(parameters),
            input_signature=[
                tf.TensorSpec(spec.dims, spec.dtype)
                for spec in signature.specs.values()
            ],
            autograph=False,
        )

    def __call__(self, **inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        sizes = {name: len(value) for name, value in inputs.items()}
        if len(set(sizes.values())) > 1:
            raise _invalid(
                "Batching session Run() input tensors must have equal 0th-dimension "
                f"size. Received: {sizes}"
            )
        (size,) = set(sizes.values())
        if size > self._most:
            raise _invalid(
                f"Task size {size} is larger than maximum input batch size {self._most}"
            )
        if size == 0:
            return self._alone(**inputs)
        try:
            found = self._merged(*(inputs[name] for name in self._names))
        except tf.errors.UnavailableError:
            raise
        except RUN_ERRORS:
            return self._alone(**inputs)
        return dict(zip(self._outputs, found, strict=True))

    def _merging(self, parameters: BatchingParameters) -> Any:
        """The function to trace; TensorFlow keeps queues apart by the scope's name."""
        queue = uuid.uuid4().hex

        @tf.nondifferentiable_batch_function(
            num_batch_threads=parameters.num_batch_threads,
            max_batch_size=parameters.max_batch_size,
            batch_timeout_micros=parameters.batch_timeout_micros,
            allowed_batch_sizes=list(parameters.allowed_batch_sizes) or None,
            max_enqueued_batches=parameters.max_enqueued_batches,
            autograph=False,
            enable_large_batch_splitting=False,
        )
        def run(*tensors: tf.Tensor) -> list[tf.Tensor]:
            outputs = self._alone(**dict(zip(self._names, tensors, strict=True)))
            return [outputs[name] for name in self._outputs]

        def merged(*tensors: tf.Tensor) -> list[tf.Tensor]:
            with tf.name_scope(queue):
                return run(*tensors)

        return merged


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


def _invalid(message: str) -> ServingError:
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)
