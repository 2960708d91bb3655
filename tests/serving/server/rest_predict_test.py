"""Predict in JSON: each type both ways, and what does not fit in whose words."""

import base64
import json
import math
import random
import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2

from tests.serving.server.cases import cases
from tfrec.serving.apis import grpc, model_pb2, predict_pb2
from tfrec.serving.errors import ServingError
from tfrec.serving.server import rest_predict

BOOL, STRING = types_pb2.DT_BOOL, types_pb2.DT_STRING
FLOAT, DOUBLE, HALF = types_pb2.DT_FLOAT, types_pb2.DT_DOUBLE, types_pb2.DT_HALF
INT32, INT64 = types_pb2.DT_INT32, types_pb2.DT_INT64
UINT8, UINT32, UINT64 = types_pb2.DT_UINT8, types_pb2.DT_UINT32, types_pb2.DT_UINT64
SPEC = model_pb2.ModelSpec(name="model", version={"value": 3})
ROWS = """{
 "instances": [
   {
     "tag": "foo",
     "signal": [1, 2, 3, 4, 5],
     "sensor": [[1, 2], [3, 4]]
   },
   {
     "tag": "bar",
     "signal": [3, 4, 1, 2, 5],
     "sensor": [[4, 5], [6, 8]]
   }
 ]
}"""  # g3doc/api_rest.md, without a bracket that it has too many
COLUMNS = """{
 "inputs": {
   "tag": ["foo", "bar"],
   "signal": [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]],
   "sensor": [[[1, 2], [3, 4]], [[4, 5], [6, 8]]]
 }
}"""
DOCS_INPUTS = {"tag": STRING, "signal": FLOAT, "sensor": INT64}
REFUSED = r"""
{"signature_name": 5, "instances": [1]}
  not formatted correctly. 'signature_name' key must be a string value.
{"instances": [1], "inputs": [1]}
  Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist
{"instances": 1}
  JSON Value: {"instances": 1} Expecting 'instances' to be an list/array
{"instances": []}
  JSON Value: {"instances": []} No values in 'instances' array
{}
  Missing 'inputs' or 'instances' key
{"instances": [[1,2],[3,4],[5,6,7]]}
  element: 2 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 2
{"instances": [[1,2],[3,4],[[5,6]]]}
  Expecting shape [2] but got: [1,2]
{"instances": [1, [1]]}
  Expecting shape [] but got: [1]
{"instances": [[1,2],["a","b"]]}
  JSON Value: "a" Type: String is not of expected type: int32
{"instances": [{"y": 1}]}
  JSON object: does not have named input: y
{"instances": [{"x": 1}, 2]}
  Expecting object but got list at item 1 of input list
{"instances": [1, {"x": 2}]}
  Expecting value/list but got object at item 1 of input list
{"inputs": [[1, 2], [3]]}
  Encountered list at unexpected size: 1 at level: 1 expected size: 2
{"inputs": [1, [2]]}
  Encountered list at unexpected level: 1 expected < 1
{"inputs": [[1], 2]}
  JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2
{"inputs": {"y": 1}}
  Missing named input: x in 'inputs' object.
{"inputs": 1.0}
  JSON Value: 1.0 Type: Number is not of expected type: int32
{"inputs": true}
  JSON Value: true Type: True is not of expected type: int32
{"inputs": null}
  JSON Value: null Type: Null is not of expected type: int32
{"inputs": {"b64": "AA=="}}
  Type: Object is not of expected type: int32
{"inputs": 2147483648}
  JSON Value: 2147483648 Type: Number is not of expected type: int32
"""  # of an int32 `x`
REFUSED_VALUES = [
    (FLOAT, "1e39", "Cannot convert JSON value: 1e+39 to float without loss of"),
    (FLOAT, "true", "JSON Value: true Type: True is not of expected type: float"),
    (FLOAT, '"1.5"', 'JSON Value: "1.5" Type: String is not of expected type: float'),
    (DOUBLE, "null", "JSON Value: null Type: Null is not of expected type: double"),
    (UINT8, "256", "JSON Value: 256 Type: Number is not of expected type: uint8"),
    (UINT32, "-1", "JSON Value: -1 Type: Number is not of expected type: uint32"),
    (INT64, "9223372036854775808", "Type: Number is not of expected type: int64"),
    (BOOL, "1", "JSON Value: 1 Type: Number is not of expected type: bool"),
    (STRING, "1", "JSON Value: 1 Type: Number is not of expected type: string"),
    (STRING, '{"b64": "?"}', "Unable to base64 decode"),
    (STRING, '{"b64": 3}', 'JSON Value: {"b64": 3} not formatted correctly for base64'),
    (STRING, '{"b64": "", "c": 1}', "not formatted correctly for base64 data"),
]
REFUSED_NAMED = r"""
{"instances": [1]}
  instances is a plain list, but expecting list of objects as multiple input tensors
{"inputs": [1]}
  inputs is a plain value/list, but expecting an object as multiple input tensors
{"instances": [{"i": 1}]}
  JSON object: {"i": 1} keys must be equal to: i,s
{"instances": [{"i": 1, "s": "a"}, {"i": 2, "s": ["b"]}]}
  element: 1 key: s of 'instances' list. Error: INVALID_ARGUMENT: Expecting shape []
{"instances": [{"i": 1, "s": "a"}, [1]]}
  Expecting object but got list at item 1 of input list
{"instances": [{"i": 1, "s": "a", "t": 1}]}
  element: 0 key: t of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not
{"inputs": {"i": 1}}
  Missing named input: s in 'inputs' object.
"""  # of an int32 `i` and a string `s`


