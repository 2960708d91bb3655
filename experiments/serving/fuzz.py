"""Sends a server requests that were changed at random, and watches what it makes of it.

What is wrong with a request is the client's fault: every answer must say so by its
code. A change that leaves a request valid must have an answer of whole tensors, the
same when it is asked again; and valid requests between them are answered as at first.
"""

import collections
import dataclasses
import http.client
import json
import random
import socket
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from experiments.serving import mutations
from experiments.serving.server_process import Server
from tfrec.serving import Client
from tfrec.serving.apis import grpc, predict_pb2
from tfrec.serving.channels import NO_RETRIES, ChannelConfig
from tfrec.serving.client_calls import predict_request

SIGNATURE = "retrieve"
CLIENTS_FAULT = frozenset(
    {
        *("OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"),
        *("OUT_OF_RANGE", "UNIMPLEMENTED", "RESOURCE_EXHAUSTED"),
    }
)
_PREDICTION = "/tensorflow.serving.PredictionService/"
_MODEL = "/tensorflow.serving.ModelService/"
_METHODS = (
    *(f"{_PREDICTION}{name}" for name in ("Classify", "Regress", "MultiInference")),
    *(f"{_PREDICTION}GetModelMetadata", f"{_MODEL}GetModelStatus"),
    *(f"{_PREDICTION}Nope", "/nope/Nope"),
)
_SECONDS = 60.0
_RAW_SECONDS = 0.1
_REQUESTS_BETWEEN_CHECKS = 250
_KEPT_BYTES = 200

Inputs = Mapping[str, np.ndarray]


@dataclasses.dataclass
class Report:
    """What came of a run.

    Attributes:
        counts: answers by way and code, such as `"grpc INVALID_ARGUMENT"`.
        failures: requests with a wrong answer: way, kind, code, message, the request.
        checks: valid requests in between, all answered as at first.
    """

    counts: collections.Counter[str] = dataclasses.field(
        default_factory=collections.Counter
    )
    failures: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    checks: int = 0

    @property
    def requests(self) -> int:
        """How many mutated requests were answered."""
        return sum(self.counts.values())

    def add(self, way: str, code: str, is_right: bool, message: str, sent: Any) -> None:
        """Counts an answer, and keeps it if it is wrong."""
        self.counts[f"{way.partition(' ')[0]} {code}"] += 1
        if not is_right:
            shown = repr(sent)[:_KEPT_BYTES]
            self.failures.append(
                {"way": way, "code": code, "message": message[:500], "request": shown}
            )


