"""Classify's and Regress's requests and answers in JSON: tf.Examples as objects.

A feature's type is that of its first value: a number with a point is a float, one
without an int64, `true` and `false` are int64, a string and `{"b64": ...}` are bytes.

Source: tensorflow_serving/util/json_tensor.cc, g3doc/api_rest.md.
"""

from typing import Any, TypeAlias

import numpy as np
from tensorflow.core.example import example_pb2, feature_pb2

from tfrec.serving.apis import classification_pb2, model_pb2, regression_pb2
from tfrec.serving.errors import ServingError, invalid
from tfrec.serving.server.rest_json import (
    dumps,
    parse,
    shown,
    signature_name,
    type_name,
    writable,
)
from tfrec.serving.server.rest_tensors import decode_base64, is_base64

Request: TypeAlias = (
    classification_pb2.ClassificationRequest | regression_pb2.RegressionRequest
)

_KINDS = {bool: "int64", int: "int64", float: "float", str: "bytes", dict: "bytes"}
_MAX_FLOAT = float(np.finfo(np.float32).max)
_MAX_INT = 2**63 - 1


def request(body: bytes, kind: type[Request], spec: model_pb2.ModelSpec) -> bytes:
    """A serialised request of Classify or Regress from a body of JSON.

    Args:
        body: the JSON: `examples`, and `context` for features that all have.
        kind: ClassificationRequest or RegressionRequest.
        spec: the model that it goes to.
    Raises: ServingError: INVALID_ARGUMENT: it is not as it must be.
    """
    document = parse(body)
    filled = kind(model_spec=spec)
    filled.model_spec.signature_name = signature_name(document)
    examples = filled.input.example_list.examples
    if "context" in document:
        with_context = filled.input.example_list_with_context
        _fill_example(with_context.context, document["context"])
        examples = with_context.examples
    for example in _examples(document):
        _fill_example(examples.add(), example)
    return filled.SerializeToString()


def _examples(document: dict[str, Any]) -> list[Any]:
    """The examples of a request: at least one."""
    problem = ""
    if "examples" not in document:
        problem = (
            "When method is classify, key 'examples' is expected and was not found"
        )
    elif type(document["examples"]) is not list:
        problem = "Expecting 'examples' value to be an list/array"
    elif not document["examples"]:
        problem = "'examples' value is an empty array"
    if problem:
        raise invalid(f"JSON Value: {shown(document)} {problem}")
    return document["examples"]


def _fill_example(example: example_pb2.Example, value: Any) -> None:
    """Fills an Example from an object: a value or a list a feature."""
    if type(value) is not dict:
        raise invalid(f"Example must be JSON object but got JSON {type_name(value)}")
    for name, content in value.items():
        values = content if type(content) is list else [content]
        _fill_feature(example.features.feature[name], name, values)


def _fill_feature(feature: feature_pb2.Feature, name: str, values: list[Any]) -> None:
    """Fills a feature; without values it has no type."""
    if not values:
        return
    kind, *others = {_KINDS.get(found) for found in set(map(type, values))}
    if others or kind is None:
        raise _type_problem(name, values)
    if kind == "float":
        too_large = (value for value in values if _MAX_FLOAT < abs(value) < np.inf)
        if (value := next(too_large, None)) is not None:
            raise invalid(
                f"Cannot convert JSON value: {value} to float without loss of "
                "precision."
            )
        feature.float_list.value.extend(values)
    elif kind == "int64":
        if max(values) > _MAX_INT:
            raise invalid(
                f"Feature: {name} has uint64_t element. Only int64_t is supported."
            )
        feature.int64_list.value.extend(map(int, values))
    else:
        feature.bytes_list.value.extend(_bytes(name, value) for value in values)


def _bytes(name: str, value: Any) -> bytes:
    """The bytes of a string or of an object for bytes."""
    if type(value) is str:
        return value.encode()
    if not is_base64(value):
        raise _unexpected(name, value)
    decoded = decode_base64(value)
    if decoded is None:
        raise invalid("Unable to base64 decode")
    return decoded


def _type_problem(name: str, values: list[Any]) -> ServingError:
    """The error of the first value that is not of the first one's type."""
    kind = _KINDS.get(type(values[0]))
    others = (value for value in values if _KINDS.get(type(value)) != kind)
    value = next(others) if kind else values[0]
    if type(value) not in _KINDS or (type(value) is dict and not is_base64(value)):
        return _unexpected(name, value)
    return invalid(f"Unexpected element type in feature: {name} expecting type: {kind}")


def _unexpected(name: str, value: Any) -> ServingError:
    return invalid(
        f"Feature: {name} has element with unexpected JSON type: {type_name(value)}"
    )


def classify_answer(payload: bytes) -> bytes:
    """The body of an answer from a serialised ClassificationResponse.

    Raises: ServingError: INVALID_ARGUMENT: it has no classifications.
    """
    answered = classification_pb2.ClassificationResponse.FromString(payload)
    if not answered.result.classifications:
        raise invalid("Cannot convert empty ClassificationResults to JSON")
    return dumps(
        {
            "results": [
                [[c.label, writable(np.float32(c.score))] for c in of_example.classes]
                for of_example in answered.result.classifications
            ]
        }
    )


def regress_answer(payload: bytes) -> bytes:
    """The body of an answer from a serialised RegressionResponse.

    Raises: ServingError: INVALID_ARGUMENT: it has no regressions.
    """
    answered = regression_pb2.RegressionResponse.FromString(payload)
    if not answered.result.regressions:
        raise invalid("Cannot convert empty RegressionResults to JSON")
    values = np.array([r.value for r in answered.result.regressions], np.float32)
    return dumps({"results": writable(values)})