def sent(body: str | bytes, **inputs: int) -> dict[str, np.ndarray]:
    """The arrays of the PredictRequest that a body gives."""
    body = body.encode() if isinstance(body, str) else body
    payload, _ = rest_predict.request(body, SPEC, {"serving_default": inputs})
    request = predict_pb2.PredictRequest.FromString(payload)
    return {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}


def refused(message: str, code=grpc.StatusCode.INVALID_ARGUMENT):
    """Expects an error whose message has a part."""
    return pytest.raises(ServingError, match=f"^{code.name}: .*{message}")


def answered(is_row: bool = True, **outputs) -> str:
    """The JSON of a PredictResponse with these outputs."""
    response = predict_pb2.PredictResponse()
    for name, value in outputs.items():
        response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
    return rest_predict.answer(response.SerializeToString(), is_row).decode()


@pytest.mark.parametrize("body", [ROWS, COLUMNS])
def test_documented_rows_and_columns(body):
    arrays = sent(body, **DOCS_INPUTS)
    assert arrays["tag"].tolist() == [b"foo", b"bar"]
    assert arrays["signal"].dtype == np.float32
    assert arrays["signal"].tolist() == [[1, 2, 3, 4, 5], [3, 4, 1, 2, 5]]
    assert arrays["sensor"].dtype == np.int64
    assert arrays["sensor"].tolist() == [[[1, 2], [3, 4]], [[4, 5], [6, 8]]]


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        (STRING, '["foo", "bar", "baz"]', [b"foo", b"bar", b"baz"]),
        (INT32, "[[[1, 2]], [[3, 4]]]", [[[1, 2]], [[3, 4]]]),
        (FLOAT, "[1, 2.0, 5.5, -7e-3]", [1, 2, 5.5, float(np.float32(-7e-3))]),
        (DOUBLE, "[1.0, 2, 0.662, 1e300]", [1, 2, 0.662, 1e300]),
        (BOOL, "[true, false]", [True, False]),
        (INT64, f"[{2**63 - 1}, {-(2**63)}]", [2**63 - 1, -(2**63)]),
        (UINT64, f"[{2**64 - 1}, 0]", [2**64 - 1, 0]),
        (UINT8, "[0, 255]", [0, 255]),
        (FLOAT, "[16777217, 1435774380]", [16777216.0, 1435774336.0]),
        (FLOAT, f"[{2**64}]", [2.0**64]),
        (INT32, "[[], []]", [[], []]),
        (STRING, '[{"b64": "aGk="}, "x", {"b64": "/w"}]', [b"hi", b"x", b"\xff"]),
        (STRING, '[[{"b64": "aGk="}], [{"b64": ""}]]', [[b"hi"], [b""]]),
        (STRING, '["\\u00e9\\ud83d\\ude00"]', ["é😀".encode()]),
    ],
)
def test_values_of_each_type(dtype, value, expected):
    for body in f'{{"instances": {value}}}', f'{{"inputs": {value}}}':
        array = sent(body, x=dtype)["x"]
        assert array.tolist() == expected
        assert array.dtype == tf.dtypes.as_dtype(dtype).as_numpy_dtype


