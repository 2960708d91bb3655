"""Where a load generator's requests come from: a JSON file, a log, or chance."""

import json
import os
import pathlib
from collections.abc import Iterable, Mapping

import numpy as np
import tensorflow as tf

from tfrec.serving.apis import model_pb2, predict_pb2
from tfrec.serving.client_calls import SignatureInfo, TensorInfo, predict_request
from tfrec.serving.errors import ServingError
from tfrec.serving.replay import logs
from tfrec.serving.server import rest_predict

_ID_LIMIT = 1000
_SCALAR_LIMIT = 10
_LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))


def from_json(
    path: str | os.PathLike,
    spec: model_pb2.ModelSpec,
    signatures: Mapping[str, SignatureInfo],
) -> list[predict_pb2.PredictRequest]:
    """Requests of a file: one, or a list of them.

    Args:
        path: each request is an object as REST clients send it, with `"inputs"` or
            `"instances"`; its `"signature_name"`, if any, replaces that of `spec`.
        spec: the model and signature that are asked.
        signatures: of the model; they say what type a value becomes.
    Raises: ValueError: the file does not fit.
    """
    path = pathlib.Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"`{path}` must be JSON. Received: {error}") from error
    dtypes = {name: _dtypes(signature) for name, signature in signatures.items()}
    requests = []
    for number, entry in enumerate(content if isinstance(content, list) else [content]):
        if isinstance(entry, dict):
            entry = {"signature_name": spec.signature_name, **entry}
        try:
            body = json.dumps(entry).encode()
            serialized, _ = rest_predict.request(body, spec, dtypes)
        except ServingError as error:
            raise ValueError(
                f"Request {number} of `{path}` must fit the model: {error.message}"
            ) from error
        requests.append(predict_pb2.PredictRequest.FromString(serialized))
    return requests


def from_logs(
    paths: Iterable[str | os.PathLike], spec: model_pb2.ModelSpec
) -> list[predict_pb2.PredictRequest]:
    """The Predict requests of logs; sent to the model, version and label of `spec`.

    Each keeps the signature that it was logged with. Other records are left out.
    """
    requests = []
    for log in logs.read(paths):
        if log.WhichOneof("log_type") == "predict_log":
            request = log.predict_log.request
            name = request.model_spec.signature_name
            request.model_spec.CopyFrom(spec)
            request.model_spec.signature_name = name
            requests.append(request)
    return requests


def at_random(
    spec: model_pb2.ModelSpec,
    signatures: Mapping[str, SignatureInfo],
    count: int,
    batch: int,
    most: int,
    seed: int,
) -> list[predict_pb2.PredictRequest]:
    """Requests that fit a signature.

    Unknown dimensions of one place are of one size in a request, because inputs often
    go side by side: the first is `batch`, others are from 1 to `most`. Integers are
    ids from 1 to 1000, or from 1 to 10 where the input is a scalar (a count); floats
    normal; strings five letters.

    Args:
        spec: the model and signature that are asked.
        signatures: of the model.
        count: how many requests.
        batch, most: sizes of unknown dimensions.
        seed: of everything.
    """
    rng = np.random.default_rng(seed)
    infos = _signature(signatures, spec.signature_name).inputs
    requests = []
    for _ in range(count):
        sizes = [batch, *rng.integers(1, most + 1, size=16).tolist()]
        arrays = {name: _random(info, sizes, rng) for name, info in infos.items()}
        requests.append(_request(spec, spec.signature_name, arrays))
    return requests


def _signature(signatures: Mapping[str, SignatureInfo], name: str) -> SignatureInfo:
    if name not in signatures:
        raise ValueError(
            f"The signature must be one of {sorted(signatures)}. Received: {name!r}"
        )
    return signatures[name]


def _request(
    spec: model_pb2.ModelSpec, signature: str, arrays: Mapping[str, np.ndarray]
) -> predict_pb2.PredictRequest:
    request = predict_request(spec.name, arrays)
    request.model_spec.CopyFrom(spec)
    request.model_spec.signature_name = signature
    return request


def _dtypes(signature: SignatureInfo) -> dict[str, int]:
    """DataType of each input by name."""
    return {
        name: tf.as_dtype(
            tf.string if info.dtype == object else info.dtype
        ).as_datatype_enum
        for name, info in signature.inputs.items()
    }


def _random(info: TensorInfo, sizes: list[int], rng: np.random.Generator) -> np.ndarray:
    dims = enumerate(info.shape or ())
    shape = [sizes[place] if size is None else size for place, size in dims]
    if info.dtype == object:
        letters = rng.choice(_LETTERS, size=[*shape, 5])
        return np.apply_along_axis("".join, -1, letters).astype(object)
    if info.dtype == bool:
        return rng.integers(2, size=shape).astype(bool)
    if np.issubdtype(info.dtype, np.integer):
        limit = _ID_LIMIT if shape else _SCALAR_LIMIT
        largest = min(limit, int(np.iinfo(info.dtype).max))
        return np.asarray(rng.integers(1, largest, size=shape, endpoint=True)).astype(
            info.dtype
        )
    return np.asarray(rng.normal(size=shape)).astype(info.dtype)
