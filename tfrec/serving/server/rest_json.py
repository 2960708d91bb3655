"""JSON text, as TensorFlow Serving's REST API reads and writes it.

Read and written by orjson, which needs a tenth of the standard module's time and writes
float32 with its own digits. `NaN`, `Infinity` and `-Infinity`, which JSON does not have
and TensorFlow Serving allows, are added to it: documents with them are read by the
standard module, and written into orjson's text.

Source: tensorflow_serving/util/json_tensor.cc, g3doc/api_rest.md.
"""

import json
import math
import re
from itertools import chain, zip_longest
from typing import Any

import numpy as np
from google.protobuf import json_format

from tfrec.serving.errors import invalid

try:
    import orjson
except ModuleNotFoundError as error:
    raise ImportError(
        'The REST API needs orjson: pip install "tfrec[serving]"'
    ) from error

SHOWN_CHARACTERS = 200
_TYPE_NAMES = {
    type(None): "Null",
    dict: "Object",
    list: "Array",
    str: "String",
    int: "Number",
    float: "Number",
}
_TOKENS = (b"NaN", b"Infinity")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TOO_BIG = "JSON Parse error: Number too big to be stored in double."


def parse(body: bytes) -> dict[str, Any]:
    """Reads a request's body, a JSON object.

    Integers outside int64 and uint64 become floats, as in TensorFlow Serving.

    Raises: ServingError: INVALID_ARGUMENT: it is empty, no JSON, no UTF-8, nested more
        than about a thousand times, has a number beyond float64, or is no object.
    """
    body = body.removeprefix(_BYTE_ORDER_MARK)
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if not any(token in body for token in _TOKENS):
            raise invalid(
                f"JSON Parse error: {error.msg} at offset: {error.pos}"
            ) from error
        document = _parse_with_tokens(body)
    if type(document) is not dict:
        raise invalid(f"JSON Value: {shown(document)} Is not object")
    return document


def _parse_with_tokens(body: bytes) -> Any:
    """Reads JSON that may have `NaN`, `Infinity` and `-Infinity`."""
    try:
        text = body.decode()
        # Numbers are read by functions in Python: a large document leaves other
        # threads their turns.
        document = json.loads(text, parse_float=_float, parse_int=_integer)
        if _SURROGATE.search(text):
            json.dumps(document, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise invalid(
            f"JSON Parse error: {error.msg} at offset: {error.pos}"
        ) from error
    except UnicodeDecodeError as error:
        raise invalid(
            f"JSON Parse error: Invalid encoding in string. at offset: {error.start}"
        ) from error
    except UnicodeEncodeError as error:
        raise invalid(
            "JSON Parse error: The surrogate pair in string is invalid."
        ) from error
    except RecursionError as error:
        raise invalid("JSON Parse error: It is nested too deeply.") from error
    return document


def _float(text: str) -> float:
    """Reads a number with a point or an exponent."""
    value = float(text)
    if math.isinf(value):
        raise invalid(_TOO_BIG)
    return value


def _integer(text: str) -> int | float:
    """Reads a number without a point; one that no 64-bit integer holds as a float."""
    value = int(text) if len(text) <= 20 else _float(text)
    return value if -(2**63) <= value < 2**64 else float(value)


def signature_name(document: dict[str, Any]) -> str:
    """The signature that a request names, "" if none.

    Raises: ServingError: INVALID_ARGUMENT: the name is no string.
    """
    name = document.get("signature_name", "")
    if type(name) is not str:
        raise invalid(
            f"JSON Value: {shown(document)} not formatted correctly. "
            "'signature_name' key must be a string value."
        )
    return name


def type_name(value: Any) -> str:
    """The JSON type of a value, as messages name it."""
    if type(value) is bool:
        return "True" if value else "False"
    return _TYPE_NAMES[type(value)]


def shown(value: Any) -> str:
    """The beginning of a value's JSON, for a message."""
    pieces: list[str] = []
    length = 0
    for piece in json.JSONEncoder().iterencode(value):
        pieces.append(piece)
        length += len(piece)
        if length > SHOWN_CHARACTERS:
            return "".join(pieces)[:SHOWN_CHARACTERS] + "..."
    return "".join(pieces)


def dumps(value: Any) -> bytes:
    """Writes JSON; arrays and scalars of NumPy inside `value` are `writable`."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def writable(array: Any) -> Any:
    """What `dumps` takes for an array, or a scalar, of numbers or bools."""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return orjson.Fragment(_with_tokens(array))
    return array if array.ndim else array[()]


def _with_tokens(array: Any) -> bytes:
    """JSON of floats, with tokens in the places where orjson writes null."""
    flat = np.ravel(array)
    flat = flat[~np.isfinite(flat)]
    tokens = [
        b"NaN" if math.isnan(value) else b"Infinity" if value > 0 else b"-Infinity"
        for value in flat.tolist()
    ]
    texts = dumps(array if array.ndim else array[()]).split(b"null")
    return b"".join(chain.from_iterable(zip_longest(texts, tokens, fillvalue=b"")))


def error_body(message: str) -> bytes:
    """The body of an answer that is an error."""
    return dumps({"error": message.encode("utf-8", "replace").decode()})


def to_dict(message: Any) -> dict[str, Any]:
    """A message by its fields' names, with fields that have their defaults too."""
    return json_format.MessageToDict(
        message,
        preserving_proto_field_name=True,
        always_print_fields_with_no_presence=True,
    )
