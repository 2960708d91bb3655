"""Requests that are not as they must be: valid ones, changed at random."""

import json
import random
from collections.abc import Callable
from typing import Any

from tfrec.serving.apis import predict_pb2

_NAMES = ("", "nope", "../../etc/passwd", "%2e%2e%2f", "a" * 5000, "nann\n", "1", "é")
_SIZES = (0, 1, 2, 3, -1, -2, 2**31 - 1, 2**31, 2**62, 2**63 - 1, -(2**63))
_NUMBERS = (0, -1, 1.5, 1e40, -(2**31), 2**31, 2**63, 10**30, float("nan"))
_PARTS = (
    *("", "..", "%2e%2e", "models", "versions", "labels", "-1", "99", "9" * 30),
    *("nann:predict", "nann:regress", "nann:classify", "nann:nope", "metadata"),
    *("%00", "%ff", "a" * 3000, "?x=1", "nann/versions/1:predict"),
)
_MOST_EDITS = 3
_DEEP = 2000


def mutated_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flips, cuts, drops, doubles or inserts bytes, some times."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, _MOST_EDITS)):
        begin = rng.randrange(len(changed) + 1)
        end = min(len(changed), begin + rng.choice((1, 2, 4, 16, 64)))
        piece = bytes(changed[begin:end])
        kind = rng.randrange(5)
        if kind == 0:
            for place in range(begin, end):
                changed[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del changed[begin:]
        elif kind == 2:
            del changed[begin:end]
        elif kind == 3:
            changed[begin:begin] = piece
        else:
            changed[begin:begin] = rng.randbytes(rng.choice((1, 4, 64)))
    return bytes(changed)


def mutated_predict(
    request: predict_pb2.PredictRequest, rng: random.Random
) -> predict_pb2.PredictRequest:
    """Changes names, versions, inputs, types, shapes or values, some times."""
    changed = predict_pb2.PredictRequest()
    changed.CopyFrom(request)
    for _ in range(rng.randint(1, _MOST_EDITS)):
        rng.choice(_EDITS)(changed, rng)
    return changed


def mutated_json(value: Any, rng: random.Random) -> bytes:
    """Replaces, drops or adds values anywhere in a document."""
    document = json.loads(json.dumps(value))
    for _ in range(rng.randint(1, _MOST_EDITS)):
        places = list(_places(document))
        if places:
            container, key = rng.choice(places)
            if rng.random() < 0.2:
                del container[key]
            else:
                container[key] = _json_value(rng)
    text = json.dumps(document)
    if rng.random() < 0.05:
        text = "[" * _DEEP + text + "]" * rng.choice((_DEEP, 0))
    return text.encode()


def mutated_path(path: str, rng: random.Random) -> str:
    """Another path: its parts and verb swapped for others."""
    parts = path.split("/")
    for _ in range(rng.randint(1, 2)):
        place = rng.randrange(1, len(parts) + 1)
        part = rng.choice(_PARTS)
        if place < len(parts) and rng.random() < 0.7:
            parts[place] = part
        else:
            parts.insert(place, part)
    return "/".join(parts)


def _a_tensor(request: predict_pb2.PredictRequest, rng: random.Random) -> Any:
    names = sorted(request.inputs)
    return request.inputs[rng.choice(names) if names else "x"]


def _edit_names(request: predict_pb2.PredictRequest, rng: random.Random) -> None:
    field = rng.choice(("name", "signature_name", "version_label"))
    setattr(request.model_spec, field, rng.choice(_NAMES))


def _edit_version(request: predict_pb2.PredictRequest, rng: random.Random) -> None:
    request.model_spec.version.value = rng.choice(_SIZES)


def _edit_inputs(request: predict_pb2.PredictRequest, rng: random.Random) -> None:
    names = sorted(request.inputs)
    if names and rng.random() < 0.7:
        name = rng.choice(names)
        if rng.random() < 0.5:
            request.inputs[rng.choice(_NAMES)].CopyFrom(request.inputs[name])
        del request.inputs[name]
    elif names:
        other = request.inputs[rng.choice(names)]
        request.inputs[rng.choice(names)].CopyFrom(other)
    else:
        request.inputs["x"].dtype = rng.randrange(130)


def _edit_dtype(request: predict_pb2.PredictRequest, rng: random.Random) -> None:
    _a_tensor(request, rng).dtype = rng.randrange(130)


def _edit_shape(request: predict_pb2.PredictRequest, rng: random.Random) -> None:
    shape = _a_tensor(request, rng).tensor_shape
    kind = rng.randrange(4)
    if kind == 0:
        shape.unknown_rank = True
    elif kind == 1:
        for _ in range(rng.choice((1, 5, 300))):
            shape.dim.add(size=rng.choice(_SIZES))
    elif kind == 2 or not shape.dim:
        del shape.dim[:]
    else:
        rng.choice(shape.dim).size = rng.choice(_SIZES)


def _edit_values(request: predict_pb2.PredictRequest, rng: random.Random) -> None:
    tensor = _a_tensor(request, rng)
    kind = rng.randrange(5)
    if kind == 0:
        tensor.tensor_content = mutated_bytes(tensor.tensor_content, rng)
    elif kind == 1:
        tensor.tensor_content = b""
    elif kind == 2:
        tensor.string_val.append(rng.randbytes(rng.choice((0, 10, 10_000))))
    elif kind == 3:
        del tensor.int_val[:]
        tensor.int_val.append(rng.choice((0, -1, 1, 2**31 - 1, -(2**31))))
    else:
        tensor.float_val.extend(rng.choice(((float("nan"),), (1e38,) * 9)))


def _edit_filter(request: predict_pb2.PredictRequest, rng: random.Random) -> None:
    request.output_filter.extend(rng.choices(_NAMES, k=rng.randint(1, 3)))


_EDITS: tuple[Callable[[predict_pb2.PredictRequest, random.Random], None], ...] = (
    *(_edit_names, _edit_version, _edit_inputs, _edit_dtype),
    *(_edit_shape, _edit_values, _edit_filter),
)


def _places(value: Any) -> Any:
    """Every container and key of a document."""
    items: Any = ()
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for key, inner in items:
        yield value, key
        yield from _places(inner)


def _json_value(rng: random.Random) -> Any:
    return rng.choice(
        (
            *_NUMBERS,
            *(None, True, "", "text", "\ud800", [], {}, [[]], {"b64": "AA=="}),
            *({"b64": "?"}, {"b64": 3}, [1, [2]], {"a": {"a": {}}}, "x" * 5000),
            [rng.choice(_NUMBERS) for _ in range(100)],
        )
    )
