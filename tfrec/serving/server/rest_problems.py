"""What does not fit in a Predict request of JSON, in TensorFlow Serving's words.

Called for requests that could not be converted: goes through their values one by one,
up to the first that does not fit.

Source: tensorflow_serving/util/json_tensor.cc.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tensorflow.core.framework import types_pb2

from tfrec.serving.errors import ServingError, invalid
from tfrec.serving.server import rest_tensors
from tfrec.serving.server.rest_json import shown, type_name


def is_object(value: Any) -> bool:
    """Whether a value is an object of named inputs, not one for bytes."""
    return type(value) is dict and not rest_tensors.is_base64(value)


def of_value(value: Any, dtype: int) -> ServingError:
    """The error of an input that `rest_tensors.fill` did not take."""
    return _of_list(value, dtype, _first_shape(value), 0) or _of_type(value, dtype)


def of_rows(rows: Sequence[Any], inputs: Mapping[str, int]) -> ServingError:
    """The error of `instances` of which an input could not be filled.

    Args:
        rows: plain values where there is one input, or objects by the inputs' names.
        inputs: each input's dtype.
    """
    are_objects = is_object(rows[0])
    shapes: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        if is_object(row) != are_objects:
            mix = "object but got list" if are_objects else "value/list but got object"
            return invalid(f"Expecting {mix} at item {i} of input list")
        items = row.items() if are_objects else [(next(iter(inputs)), row)]
        for name, value in items:
            if problem := _of_item(name, value, inputs, shapes):
                key = f" key: {name}" if are_objects else ""
                return invalid(
                    f"Failed to process element: {i}{key} of 'instances' list. "
                    f"Error: {problem}"
                )
        if are_objects and row.keys() != inputs.keys():
            return invalid(
                f"Failed to process element: {i} of 'instances' list. JSON object: "
                f"{shown(row)} keys must be equal to: {','.join(sorted(inputs))}"
            )
    return invalid(f"JSON Value: {shown(rows)} does not fit the inputs")


def _of_item(
    name: str, value: Any, inputs: Mapping[str, int], shapes: dict[str, list[int]]
) -> ServingError | None:
    """The error of an input in a row, whose shape must be that of earlier rows."""
    if name not in inputs:
        return invalid(f"JSON object: does not have named input: {name}")
    shape = _first_shape(value)
    if problem := _of_list(value, inputs[name], shape, 0):
        return problem
    first = shapes.setdefault(name, shape)
    if math.prod(first) != math.prod(shape):
        return invalid(
            f"Expecting tensor size: {math.prod(first)} but got: {math.prod(shape)}"
        )
    if first != shape:
        return invalid(f"Expecting shape {_text(first)} but got: {_text(shape)}")
    return None


def _text(shape: Sequence[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _first_shape(value: Any) -> list[int]:
    """The shape by the first value of each level."""
    shape: list[int] = []
    while type(value) is list:
        shape.append(len(value))
        rest_tensors.check_rank(len(shape))
        if not value:
            break
        value = value[0]
    return shape


def _of_list(
    value: Any, dtype: int, shape: Sequence[int], level: int
) -> ServingError | None:
    """The error of nested lists, or of a value, that must be of a shape."""
    rank = len(shape)
    if type(value) is not list:
        if level != rank:
            return invalid(
                f"JSON Value: {shown(value)} found at incorrect level: {level + 1} "
                f"in the JSON DOM. Expected at level: {rank}"
            )
        return None if rest_tensors.fits(value, dtype) else _of_type(value, dtype)
    if level >= rank:
        return invalid(
            f"Encountered list at unexpected level: {level} expected < {rank}"
        )
    if len(value) != shape[level]:
        return invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    problems = (_of_list(item, dtype, shape, level + 1) for item in value)
    return next(filter(None, problems), None)


def _of_type(value: Any, dtype: int) -> ServingError:
    """The error of a value that is not of the type."""
    name = rest_tensors.dtype_name(dtype)
    if dtype == types_pb2.DT_STRING and type(value) is dict:
        if rest_tensors.is_base64(value):
            return invalid("Unable to base64 decode")
        return invalid(
            f"JSON Value: {shown(value)} not formatted correctly for base64 data"
        )
    if dtype in rest_tensors.FLOATS and type(value) in (int, float):
        return invalid(
            f"Cannot convert JSON value: {shown(value)} to {name} without loss of "
            "precision."
        )
    return invalid(
        f"JSON Value: {shown(value)} Type: {type_name(value)} is not of expected type: "
        f"{name}"
    )
