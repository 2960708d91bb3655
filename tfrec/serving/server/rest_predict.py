"""Predict's requests and answers in JSON: `instances` in rows or `inputs` in columns.

Source: tensorflow_serving/util/json_tensor.cc, g3doc/api_rest.md.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfrec.serving.apis import model_pb2, predict_pb2
from tfrec.serving.errors import invalid
from tfrec.serving.server import rest_problems, rest_tensors
from tfrec.serving.server.rest_json import dumps, parse, shown, signature_name, writable

DEFAULT_SIGNATURE = "serving_default"
Signatures = Mapping[str, Mapping[str, int]]


def request(
    body: bytes, spec: model_pb2.ModelSpec, signatures: Signatures
) -> tuple[bytes, bool]:
    """A PredictRequest from a body of JSON.

    Args:
        body: the JSON.
        spec: the model and version that it goes to.
        signatures: the version's, the dtype (DataType) of each of its inputs.
    Returns: the serialised request, and whether its values are in rows.
    Raises: ServingError: INVALID_ARGUMENT: it is not as it must be; UNIMPLEMENTED: JSON
        has no values for an input's type.
    """
    document = parse(body)
    name = signature_name(document)
    inputs = signatures.get(name or DEFAULT_SIGNATURE)
    if inputs is None:
        raise invalid(
            f'Serving signature name: "{name or DEFAULT_SIGNATURE}" not found in '
            "signature def"
        )
    if not inputs:
        raise invalid(f"Failed to get input map for signature: {name or 'DEFAULT'}")
    filled = predict_pb2.PredictRequest(model_spec=spec)
    filled.model_spec.signature_name = name
    is_row = "instances" in document
    if is_row:
        _fill_rows(filled, document, inputs)
    else:
        _fill_columns(filled, document, inputs)
    return filled.SerializeToString(), is_row


def _fill_rows(
    filled: predict_pb2.PredictRequest,
    document: dict[str, Any],
    inputs: Mapping[str, int],
) -> None:
    """Fills the inputs from `instances`: a value, or an object, a row."""
    rows = document["instances"]
    if "inputs" in document:
        raise invalid(
            f"JSON Value: {shown(document)} Not formatted correctly expecting only "
            "one of 'inputs' or 'instances' keys to exist"
        )
    if type(rows) is not list:
        raise invalid(
            f"JSON Value: {shown(document)} Expecting 'instances' to be an list/array"
        )
    if not rows:
        raise invalid(f"JSON Value: {shown(document)} No values in 'instances' array")
    if len(inputs) > 1 and type(rows[0]) is not dict:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple "
            "input tensors required as per tensorinfo_map"
        )
    columns = {next(iter(inputs)): rows}
    if rest_problems.is_object(rows[0]):
        names = inputs.keys()
        if not all(type(row) is dict and row.keys() == names for row in rows):
            raise rest_problems.of_rows(rows, inputs)
        columns = {name: [row[name] for row in rows] for name in names}
    for name, column in columns.items():
        if not rest_tensors.fill(filled.inputs[name], column, inputs[name]):
            raise rest_problems.of_rows(rows, inputs)


def _fill_columns(
    filled: predict_pb2.PredictRequest,
    document: dict[str, Any],
    inputs: Mapping[str, int],
) -> None:
    """Fills the inputs from `inputs`: an object by their names, or the only one."""
    if "inputs" not in document:
        raise invalid("Missing 'inputs' or 'instances' key")
    columns = document["inputs"]
    if not rest_problems.is_object(columns):
        if len(inputs) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple "
                "input tensors required as per tensorinfo_map"
            )
        columns = {next(iter(inputs)): columns}
    for name, dtype in inputs.items():
        if name not in columns:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        if not rest_tensors.fill(filled.inputs[name], columns[name], dtype):
            raise rest_problems.of_value(columns[name], dtype)


def answer(payload: bytes, is_row: bool) -> bytes:
    """The body of an answer: `predictions` for rows, `outputs` for columns.

    Args:
        payload: a serialised PredictResponse.
        is_row: whether the request's values were in rows.
    Raises: ServingError: INVALID_ARGUMENT: the outputs can't be written so: none, a
        type that JSON does not have, or rows of outputs with different sizes.
    """
    outputs = predict_pb2.PredictResponse.FromString(payload).outputs
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    values = {
        name: rest_tensors.values_of(name, outputs[name]) for name in sorted(outputs)
    }
    if is_row:
        _check_batch(values)
    if len(values) == 1:
        content = _written(*values.values())
    elif is_row:
        columns = ([_written(row) for row in rows] for rows in values.values())
        rows = zip(*columns, strict=True)
        content = [dict(zip(values, row, strict=True)) for row in rows]
    else:
        content = {name: _written(array) for name, array in values.items()}
    return dumps({"predictions" if is_row else "outputs": content})


def _check_batch(values: Mapping[str, np.ndarray]) -> None:
    """Raises: ServingError: INVALID_ARGUMENT: outputs differ in their first size."""
    batch: int | None = None
    for name, array in values.items():
        if not array.ndim:
            raise invalid(f"Tensor name: {name} has no shape information")
        if batch is not None and len(array) != batch:
            raise invalid(
                f"Tensor name: {name} has inconsistent batch size: {len(array)} "
                f"expecting: {batch}"
            )
        batch = len(array)


def _written(value: Any) -> Any:
    """What `dumps` takes for an array, or a value of one."""
    if not hasattr(value, "dtype"):
        return value
    return value.tolist() if value.dtype == object else writable(value)