def test_single_values_in_columns():
    assert sent('{"inputs": 3}', x=INT32)["x"].shape == ()
    assert sent('{"inputs": {"b64": "aGVsbG8="}}', x=STRING)["x"] == b"hello"
    both = sent('{"inputs": {"x": 3, "y": {"b64": "aGk="}}}', x=INT32, y=STRING)
    assert (both["x"], both["y"]) == (3, b"hi")


def test_named_input_in_rows():
    body = '{"instances": [{"x": [{"b64": "aGVsbG8="}]}, {"x": ["y"]}]}'
    assert sent(body, x=STRING)["x"].tolist() == [[b"hello"], [b"y"]]


@pytest.mark.parametrize("dtype", [FLOAT, DOUBLE])
def test_tokens_that_json_does_not_have(dtype):
    array = sent('{"instances": [NaN, Infinity, -Infinity, 1, 2.5]}', x=dtype)["x"]
    np.testing.assert_array_equal(array, [np.nan, np.inf, -np.inf, 1, 2.5])


def test_tokens_beside_other_types():
    body = '{"inputs": {"f": [NaN], "i": [7, -8], "s": ["Infinity \\u00e9"]}}'
    arrays = sent(body, f=FLOAT, i=INT64, s=STRING)
    assert arrays["i"].tolist() == [7, -8]
    assert arrays["s"].tolist() == ["Infinity é".encode()]
    with refused("Type: Number is not of expected type: int32"):
        sent('{"instances": [1, NaN]}', x=INT32)


def test_signature_name_and_model_spec():
    signatures = {"serving_default": {"x": INT32}, "other": {"y": FLOAT}}
    body = b'{"signature_name": "other", "instances": [1]}'
    payload, is_row = rest_predict.request(body, SPEC, signatures)
    request = predict_pb2.PredictRequest.FromString(payload)
    assert is_row
    assert request.model_spec.name == "model"
    assert request.model_spec.version.value == 3
    assert request.model_spec.signature_name == "other"
    assert list(request.inputs) == ["y"]
    payload, is_row = rest_predict.request(b'{"inputs": 1}', SPEC, signatures)
    request = predict_pb2.PredictRequest.FromString(payload)
    assert (is_row, request.model_spec.signature_name) == (False, "")
    assert list(request.inputs) == ["x"]
    with refused('Serving signature name: "third" not found in signature def'):
        rest_predict.request(b'{"signature_name": "third"}', SPEC, signatures)
    with refused('Serving signature name: "serving_default" not found'):
        rest_predict.request(b"{}", SPEC, {})
    with refused("Failed to get input map for signature: DEFAULT"):
        rest_predict.request(b"{}", SPEC, {"serving_default": {}})


@pytest.mark.parametrize(("body", "message"), cases(REFUSED))
def test_refused_bodies(body, message):
    with refused(re.escape(message)):
        sent(body, x=INT32)


@pytest.mark.parametrize(("body", "message"), cases(REFUSED_NAMED))
def test_refused_bodies_with_several_inputs(body, message):
    with refused(re.escape(message)):
        sent(body, i=INT32, s=STRING)


@pytest.mark.parametrize(("dtype", "value", "message"), REFUSED_VALUES)
def test_refused_values_of_each_type(dtype, value, message):
    with refused(re.escape(message)):
        sent(f'{{"inputs": [{value}]}}', x=dtype)
    beside = '"a"' if dtype == STRING else "true" if dtype == BOOL else "0"
    said = "element: 1 of 'instances' list. Error: INVALID_ARGUMENT: .*"
    said += re.escape(message)
    if "not formatted" in message:
        said = "Expecting value/list but got object at item 1 of input list"
    with refused(said):
        sent(f'{{"instances": [{beside}, {value}]}}', x=dtype)


