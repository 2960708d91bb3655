"""What is wrong with a request is told by code and message; the server lives on."""

import json
import re
import socket

import httpx
import numpy as np
import pytest

from experiments.serving import memory
from tests.serving import served_models
from tests.serving.served_models import REQUESTS, SIGNATURE
from tfrec.serving import Client
from tfrec.serving.apis import grpc
from tfrec.serving.channels import ChannelConfig
from tfrec.serving.client_calls import predict_request
from tfrec.serving.errors import ServingError

PREDICT = "/tensorflow.serving.PredictionService/Predict"
BODY_SECONDS = 2.0
MAX_GROWTH = 0.1  # what is sent meanwhile is more than twice that
MODELS = sorted(REQUESTS)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    flags = (f"--rest_api_timeout_in_ms={1000 * BODY_SECONDS:.0f}",)
    with served_models.running(tmp_path_factory.mktemp("models"), *flags) as running:
        yield running


@pytest.fixture(scope="module")
def client(server):
    with Client(server.address) as client:
        yield client


@pytest.fixture(scope="module")
def answers(client):
    """Ids that valid requests retrieve."""
    return {
        model: client.predict(model, inputs, SIGNATURE)["ids"]
        for model, inputs in REQUESTS.items()
    }


@pytest.fixture(autouse=True)
def server_lives(server, client, answers):
    """After each test both models answer as before, and no process was replaced."""
    before = set(memory.processes(server.process.pid))
    yield
    for model, inputs in REQUESTS.items():
        found = client.predict(model, inputs, SIGNATURE)["ids"]
        np.testing.assert_array_equal(found, answers[model])
    assert set(memory.processes(server.process.pid)) == before


def post(server, path, content, **options):
    return httpx.post(f"{server.rest_address}{path}", content=content, **options)


def document(model, **changes):
    """A valid REST body, with inputs changed; None leaves one out."""
    inputs = {name: value.tolist() for name, value in REQUESTS[model].items()}
    inputs = {k: v for k, v in {**inputs, **changes}.items() if v is not None}
    return json.dumps({"signature_name": SIGNATURE, "inputs": inputs})


@pytest.mark.parametrize("model", MODELS)
def test_valid_requests(server, answers, model):
    response = post(server, f"/v1/models/{model}:predict", document(model))
    assert response.status_code == 200, response.text
    assert response.json()["outputs"]["ids"] == answers[model].tolist()
    assert (answers[model] > 0).all()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ({"model": "nope"}, "NOT_FOUND", r"Servable not found.*Latest\(nope\)"),
        ({"version": 99}, "NOT_FOUND", r"Servable not found.*Specific\(nann, 99\)"),
        ({"version": -1}, "NOT_FOUND", r"Servable not found.*Specific\(nann, -1\)"),
        ({"label": "canary"}, "INVALID_ARGUMENT", "version label: canary"),
        ({"model": ""}, "INVALID_ARGUMENT", "name"),
        ({"model": "../nann"}, "NOT_FOUND", r"Servable not found.*\.\./nann"),
        ({"signature": "rank"}, "FAILED_PRECONDITION", '"rank" not found'),
    ],
)
def test_who_is_asked(client, arguments, code, message):
    arguments = {"model": "nann", "signature": SIGNATURE, **arguments}
    with pytest.raises(ServingError, match=message) as error:
        client.predict(inputs=REQUESTS["nann"], **arguments)
    assert error.value.code.name == code


@pytest.mark.parametrize(
    ("model", "changes", "message"),
    [
        ("nann", {"k": None}, "Missing but required: {k}"),
        ("nann", {"history": None}, "Missing but required: {history}"),
        ("nann", {"extra": np.array(1)}, "Sent extra: {extra}"),
        ("nann", {"history": np.array([[1.0]])}, "`history` must be int64.*float64"),
        ("nann", {"history": np.array([["a"]])}, "`history` must be int64.*string"),
        ("nann", {"history": np.array([1])}, r"`history` must have.*\[1\]"),
        ("nann", {"k": np.array([1], np.int32)}, r"`k` must have the shape"),
        ("nann", {"k": np.array(0, np.int32)}, "`k` must be at least 1"),
        ("nann", {"k": np.array(-(2**31), np.int32)}, "`k` must be at least 1"),
        ("pdn", {"history_rating": np.zeros([1, 9], np.float32)}, "of .*`history`"),
        ("pdn", {"user": np.array([1, 2])}, "`user` must"),
    ],
)
def test_inputs(client, model, changes, message):
    inputs = {**REQUESTS[model], **changes}
    inputs = {name: value for name, value in inputs.items() if value is not None}
    with pytest.raises(ServingError, match=message) as error:
        client.predict(model, inputs, SIGNATURE)
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("model", MODELS)
def test_ids_out_of_range_are_unknown(client, model):
    strange = np.array([[-(2**63), 7, 2**63 - 1, 0]])
    alone = {"history": np.array([[-1, 7, -1, -1]])}
    inputs = REQUESTS[model]
    found = client.predict(model, {**inputs, "history": strange}, SIGNATURE)
    expected = client.predict(model, {**inputs, **alone}, SIGNATURE)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, name)


