"""TensorProto to NumPy and back, with the checks that a request from outside needs.

A proto names its shape and brings its values in `tensor_content` or in the field of its
dtype, where one value may stand for all. Nothing is allocated before both fit together.
"""

import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto

from tfrec.serving.errors import ServingError, invalid

MAX_REPEATED_BYTES = 4 << 20  # of a tensor whose values are not all sent; ours
_MAX_RANK = 64  # NumPy's; TensorFlow's is 254
_STRING_BYTES = 24  # of a string in a tensor, besides its characters


@dataclasses.dataclass(frozen=True)
class _Field:
    """Where a dtype's values stand in a TensorProto.

    Attributes:
        name: of the repeated field.
        stored: dtype of its values; None: the tensor's own.
        values: how many of them make an element.
    """

    name: str
    stored: type | None = None
    values: int = 1


_FIELDS = {
    tf.float32: _Field("float_val"),
    tf.float64: _Field("double_val"),
    tf.float16: _Field("half_val", np.uint16),
    tf.bfloat16: _Field("half_val", np.uint16),
    tf.int8: _Field("int_val"),
    tf.int16: _Field("int_val"),
    tf.int32: _Field("int_val"),
    tf.int64: _Field("int64_val"),
    tf.uint8: _Field("int_val"),
    tf.uint16: _Field("int_val"),
    tf.uint32: _Field("uint32_val"),
    tf.uint64: _Field("uint64_val"),
    tf.bool: _Field("bool_val"),
    tf.complex64: _Field("scomplex_val", np.float32, 2),
    tf.complex128: _Field("dcomplex_val", np.float64, 2),
    tf.string: _Field("string_val"),
}