def test_types_that_json_does_not_have():
    with refused(
        r"Conversion of JSON Value: \[0\] to type: half",
        grpc.StatusCode.UNIMPLEMENTED,
    ):
        sent('{"instances": [0]}', x=HALF)


@pytest.mark.parametrize("value", ["1", "NaN", "[], 1"])
def test_more_dimensions_than_a_tensor_has(value):
    nested = "[" * 900 + value + "]" * 900
    for body in f'{{"inputs": {nested}}}', f'{{"instances": {nested}}}':
        with refused("Lists must be nested at most 254 times"):
            sent(body, x=FLOAT)


def test_as_many_dimensions_as_a_tensor_has():
    body = f'{{"inputs": {"[" * 254}1{"]" * 254}}}'.encode()
    payload, _ = rest_predict.request(body, SPEC, {"serving_default": {"x": FLOAT}})
    tensor = predict_pb2.PredictRequest.FromString(payload).inputs["x"]
    assert [dim.size for dim in tensor.tensor_shape.dim] == [1] * 254


def by_recursion(value, dtype, shape):
    """An independent check of nested lists, as json_tensor.cc does it."""
    if isinstance(value, list):
        return (
            bool(shape)
            and len(value) == shape[0]
            and all(by_recursion(item, dtype, shape[1:]) for item in value)
        )
    if shape:
        return False
    if dtype == STRING:
        return isinstance(value, str) or (
            isinstance(value, dict) and value == {"b64": "aGk="}
        )
    if dtype == BOOL:
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    if dtype == FLOAT:
        return not math.isfinite(value) or abs(value) < 3.5e38
    return isinstance(value, int) and -(2**31) <= value < 2**31


def first_shape(value):
    if not isinstance(value, list):
        return []
    return [len(value), *(first_shape(value[0]) if value else [])]


def test_any_value_is_taken_or_refused_as_by_recursion():
    values = [1, -3, 0, 2**31, 2.5, 1e39, math.inf, True, None, "a", {"b64": "aGk="}]
    values += [{"b64": "?"}, {}, {"x": 1}]
    seeded = random.Random(7)

    def some(depth, leaves):
        if depth == 0 or seeded.random() < 0.04:
            return seeded.choice(leaves)
        size = 2 if seeded.random() < 0.93 else seeded.randrange(4)
        return [some(depth - 1, leaves) for _ in range(size)]

    taken = 0
    for _ in range(6_000):
        leaves = seeded.sample(values, 2)
        value = some(seeded.randrange(4), leaves)
        dtype = seeded.choice([FLOAT, INT32, BOOL, STRING])
        is_plain = not isinstance(value, dict) or value.keys() == {"b64"}
        column = value if is_plain else {"x": value}
        body = json.dumps({"inputs": column})
        if by_recursion(value, dtype, first_shape(value)):
            array = sent(body, x=dtype)["x"]
            assert list(array.shape) == first_shape(value)
            taken += 1
        else:
            with refused("JSON Value|Encountered list|base64|Cannot convert"):
                sent(body, x=dtype)
        if isinstance(value, list) and value and not isinstance(value[0], dict):
            rows = json.dumps({"instances": value})
            if by_recursion(value, dtype, first_shape(value)):
                np.testing.assert_array_equal(sent(rows, x=dtype)["x"], array)
            else:
                with refused("Failed to process element|Expecting"):
                    sent(rows, x=dtype)
    assert 500 < taken < 3_500


def test_numbers_keep_every_bit():
    rng = np.random.default_rng(3)
    bits = rng.integers(0, 2**32, 20_000, np.uint32)
    floats = bits.view(np.float32)
    text = answered(False, y=floats)
    array = sent(text.replace('"outputs"', '"inputs"'), x=FLOAT)["x"]
    is_nan = np.isnan(floats)
    np.testing.assert_array_equal(np.isnan(array), is_nan)
    np.testing.assert_array_equal(array[~is_nan].view(np.uint32), bits[~is_nan])
    doubles = rng.integers(0, 2**63, 5_000).view(np.float64)
    doubles = doubles[np.isfinite(doubles)]
    text = answered(False, y=doubles)
    array = sent(text.replace('"outputs"', '"inputs"'), x=DOUBLE)["x"]
    np.testing.assert_array_equal(array, doubles)


