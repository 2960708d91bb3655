"""What a request costs over gRPC, or REST, more than a call of the loaded model."""

import dataclasses
import http.client
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from experiments import timing
from experiments.serving.server_process import Server
from tfrec import ops as tfrec_ops
from tfrec.serving import Client, warmup

SIGNATURE = "retrieve"
Inputs = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Overhead:
    """Medians of requests that were made in turns, one at a time.

    Attributes:
        milliseconds: `in_process`, `grpc`, `rest`.
        grpc_added, rest_added: beyond the call in process.
        grpc_ratio, rest_ratio: of the times.
    """

    milliseconds: Mapping[str, float]
    grpc_added: float
    rest_added: float
    grpc_ratio: float
    rest_ratio: float


class Model:
    """A SavedModel in this process, warmed up by its own records."""

    def __init__(self, folder: pathlib.Path):
        tfrec_ops.load_library()
        self._loaded = tf.saved_model.load(str(folder))
        for record in warmup.read(folder):
            request = record.predict_log.request
            signature = self._loaded.signatures[request.model_spec.signature_name]
            inputs = request.inputs.items()
            signature(**{k: tf.constant(tf.make_ndarray(v)) for k, v in inputs})

    def __call__(self, inputs: Inputs) -> Inputs:
        """Runs `retrieve`: NumPy in, NumPy out."""
        tensors = {name: tf.constant(value) for name, value in inputs.items()}
        found = self._loaded.signatures[SIGNATURE](**tensors)
        return {name: value.numpy() for name, value in found.items()}


class Rest:
    """Asks a server over one REST connection."""

    def __init__(self, server: Server, model: str):
        self._connection = http.client.HTTPConnection("127.0.0.1", server.rest_port)
        self._path = f"/v1/models/{model}:predict"

    def __call__(self, inputs: Inputs) -> dict[str, Any]:
        """Runs `retrieve`: NumPy to JSON, JSON to lists."""
        columns = {name: value.tolist() for name, value in inputs.items()}
        body = json.dumps({"signature_name": SIGNATURE, "inputs": columns})
        self._connection.request("POST", self._path, body)
        response = self._connection.getresponse()
        content = json.loads(response.read())
        if response.status != 200:
            raise RuntimeError(f"REST answered {response.status}: {content}")
        return content["outputs"]


def measure(
    folder: pathlib.Path,
    server: Server,
    model: str,
    requests: Sequence[Inputs],
    rounds: int,
) -> Overhead:
    """Makes the same requests in process, over gRPC and over REST, in turns.

    Args:
        folder: the version that the server has loaded.
        server: it.
        model: its name there.
        requests: inputs of `retrieve`.
        rounds: timed requests of each way.
    Raises: RuntimeError: the ways do not retrieve the same.
    """
    in_process, rest = Model(folder), Rest(server, model)
    with Client(server.address) as client:
        calls = {
            "in_process": in_process,
            "grpc": lambda inputs: client.predict(model, inputs, SIGNATURE),
            "rest": rest,
        }
        _check(calls, requests[0])
        medians = timing.interleaved_medians(
            {
                name: lambda turn, call=call: call(requests[turn % len(requests)])
                for name, call in calls.items()
            },
            rounds,
            warmup=20,
        ).wall
    base, grpc, rest_time = (medians[name] for name in calls)
    return Overhead(
        medians, grpc - base, rest_time - base, grpc / base, rest_time / base
    )


def _check(calls: Mapping[str, Any], inputs: Inputs) -> None:
    expected = calls["in_process"](inputs)["ids"]
    for name, call in calls.items():
        if not np.array_equal(np.asarray(call(inputs)["ids"]), expected):
            raise RuntimeError(f"{name} does not retrieve what the model does.")
