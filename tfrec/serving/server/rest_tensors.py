"""JSON values to tensors and back, by the rules of TensorFlow Serving's REST API.

A float takes every number, an integer only numbers without a point and within its
range, a bool `true` and `false`, a string a string or `{"b64": ...}`. TensorFlow
Serving casts what is too large for float32 or a small integer; here it does not fit.

Values go through the loops of lists and of NumPy, not through one in Python: 0.1 us a
value.

Source: tensorflow_serving/util/json_tensor.cc.
"""

import base64
import binascii
import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError, invalid
from tfrec.serving.server.rest_json import shown

MAX_RANK = 254  # TensorFlow's
FLOATS = {types_pb2.DT_FLOAT: np.float32, types_pb2.DT_DOUBLE: np.float64}
_INTEGERS: dict[int, Any] = {
    types_pb2.DT_INT8: np.int8,
    types_pb2.DT_INT16: np.int16,
    types_pb2.DT_INT32: np.int32,
    types_pb2.DT_INT64: np.int64,
    types_pb2.DT_UINT8: np.uint8,
    types_pb2.DT_UINT32: np.uint32,
    types_pb2.DT_UINT64: np.uint64,
}
_SUPPORTED = {*FLOATS, *_INTEGERS, types_pb2.DT_BOOL, types_pb2.DT_STRING}
_BYTES_SUFFIX = "_bytes"


def dtype_name(dtype: int) -> str:
    """A DataType as TensorFlow's messages name it: float, int64, string."""
    return types_pb2.DataType.Name(dtype).removeprefix("DT_").lower()


def is_base64(value: Any) -> bool:
    """Whether a JSON value is an object for bytes: `b64` alone, with a string."""
    return type(value) is dict and len(value) == 1 and type(value.get("b64")) is str


def decode_base64(value: dict[str, str]) -> bytes | None:
    """The bytes of such an object, None if it is not base64. Padding may be absent."""
    text = value["b64"].rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def check_rank(rank: int) -> None:
    """Raises: ServingError: INVALID_ARGUMENT: lists are nested deeper than a tensor."""
    if rank > MAX_RANK:
        raise invalid(
            f"Lists must be nested at most {MAX_RANK} times, as a tensor has no more "
            f"dimensions. Received: {rank} times or more"
        )


def fill(tensor: tensor_pb2.TensorProto, value: Any, dtype: int) -> bool:
    """Fills an empty tensor from a JSON value: nested lists, or a single value.

    Returns: False if the lists are ragged or a value is not of the type.
    Raises: ServingError: UNIMPLEMENTED: JSON has no values for this type;
        INVALID_ARGUMENT: the lists are nested too deeply.
    """
    if dtype not in _SUPPORTED:
        raise ServingError(
            grpc.StatusCode.UNIMPLEMENTED,
            f"Conversion of JSON Value: {shown(value)} to type: {dtype_name(dtype)}",
        )
    shape, leaves, is_regular = _flatten(value)
    if not is_regular:
        return False
    if dtype == types_pb2.DT_STRING:
        strings = _strings(leaves)
        if strings is None:
            return False
        tensor.string_val.extend(strings)
    else:
        numbers = _numbers(leaves, dtype)
        if numbers is None:
            return False
        tensor.tensor_content = numbers.tobytes()
    tensor.dtype = dtype
    for size in shape:
        tensor.tensor_shape.dim.add(size=size)
    return True


def _flatten(value: Any) -> tuple[list[int], list[Any], bool]:
    """Shape and values of nested lists, and whether all lists of a level are alike."""
    shape: list[int] = []
    level = [value]
    while list in (kinds := set(map(type, level))):
        sizes = set(map(len, level)) if len(kinds) == 1 else set()
        if len(sizes) != 1:
            return shape, level, False
        shape.append(sizes.pop())
        check_rank(len(shape))
        level = list(chain.from_iterable(level))
    return shape, level, True


def _numbers(values: Sequence[Any], dtype: int) -> np.ndarray | None:
    """Numbers or bools as an array, None if one is not of the type."""
    kinds = set(map(type, values))
    if dtype == types_pb2.DT_BOOL:
        return np.fromiter(values, bool, len(values)) if kinds <= {bool} else None
    if dtype in FLOATS:
        return _floats(values, dtype) if kinds <= {int, float} else None
    limits: Any = np.iinfo(_INTEGERS[dtype])
    if not kinds <= {int}:
        return None
    if values and not limits.min <= min(values) <= max(values) <= limits.max:
        return None
    return np.fromiter(values, limits.dtype, len(values))


def _floats(values: Sequence[Any], dtype: int) -> np.ndarray | None:
    """Numbers as floats, None if a finite one is beyond their range."""
    with np.errstate(over="ignore"):
        array = np.fromiter(values, FLOATS[dtype], len(values))
    places = np.flatnonzero(np.isinf(array)).tolist()
    return array if all(math.isinf(values[i]) for i in places) else None


def _strings(values: Sequence[Any]) -> list[bytes] | None:
    """Strings and objects for bytes as bytes, None if a value is neither."""
    kinds = set(map(type, values))
    if kinds <= {str}:
        return [value.encode() for value in values]
    if not kinds <= {str, dict}:
        return None
    strings = list(map(_bytes, values))
    return None if None in strings else strings  # type: ignore[return-value]


def _bytes(value: Any) -> bytes | None:
    if type(value) is str:
        return value.encode()
    return decode_base64(value) if is_base64(value) else None


def fits(value: Any, dtype: int) -> bool:
    """Whether a value that is no list is of the type."""
    if dtype == types_pb2.DT_STRING:
        return _strings([value]) is not None
    return _numbers([value], dtype) is not None


def values_of(name: str, tensor: tensor_pb2.TensorProto) -> np.ndarray:
    """An output's values for JSON: numbers, bools, or objects: strings, bytes' objects.

    Args:
        name: of the output; strings of one that ends in `_bytes` become base64.
    Raises: ServingError: INVALID_ARGUMENT: JSON has no values for this type, or a
        string is no UTF-8.
    """
    if tensor.dtype not in _SUPPORTED:
        raise invalid(
            f"Failed to write JSON value for tensor type: {dtype_name(tensor.dtype)}"
        )
    array = tf.make_ndarray(tensor)
    if tensor.dtype != types_pb2.DT_STRING:
        return array
    values = np.empty(array.size, object)
    if name.endswith(_BYTES_SUFFIX):
        encoded = (base64.b64encode(value).decode() for value in array.flat)
        values[:] = [{"b64": text} for text in encoded]
    else:
        try:
            values[:] = [value.decode() for value in array.flat]
        except UnicodeDecodeError as error:
            raise invalid(
                f"Strings of an output must be UTF-8, or its name end in "
                f"`{_BYTES_SUFFIX}`, which makes them base64. Received: {name}: {error}"
            ) from error
    return values.reshape(array.shape)