@dataclasses.dataclass(frozen=True)
class Spec:
    """What an input must be.

    Attributes:
        name: of the input.
        dtype: its dtype.
        dims: its dimensions, None for any size; None: any shape.
    """

    name: str
    dtype: tf.DType
    dims: tuple[int | None, ...] | None

    @classmethod
    def of(cls, name: str, spec: tf.TensorSpec) -> "Spec":
        """The same from TensorFlow's own."""
        known = spec.shape.rank is not None
        return cls(name, spec.dtype, tuple(spec.shape) if known else None)

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether an input may have a shape."""
        if self.dims is None:
            return True
        return len(shape) == len(self.dims) and all(
            rule is None or rule == size
            for rule, size in zip(self.dims, shape, strict=True)
        )


def to_array(spec: Spec, proto: TensorProto) -> np.ndarray:
    """An input's values, a view of the message where it can be.

    Args:
        spec: what it must be.
        proto: as it came from a client.
    Returns: an array of the dtype of `spec`; of bytes objects for strings.
    Raises: ServingError: INVALID_ARGUMENT, with the name of the input.
    """
    if proto.dtype != spec.dtype.as_datatype_enum:
        raise invalid(
            f"input `{spec.name}` must be {spec.dtype.name}. "
            f"Received: {_dtype_name(proto.dtype)}"
        )
    shape = _shape(spec, proto)
    if not spec.accepts(shape):
        dims = ["?" if size is None else str(size) for size in spec.dims or ()]
        raise invalid(
            f"input `{spec.name}` must have the shape [{','.join(dims)}]. "
            f"Received: {list(shape)}"
        )
    content = proto.tensor_content
    if content and spec.dtype != tf.string:
        return _from_content(spec, content, shape)
    return _from_field(spec, proto, shape)


def fill(proto: TensorProto, array: np.ndarray, as_content: bool) -> None:
    """Writes an array into an empty TensorProto.

    Args:
        proto: gets the values.
        array: what `numpy()` of a tensor gives.
        as_content: whether numbers go into `tensor_content`, which is faster for large
            outputs, instead of the field of their dtype, which every client reads.
    """
    dtype = tf.string if array.dtype == object else tf.as_dtype(array.dtype)
    proto.dtype = dtype.as_datatype_enum
    proto.tensor_shape.SetInParent()
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    field = _FIELDS.get(dtype)
    if field is None or (as_content and dtype != tf.string):
        proto.tensor_content = array.tobytes()
        return
    values = array.ravel()
    if field.stored is not None:
        values = values.view(field.stored)
    getattr(proto, field.name).extend(values.tolist())


def _shape(spec: Spec, proto: TensorProto) -> tuple[int, ...]:
    """The shape of a proto, if a tensor can have it."""
    shape = tuple([dim.size for dim in proto.tensor_shape.dim])
    is_known = not proto.tensor_shape.unknown_rank
    if not is_known or len(shape) > _MAX_RANK or min(shape, default=0) < 0:
        received = list(shape[:_MAX_RANK]) if is_known else "unknown rank"
        raise _malformed(spec, "the shape must be known", received)
    return shape


def _from_content(spec: Spec, content: bytes, shape: tuple[int, ...]) -> np.ndarray:
    expected = math.prod(shape) * spec.dtype.size
    if len(content) != expected:
        rule = f"`tensor_content` must have {expected} bytes for {list(shape)}"
        raise _malformed(spec, rule, f"{len(content)} bytes")
    if spec.dtype == tf.bool:  # a byte beyond 1 is no bool, and NumPy does not look
        return (np.frombuffer(content, np.uint8) != 0).reshape(shape)
    return np.frombuffer(content, spec.dtype.as_numpy_dtype).reshape(shape)


def _from_field(spec: Spec, proto: TensorProto, shape: tuple[int, ...]) -> np.ndarray:
    field = _FIELDS.get(spec.dtype)
    if field is None or proto.tensor_content:
        where = "tensor_content" if field is None else field.name
        rule = f"values of {spec.dtype.name} must be in `{where}`"
        raise _malformed(spec, rule, "others")
    values, size = getattr(proto, field.name), math.prod(shape)
    count, rest = divmod(len(values), field.values)
    if rest or count > size or (count == 0 and size > 0):
        rule = f"`{field.name}` must hold the values of {list(shape)}"
        raise _malformed(spec, rule, f"{len(values)} values")
    array = _array(spec, field, values)
    if count < size or size == 0:
        _check_repeated(spec, shape, array)
    return _repeated(array, size).reshape(shape)


def _array(spec: Spec, field: _Field, values: Any) -> np.ndarray:
    """Values as they were sent, `(len(values),)`."""
    dtype = spec.dtype.as_numpy_dtype
    if spec.dtype == tf.string:
        array = np.empty(len(values), object)
        array[:] = values
        return array
    try:
        return np.fromiter(values, field.stored or dtype, len(values)).view(dtype)
    except OverflowError as error:
        rule = f"`{field.name}` must hold values of {spec.dtype.name}"
        raise _malformed(spec, rule, str(error)) from error


def _check_repeated(spec: Spec, shape: tuple[int, ...], values: np.ndarray) -> None:
    """Bounds what a small message asks for; sums over `[0, 2**60]` are not small."""
    each = spec.dtype.size
    if spec.dtype == tf.string:
        each = _STRING_BYTES + (len(values[-1]) if values.size else 0)
    num_bytes = math.prod(max(size, 1) for size in shape) * each
    if num_bytes > MAX_REPEATED_BYTES:
        rule = f"values that are not sent must be at most {MAX_REPEATED_BYTES} bytes"
        raise _malformed(spec, rule, f"{num_bytes} bytes")


def _repeated(values: np.ndarray, size: int) -> np.ndarray:
    """The last value stands for those that follow it."""
    if values.size == size:
        return values
    return np.concatenate([values, np.repeat(values[-1:], size - values.size)])


def _dtype_name(number: int) -> str:
    try:
        return tf.as_dtype(number).name
    except TypeError:
        return f"no dtype, but {number}"


def _malformed(spec: Spec, rule: str, received: object) -> ServingError:
    message = f"tensor parsing error: {spec.name}: {rule}. Received: {received}"
    return invalid(message)
