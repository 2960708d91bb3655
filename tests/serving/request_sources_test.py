"""Requests from JSON, from logs, and at random."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.serving import echo_server
from tests.serving.echo_server import MODEL
from tfrec.serving import Client, warmup
from tfrec.serving.apis import model_pb2, prediction_log_pb2
from tfrec.serving.client_calls import model_spec
from tfrec.serving.load import request_sources

SPEC = model_spec(MODEL, version=3, signature="retrieve")
INPUTS = {
    "anything": [1, 2.5],
    "history": [[1, 2], [3, 10**12]],
    "history_rating": [[1.0, 2.0], [3.0, 4.0]],
    "k": 5,
    "user_gender": ["M", "é"],
}


@pytest.fixture(scope="module")
def signatures():
    with echo_server.running() as server, Client(server.address) as client:
        return client.metadata(MODEL).signatures


def arrays(request):
    return {name: tf.make_ndarray(value) for name, value in request.inputs.items()}


def test_json(tmp_path, signatures):
    path = tmp_path / "requests.json"
    other = {"inputs": {**INPUTS, "k": 6}, "signature_name": "retrieve"}
    path.write_text(json.dumps([{"inputs": INPUTS}, other]))
    spec = model_spec(MODEL, version=3, signature="retrieve")
    first, second = request_sources.from_json(path, spec, signatures)
    assert first.model_spec == second.model_spec == SPEC
    found = arrays(first)
    dtypes = {name: str(array.dtype) for name, array in found.items()}
    assert dtypes == {
        "anything": "float32",
        "history": "int64",
        "history_rating": "float32",
        "k": "int32",
        "user_gender": "object",
    }
    np.testing.assert_array_equal(found["history"], INPUTS["history"])
    assert found["user_gender"].tolist() == [b"M", "é".encode()]
    assert (found["k"], arrays(second)["k"]) == (5, 6)
    path.write_text(json.dumps({"inputs": INPUTS}))
    assert request_sources.from_json(path, spec, signatures) == [first]


def test_json_in_rows(tmp_path, signatures):
    rows = [{**INPUTS, "k": [k]} for k in (1, 2)]
    path = tmp_path / "requests.json"
    path.write_text(json.dumps({"instances": rows}))
    (found,) = request_sources.from_json(path, SPEC, signatures)
    assert arrays(found)["k"].tolist() == [[1], [2]]
    assert arrays(found)["history"].shape == (2, 2, 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "requests.json` must be JSON"),
        ("[3]", "Request 0 of .*requests.json` must fit the model: .*Is not object"),
        ('[{"inputs": []}]', "Request 0 of"),
        ('{"inputs": {"k": 1}}', "Missing named input"),
        ('{"inputs": {}, "signature_name": "b"}', '"b" not found'),
        (
            json.dumps([{"inputs": INPUTS}, {"inputs": {**INPUTS, "k": 1.5}}]),
            "Request 1",
        ),
        (json.dumps({"inputs": {**INPUTS, "k": 2**40}}), "int32"),
        (json.dumps({"inputs": {**INPUTS, "history": [[1], [2, 3]]}}), "Request 0 of"),
    ],
)
def test_json_errors(tmp_path, signatures, content, message):
    path = tmp_path / "requests.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        request_sources.from_json(path, SPEC, signatures)


def test_logs(tmp_path):
    logged = warmup.predict_log("score", {"x": np.arange(3)}, "another")
    logged.predict_log.request.model_spec.version.value = 1
    other = prediction_log_pb2.PredictionLog()
    other.classify_log.request.model_spec.name = "another"
    with tf.io.TFRecordWriter(str(tmp_path / "log")) as writer:
        for record in (logged, other, logged):
            writer.write(record.SerializeToString())
    found = request_sources.from_logs([tmp_path], SPEC)
    assert len(found) == 2
    expected = model_pb2.ModelSpec()
    expected.CopyFrom(SPEC)
    expected.signature_name = "score"
    assert found[0].model_spec == expected
    np.testing.assert_array_equal(arrays(found[0])["x"], np.arange(3))


def test_random(signatures):
    found = request_sources.at_random(SPEC, signatures, 50, batch=2, most=9, seed=1)
    again = request_sources.at_random(SPEC, signatures, 50, batch=2, most=9, seed=1)
    assert found == again
    assert len({request.SerializeToString() for request in found}) == 50
    lengths = set()
    for request in found:
        assert request.model_spec == SPEC
        values = arrays(request)
        batch, length = values["history"].shape
        assert values["history_rating"].shape == (batch, length)
        assert values["user_gender"].shape == (batch,) == (2,)
        assert values["k"].shape == values["anything"].shape == ()
        assert values["history"].dtype == np.int64
        assert values["history"].min() >= 1
        assert 1 <= values["k"] <= 10
        assert all(len(text) == 5 for text in values["user_gender"])
        lengths.add(length)
    assert lengths == set(range(1, 10))


def test_random_of_an_unknown_signature(signatures):
    spec = model_spec(MODEL, signature="warmup")
    with pytest.raises(ValueError, match=r"one of \['retrieve'\]. Received: 'warmup'"):
        request_sources.at_random(spec, signatures, 1, 1, 1, 0)
