"""TensorProto and NumPy: every dtype both ways, and protos that make no sense."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework.tensor_pb2 import TensorProto

from tfrec.serving import tensors
from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError
from tfrec.serving.tensors import Spec

VALUES = {
    "float32": [0.5, -1.0, np.nan, np.inf],
    "float64": [0.1, -1.0, np.nan, np.inf],
    "float16": [0.5, -1.0, np.nan, np.inf],
    "bfloat16": [0.5, -1.0, np.nan, np.inf],
    "int8": [0, -128, 127, 1],
    "int16": [0, -(2**15), 2**15 - 1, 1],
    "int32": [0, -(2**31), 2**31 - 1, 1],
    "int64": [0, -(2**63), 2**63 - 1, 1],
    "uint8": [0, 255, 1, 2],
    "uint16": [0, 2**16 - 1, 1, 2],
    "uint32": [0, 2**32 - 1, 1, 2],
    "uint64": [0, 2**64 - 1, 1, 2],
    "bool": [True, False, False, True],
    "complex64": [1 + 2j, -1j, np.nan, 3],
    "complex128": [1 + 2j, -1j, np.nan, 3],
    "string": [b"", b"a\0b", b"\xff", "é".encode()],
}


def spec(dtype="float32", dims=None) -> Spec:
    return Spec("x", tf.as_dtype(dtype), dims)


def proto(dtype="float32", shape=(), **fields) -> TensorProto:
    made = TensorProto(dtype=tf.as_dtype(dtype).as_datatype_enum, **fields)
    made.tensor_shape.SetInParent()
    for size in shape:
        made.tensor_shape.dim.add(size=size)
    return made


def array(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    values = np.array(VALUES[dtype], tf.as_dtype(dtype).as_numpy_dtype)
    return np.resize(values, shape)


def assert_same(found, expected):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    if expected.dtype == object:
        assert found.tolist() == expected.tolist()
    else:
        assert found.tobytes() == expected.tobytes()


def refused(message: str):
    """Expects INVALID_ARGUMENT."""
    return pytest.raises(ServingError, match=f"^INVALID_ARGUMENT: {message}")


@pytest.mark.parametrize("as_content", [False, True])
@pytest.mark.parametrize("shape", [(), (0,), (4,), (2, 0, 3), (3, 5)])
@pytest.mark.parametrize("dtype", VALUES)
def test_what_is_written_is_read_by_tensorflow_and_by_us(dtype, shape, as_content):
    expected, written = array(dtype, shape), TensorProto()
    tensors.fill(written, expected, as_content)
    assert bool(written.tensor_content) == (
        as_content and dtype != "string" and expected.size > 0
    )
    assert_same(np.asarray(tf.make_ndarray(written)).reshape(shape), expected)
    assert_same(tensors.to_array(spec(dtype, shape), written), expected)


@pytest.mark.parametrize("shape", [(), (0,), (4,), (2, 0, 3), (3, 5)])
@pytest.mark.parametrize("dtype", VALUES)
def test_reads_what_official_clients_write(dtype, shape):
    expected = array(dtype, shape)
    written = tf.make_tensor_proto(expected, dtype, shape)
    assert_same(tensors.to_array(spec(dtype), written), expected)


@pytest.mark.parametrize("dtype", VALUES)
def test_the_last_value_stands_for_those_that_are_not_sent(dtype):
    first = array(dtype, (2,))
    sent = proto(dtype, (2, 3))
    written = TensorProto()
    tensors.fill(written, first, as_content=False)
    for field, values in written.ListFields():
        if field.name.endswith("_val"):
            getattr(sent, field.name).extend(values)
    expected = first[[0, 1, 1, 1, 1, 1]].reshape(2, 3)
    assert_same(tensors.to_array(spec(dtype), sent), expected)


def test_numbers_are_not_copied():
    sent = tf.make_tensor_proto(np.arange(6, dtype=np.int64).reshape(2, 3))
    found = tensors.to_array(spec("int64", (None, 3)), sent)
    assert not found.flags.owndata


def test_a_byte_that_is_no_bool_counts_as_true():
    sent = proto("bool", (3,), tensor_content=b"\0\1\2")
    assert tensors.to_array(spec("bool"), sent).tobytes() == b"\0\1\1"


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (proto("int32", (), int_val=[1]), "int32"),
        (TensorProto(), "no dtype, but 0"),
        (TensorProto(dtype=9999), "no dtype, but 9999"),
        (TensorProto(dtype=-1), "no dtype, but -1"),
    ],
)
def test_wrong_dtype(sent, received):
    with refused(f"input `x` must be float32. Received: {received}$"):
        tensors.to_array(spec(), sent)


@pytest.mark.parametrize("shape", [(), (2,), (2, 2), (1, 3, 1)])
def test_wrong_shape(shape):
    size = int(np.prod(shape))
    sent = proto("float32", shape, float_val=[1.0] * size)
    received = r"\[" + ", ".join(map(str, shape)) + r"\]"
    rule = r"input `x` must have the shape \[\?,3\]. Received: "
    with refused(rule + received):
        tensors.to_array(spec(dims=(None, 3)), sent)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        (proto(shape=(2,), tensor_content=b"1234"), "must have 8 bytes.* 4 bytes"),
        (proto(shape=(2,), tensor_content=b"123456789"), "must have 8 bytes.* 9 bytes"),
        (proto(shape=(0,), tensor_content=b"1234"), "must have 0 bytes"),
        (proto(shape=(2**40, 2**40), tensor_content=b"1234"), "must have 483570"),
        (proto(shape=(3,)), "`float_val` must hold the values of.* 0 values"),
        (proto(shape=(3,), int_val=[1, 2, 3]), "`float_val` must hold.* 0 values"),
        (proto(shape=(1,), float_val=[1, 2]), "`float_val` must hold.* 2 values"),
        (proto(shape=(0,), float_val=[1]), "`float_val` must hold.* 1 values"),
        (proto(shape=(-1,), float_val=[1]), r"the shape must be known.*\[-1\]"),
        (proto(shape=(2, -3), float_val=[1]), "the shape must be known"),
        (proto(shape=[1] * 255, float_val=[1]), "the shape must be known"),
        (proto(shape=(2**20 + 1,), float_val=[1]), "must be at most 4194304 bytes"),
        (proto(shape=(2**62, 4), float_val=[1]), "must be at most"),
        (proto(shape=(0, 2**62)), "must be at most"),
    ],
)
def test_malformed(sent, message):
    with refused(f"tensor parsing error: x: .*{message}"):
        tensors.to_array(spec(), sent)


def test_unknown_rank():
    sent = proto(float_val=[1.0])
    sent.tensor_shape.unknown_rank = True
    with refused("tensor parsing error: x: the shape must be known. Received: unknown"):
        tensors.to_array(spec(), sent)


@pytest.mark.parametrize(
    ("dtype", "shape", "fields", "message"),
    [
        ("int8", (1,), {"int_val": [300]}, "`int_val` must hold values of int8"),
        ("uint8", (1,), {"int_val": [-1]}, "`int_val` must hold values of uint8"),
        ("float16", (1,), {"half_val": [2**16]}, "`half_val` must hold values"),
        ("complex64", (1,), {"scomplex_val": [1.0]}, "`scomplex_val` must hold the"),
        ("string", (1,), {"tensor_content": b"\1a"}, "string must be in `string_val`"),
        ("string", (2**22,), {"string_val": [b""]}, "must be at most"),
        ("string", (1000,), {"string_val": [b"a" * 2**20]}, "must be at most"),
        ("qint8", (1,), {"int_val": [1]}, "qint8 must be in `tensor_content`"),
    ],
)
def test_malformed_of_other_dtypes(dtype, shape, fields, message):
    with refused(f"tensor parsing error: x: .*{message}"):
        tensors.to_array(spec(dtype), proto(dtype, shape, **fields))


def test_the_error_has_code_and_message_apart():
    with pytest.raises(ServingError) as caught:
        tensors.to_array(spec(), proto("int32"))
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.message == "input `x` must be float32. Received: int32"