class Fuzzer:
    """Changes valid requests of models, and sends them.

    Args:
        server: with gRPC and REST.
        requests: valid inputs of each model's `retrieve`.
        seed: of all changes.
    """

    def __init__(self, server: Server, requests: Mapping[str, Inputs], seed: int = 0):
        self._server = server
        self._requests = requests
        self._rng = random.Random(seed)
        self.report = Report()

    def run(self, count: int, on_progress: Callable[[int], object] = print) -> Report:
        """Sends `count` changed requests, half over gRPC and half over REST.

        Raises: AssertionError: a valid request in between is not answered as at first.
        """
        channel = ChannelConfig(self._server.address, retries=NO_RETRIES).open()
        expected = self._valid_answers()
        ways = (self._grpc, self._rest)
        for number in range(count):
            ways[number % 2](channel)
            if (number + 1) % _REQUESTS_BETWEEN_CHECKS == 0 or number + 1 == count:
                assert self._valid_answers() == expected, "a valid request differs"
                self.report.checks += 1
                on_progress(number + 1)
        channel.close()
        return self.report

    def _valid_answers(self) -> dict[str, Any]:
        """Ids that valid requests retrieve, over gRPC and REST."""
        answers = {}
        with Client(self._server.address) as client:
            for model, inputs in self._requests.items():
                found = client.predict(model, inputs, SIGNATURE, timeout=_SECONDS)
                answers[f"grpc {model}"] = found["ids"].tolist()
                status, body = self._http(
                    "POST",
                    f"/v1/models/{model}:predict",
                    json.dumps(_document(inputs)).encode(),
                )
                assert status == 200, body
                answers[f"rest {model}"] = json.loads(body)["outputs"]["ids"]
        return answers

    def _grpc(self, channel: grpc.Channel) -> None:
        model = self._rng.choice(sorted(self._requests))
        valid = predict_request(model, self._requests[model], SIGNATURE)
        kind = self._rng.choice(("bytes", "structure", "structure", "method"))
        method = f"{_PREDICTION}Predict"
        if kind == "structure":
            sent = mutations.mutated_predict(valid, self._rng).SerializeToString()
        else:
            sent = mutations.mutated_bytes(valid.SerializeToString(), self._rng)
        if kind == "method":
            method = self._rng.choice(_METHODS)
        call = channel.unary_unary(method)
        try:
            answer = call(sent, timeout=_SECONDS)
        except grpc.RpcError as error:
            code, message = error.code().name, error.details() or ""
        else:
            code, message = "OK", ""
            if method.endswith("/Predict"):
                message = _fault(answer, call, sent)
        is_right = code in CLIENTS_FAULT and (code == "OK") == (not message)
        self.report.add(f"grpc {kind} {method}", code, is_right, message, sent)

    def _rest(self, channel: grpc.Channel) -> None:
        del channel
        model = self._rng.choice(sorted(self._requests))
        document, path = _document(self._requests[model]), f"/v1/models/{model}:predict"
        kind = self._rng.choice(("bytes", "json", "json", "path", "raw"))
        body, method = json.dumps(document).encode(), "POST"
        if kind == "raw":
            self._raw(path, body)
            return
        if kind == "bytes":
            body = mutations.mutated_bytes(body, self._rng)
        elif kind == "json":
            body = mutations.mutated_json(document, self._rng)
        else:
            path = mutations.mutated_path(path, self._rng)
            method = self._rng.choice(("GET", "POST", "PUT", "DELETE", "HEAD"))
        status, answer = self._http(method, path, body)
        is_right = status < 500 or status == 501
        if status >= 400 and method != "HEAD":
            is_right = is_right and _is_error(answer)
        if status == 200 and method == "POST":
            again = self._http(method, path, body)
            is_right = is_right and again == (status, answer)
        message = answer.decode(errors="replace")
        sent = (method, path, body)
        self.report.add(f"rest {kind}", str(status), is_right, message, sent)

    def _http(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self._server.rest_port, timeout=_SECONDS
        )
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def _raw(self, path: str, body: bytes) -> None:
        """A request whose head is changed too; the server may hang up, or wait."""
        head = f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n"
        sent = mutations.mutated_bytes(f"{head}\r\n".encode() + body, self._rng)
        answer = b""
        address = ("127.0.0.1", self._server.rest_port)
        with socket.create_connection(address, timeout=_RAW_SECONDS) as connection:
            silent = "closed"
            try:
                connection.sendall(sent)
                while piece := connection.recv(1 << 16):
                    answer += piece
            except (BrokenPipeError, ConnectionResetError):
                pass  # it had read enough to refuse it
            except TimeoutError:  # it waits for the next request, or the rest of this
                silent = "waits"
        status = answer[9:12].decode(errors="replace") if answer else silent
        is_right = not status.startswith("5") or status == "501"
        message = answer[:500].decode(errors="replace")
        self.report.add("rest raw", status, is_right, message, sent)


def _document(inputs: Inputs) -> dict[str, Any]:
    columns = {name: value.tolist() for name, value in inputs.items()}
    return {"signature_name": SIGNATURE, "inputs": columns}


def _fault(answer: bytes, call: Callable[..., bytes], sent: bytes) -> str:
    """What is wrong with a PredictResponse, also asked again; empty: nothing."""
    response = predict_pb2.PredictResponse.FromString(answer)
    try:
        again = predict_pb2.PredictResponse.FromString(call(sent, timeout=_SECONDS))
    except grpc.RpcError as error:
        return f"asked again, it is refused: {error.code().name} {error.details()}"
    if response != again:
        return "asked again, it is answered otherwise"
    try:
        for tensor in response.outputs.values():
            tf.make_ndarray(tensor)
    except (TypeError, ValueError) as error:
        return f"an output is no tensor: {error}"
    return "" if response.outputs else "no outputs"


def _is_error(body: bytes) -> bool:
    """Whether a body is what REST clients read a message from."""
    try:
        return isinstance(json.loads(body)["error"], str)
    except (KeyError, TypeError, ValueError):
        return False