def test_values_that_training_never_had_are_unknown(client):
    inputs = REQUESTS["pdn"]
    rating = np.array([[np.nan, np.inf, -np.inf, 4]], np.float32)
    unknown = np.where(np.isfinite(rating), rating, 77).astype(np.float32)
    found, expected = (
        client.predict("pdn", {**inputs, "history_rating": values}, SIGNATURE)
        for values in (rating, unknown)
    )
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, name)


def test_more_than_there_is(client):
    """A small message must not take gigabytes."""
    for model in MODELS:
        inputs = {**REQUESTS[model], "k": np.array(2**31 - 1, np.int32)}
        with pytest.raises(ServingError, match="`k` times .* must be at most") as error:
            client.predict(model, inputs, SIGNATURE, timeout=60)
        assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_body_of_100_megabytes(server, client):
    inputs = {**REQUESTS["nann"], "history": np.zeros([1, 100 << 17], np.int64)}
    with pytest.raises(ServingError, match="larger than max") as error:
        client.predict("nann", inputs, SIGNATURE, timeout=60)
    assert error.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    response = post(server, "/v1/models/nann:predict", b" " * (100 << 20), timeout=60)
    assert response.status_code == 413
    assert "at most 67108864 bytes" in response.json()["error"]


@pytest.mark.parametrize("length", [1, 5, -30, -1])
@pytest.mark.parametrize("model", MODELS)
def test_a_truncated_message(server, model, length):
    whole = predict_request(model, REQUESTS[model], SIGNATURE).SerializeToString()
    channel = ChannelConfig(server.address).open()
    with channel, pytest.raises(grpc.RpcError) as error:
        channel.unary_unary(PREDICT)(whole[:length], timeout=60)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "pars" in error.value.details()


@pytest.mark.parametrize(
    ("model", "body", "message"),
    [
        ("nann", b"", "The document is empty"),
        ("nann", b"{", "JSON Parse error"),
        ("nann", b"\xff\xfe{}", "JSON Parse error"),
        ("nann", b"[1]", "Is not object"),
        ("nann", b"{}", "serving_default.* not found"),
        ("nann", b'{"signature_name": "retrieve"}', "instances"),
        ("nann", b'{"inputs": ' + b"[" * 100_000, "JSON Parse error"),
        ("nann", document("nann", k=None), r"\bk\b"),
        ("nann", document("nann", k=1.5), "int32"),
        ("nann", document("nann", k="a"), "int32"),
        ("nann", document("nann", k=2**40), "int32"),
        ("nann", document("nann", k=0), "`k` must be at least 1"),
        ("nann", document("nann", history=[[1], [2, 3]]), "unexpected size: 2"),
        ("nann", json.dumps({"signature_name": "rank", "inputs": {}}), "rank"),
        ("pdn", document("pdn", history_rating=[[float("nan")]]), "`history`"),
    ],
)
def test_json(server, model, body, message):
    response = post(server, f"/v1/models/{model}:predict", body)
    assert response.status_code == 400, response.text
    assert list(response.json()) == ["error"]
    assert re.search(message, response.json()["error"]), response.text


def test_rest_leaves_out_inputs_that_the_signature_has_not(server, answers):
    response = post(server, "/v1/models/nann:predict", document("nann", extra=1))
    assert response.json()["outputs"]["ids"] == answers["nann"].tolist()


def test_slow_clients_hold_nobody_up(server, client):
    """20 clients send a byte and stop; others are served; the slow are let go."""
    head = "POST /v1/models/nann:predict HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n"
    slow = []
    try:
        for _ in range(20):
            slow.append(socket.create_connection(("127.0.0.1", server.rest_port)))
            slow[-1].settimeout(60)
            slow[-1].sendall(f"{head}\r\n{{".encode())
        response = post(server, "/v1/models/nann:predict", document("nann"))
        assert response.status_code == 200
        client.predict("nann", REQUESTS["nann"], SIGNATURE)
        for connection in slow:
            answer = connection.makefile("rb").read()  # to the end: it hangs up
            assert answer.startswith(b"HTTP/1.1 408"), answer
            assert b"within 2 s" in answer
    finally:
        for connection in slow:
            connection.close()


def test_memory_stays_as_it_is(server, client):
    """Every kind of bad request, many times."""
    bad = [
        {**REQUESTS["pdn"], "history": np.array([1])},
        {**REQUESTS["pdn"], "k": np.array(0, np.int32)},
        {**REQUESTS["pdn"], "history": np.zeros([1, 100_000], np.float32)},
    ]
    large = document("pdn", history=[[1.5] * 100_000])

    def ask(times):
        for _ in range(times):
            for inputs in bad:
                with pytest.raises(ServingError):
                    client.predict("pdn", inputs, SIGNATURE)
            assert post(server, "/v1/models/pdn:predict", large).status_code == 400

    ask(100)
    before = memory.total(server.process.pid)
    ask(300)
    assert memory.total(server.process.pid) < before * (1 + MAX_GROWTH)
