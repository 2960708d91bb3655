"""Classify and Regress in JSON: Examples of objects, and their results."""

import math
import re

import pytest
import tensorflow as tf

from tests.serving.server.cases import cases
from tfrec.serving.apis import classification_pb2, model_pb2, regression_pb2
from tfrec.serving.errors import ServingError
from tfrec.serving.server import rest_examples

SPEC = model_pb2.ModelSpec(name="model")
REFUSED = r"""
{"signature_name": ["a"], "examples": [{}]}
  not formatted correctly. 'signature_name' key must be a string value.
{"context": [{"a": ["foo"]}], "examples": [{}]}
  Example must be JSON object but got JSON Array
{}
  JSON Value: {} When method is classify, key 'examples' is expected and was not found
{"examples": {"a": ["foo"]}}
  Expecting 'examples' value to be an list/array
{"examples": []}
  'examples' value is an empty array
{"examples": [[{"a": 1}]]}
  Example must be JSON object but got JSON Array
{"examples": [{"a": [10, null]}]}
  Feature: a has element with unexpected JSON type: Null
{"examples": [{"a": [10, 10.0]}]}
  Unexpected element type in feature: a expecting type: int64
{"examples": [{"a": ["a", true]}]}
  Unexpected element type in feature: a expecting type: bytes
{"examples": [{"a": [1.5, {"b64": "AA=="}]}]}
  Unexpected element type in feature: a expecting type: float
{"examples": [{"a": [10, {"test": 10}]}]}
  Feature: a has element with unexpected JSON type: Object
{"examples": [{"a": ["x", {"test": 10}]}]}
  Feature: a has element with unexpected JSON type: Object
{"examples": [{"a": [[10], 20]}]}
  Feature: a has element with unexpected JSON type: Array
{"examples": [{"a": [20, 18446744073709551603]}]}
  Feature: a has uint64_t element. Only int64_t is supported.
{"examples": [{"a": 1e39}]}
  Cannot convert JSON value: 1e+39 to float without loss of precision.
{"examples": [{"a": {"b64": "?"}}]}
  Unable to base64 decode
"""
KINDS = [classification_pb2.ClassificationRequest, regression_pb2.RegressionRequest]


def refused(message: str):
    return pytest.raises(ServingError, match=f"^INVALID_ARGUMENT: .*{message}")


def examples_sent(body: str, kind=classification_pb2.ClassificationRequest):
    payload = rest_examples.request(body.encode(), kind, SPEC)
    return kind.FromString(payload)


def features(example: tf.train.Example) -> dict[str, tuple[str | None, list]]:
    found = {}
    for name, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        found[name] = kind, list(getattr(feature, kind).value) if kind else []
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_documented_examples(kind):
    request = examples_sent(
        """{
          "signature_name": "classify_objects",
          "examples": [
            {
              "image": { "b64": "aW1hZ2UgYnl0ZXM=" },
              "caption": "seaside"
            },
            {
              "image": { "b64": "YXdlc29tZSBpbWFnZSBieXRlcw==" },
              "caption": "mountains"
            }
          ]
        }""",
        kind,
    )
    assert request.model_spec.name == "model"
    assert request.model_spec.signature_name == "classify_objects"
    first, second = request.input.example_list.examples
    assert features(first) == {
        "image": ("bytes_list", [b"image bytes"]),
        "caption": ("bytes_list", [b"seaside"]),
    }
    assert features(second)["image"] == ("bytes_list", [b"awesome image bytes"])


@pytest.mark.parametrize("kind", KINDS)
def test_examples_with_context(kind):
    request = examples_sent(
        """{
          "context": {"query": "pizza", "location": [ "sfo" ]},
          "examples": [
            {"names": [ "foo", "bar" ], "ratings": [ 8.0, 9.0, Infinity ], "age": 20},
            {"names": [ "baz", { "b64": "aGVsbG8=" } ], "ratings": 6.0,
             "intboolmix": [ 1, true, false ], "none": []},
            {"ratings": -Infinity}
          ]
        }""",
        kind,
    )
    assert request.input.WhichOneof("kind") == "example_list_with_context"
    with_context = request.input.example_list_with_context
    assert features(with_context.context) == {
        "query": ("bytes_list", [b"pizza"]),
        "location": ("bytes_list", [b"sfo"]),
    }
    first, second, third = map(features, with_context.examples)
    assert first == {
        "names": ("bytes_list", [b"foo", b"bar"]),
        "ratings": ("float_list", [8.0, 9.0, math.inf]),
        "age": ("int64_list", [20]),
    }
    assert second == {
        "names": ("bytes_list", [b"baz", b"hello"]),
        "ratings": ("float_list", [6.0]),
        "intboolmix": ("int64_list", [1, 1, 0]),
        "none": (None, []),
    }
    assert third == {"ratings": ("float_list", [-math.inf])}


@pytest.mark.parametrize(("body", "message"), cases(REFUSED))
@pytest.mark.parametrize("kind", KINDS)
def test_refused_examples(body, message, kind):
    with refused(re.escape(message)):
        examples_sent(body, kind)


def test_classify_answers():
    response = classification_pb2.ClassificationResponse()
    for scores in ((0.2, 0.7), (0.7, math.nan)):
        classes = response.result.classifications.add().classes
        classes.add(label="car", score=scores[0])
        classes.add(label="", score=scores[1])
    assert rest_examples.classify_answer(response.SerializeToString()) == (
        b'{"results":[[["car",0.2],["",0.7]],[["car",0.7],["",NaN]]]}'
    )
    with refused("Cannot convert empty ClassificationResults to JSON"):
        rest_examples.classify_answer(b"")


def test_regress_answers():
    response = regression_pb2.RegressionResponse()
    for value in (0.2, math.inf, 1.0, -math.inf, math.nan):
        response.result.regressions.add(value=value)
    assert rest_examples.regress_answer(response.SerializeToString()) == (
        b'{"results":[0.2,Infinity,1.0,-Infinity,NaN]}'
    )
    with refused("Cannot convert empty RegressionResults to JSON"):
        rest_examples.regress_answer(b"")