def test_answers_in_rows_and_columns():
    values = np.array([[[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 0], [1, 2]]], np.int32)
    expected = values.tolist()
    assert json.loads(answered(int_tensor=values)) == {"predictions": expected}
    assert json.loads(answered(False, int_tensor=values)) == {"outputs": expected}
    assert json.loads(answered(x=np.arange(5))) == {"predictions": [0, 1, 2, 3, 4]}
    assert json.loads(answered(False, x=np.float32(2.5))) == {"outputs": 2.5}
    assert json.loads(answered(x=np.zeros((0, 3)))) == {"predictions": []}
    assert json.loads(answered(x=np.zeros((2, 0)))) == {"predictions": [[], []]}


def test_answers_of_several_outputs():
    outputs = {
        "bool_tensor": np.array([True, False]),
        "double_scalar_tensor": np.array([8.0, np.nan]),
        "float_tensor": np.array([[1.5], [2.0]], np.float32),
        "int_tensor": np.arange(8, dtype=np.int64).reshape(2, 2, 2),
        "str_tensor": np.array([["foo", "bar"], ["baz", "é"]]),
        "str_tensor_bytes": np.array([b"hello", b"\xff"], object),
        "uint_tensor": np.array([2**64 - 1, 0], np.uint64),
    }
    rows = answered(**outputs).replace("NaN", '"not a number"')
    assert json.loads(rows) == {
        "predictions": [
            {
                "bool_tensor": True,
                "double_scalar_tensor": 8.0,
                "float_tensor": [1.5],
                "int_tensor": [[0, 1], [2, 3]],
                "str_tensor": ["foo", "bar"],
                "str_tensor_bytes": {"b64": "aGVsbG8="},
                "uint_tensor": 2**64 - 1,
            },
            {
                "bool_tensor": False,
                "double_scalar_tensor": "not a number",
                "float_tensor": [2.0],
                "int_tensor": [[4, 5], [6, 7]],
                "str_tensor": ["baz", "é"],
                "str_tensor_bytes": {"b64": base64.b64encode(b"\xff").decode()},
                "uint_tensor": 0,
            },
        ]
    }
    columns = json.loads(answered(False, **outputs))["outputs"]
    assert sorted(columns) == sorted(outputs)
    assert columns["float_tensor"] == [[1.5], [2.0]]
    assert columns["str_tensor_bytes"] == [{"b64": "aGVsbG8="}, {"b64": "/w=="}]


def test_answers_have_the_digits_of_float32_and_tokens():
    floats = np.array([0.1, 555557.5, 3.0, 3e-5, 9e6], np.float32)
    assert answered(y=floats) == '{"predictions":[0.1,555557.5,3.0,0.00003,9000000.0]}'
    odd = np.array([[np.nan, np.inf], [3.0, -np.inf]], np.float32)
    assert answered(y=odd) == '{"predictions":[[NaN,Infinity],[3.0,-Infinity]]}'
    assert answered(False, y=np.float64(-np.inf)) == '{"outputs":-Infinity}'
    both = answered(a=np.array(["null", "NaN"]), b=odd[:, 0])
    assert both == '{"predictions":[{"a":"null","b":NaN},{"a":"NaN","b":3.0}]}'


def test_answers_from_repeated_fields():
    response = predict_pb2.PredictResponse()
    response.outputs["y"].dtype = FLOAT
    response.outputs["y"].tensor_shape.dim.add(size=3)
    response.outputs["y"].float_val.extend([0.2, 1.0])
    body = rest_predict.answer(response.SerializeToString(), True)
    assert body == b'{"predictions":[0.2,1.0,1.0]}'


def test_answers_that_can_not_be_written():
    with refused("Cannot convert empty tensor map to JSON"):
        answered()
    with refused("Failed to write JSON value for tensor type: complex64"):
        answered(x=np.zeros(2, np.complex64))
    with refused("Tensor name: x has no shape information"):
        answered(x=np.int32(1))
    with refused("Tensor name: y has inconsistent batch size: 1 expecting: 2"):
        answered(x=np.zeros((2, 3)), y=np.zeros((1, 3)))
    with refused("Strings of an output must be UTF-8, or its name end in `_bytes`"):
        answered(x=np.array([b"\xff"], object))
