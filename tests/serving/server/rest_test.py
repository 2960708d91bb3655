"""TensorFlow Serving's REST paths: its documentation's examples, and refusals."""

import asyncio
import json
import pathlib
import random
from collections.abc import Iterator

import httpx
import pytest

from tests.serving import half_plus_two
from tests.serving.server import fakes, running
from tests.serving.server.in_process import (
    InProcessCore,
    ask,
    error,
    get,
    made_app,
    ok,
    post,
    request,
)
from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError
from tfrec.serving.servable import Servable
from tfrec.serving.server import rest, rest_answers

THREE = "/v1/models/saved_model_half_plus_three"
TWO = "/v1/models/half_plus_two"
UNKNOWN = "Servable not found for request"


LABELS = {"stable": 1, "canary/new": 2}


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> pathlib.Path:
    """Half plus three, version 123, and half plus two, versions 1 and 2 (y = x + 2)."""
    root = tmp_path_factory.mktemp("models")
    half_plus_two.write(root / "saved_model_half_plus_three", 123, b=3.0)
    half_plus_two.write(root / "half_plus_two", 1)
    half_plus_two.write(root / "half_plus_two", 2, a=1.0)
    return root


@pytest.fixture(scope="module")
def core(root) -> InProcessCore:
    """The models in this process."""
    models = {
        model.name: {
            int(path.name): Servable(path, model.name, int(path.name))
            for path in model.iterdir()
        }
        for model in root.iterdir()
    }
    return InProcessCore(models=models, labels={"half_plus_two": LABELS})


@pytest.fixture(scope="module")
def address(root, tmp_path_factory) -> Iterator[str]:
    """A server of the models."""
    config = fakes.config_of(*sorted(root.iterdir()))
    for model in config.model_config_list.config:
        model.model_version_policy.all.SetInParent()
    config.model_config_list.config[0].version_labels.update(LABELS)
    folder = tmp_path_factory.mktemp("server")
    (folder / "models.config").write_text(str(config))
    flags = (
        f"--model_config_file={folder / 'models.config'}",
        "--allow_version_labels_for_unavailable_models",
    )
    with running.running(folder, *flags, rest=True) as server:
        yield server.rest_address


@pytest.fixture(params=["core", "address"])
def documented(request) -> InProcessCore | str:
    """The same in this process and over HTTP."""
    return request.getfixturevalue(request.param)


def test_documented_status(documented):
    assert ok(get(documented, THREE)) == json.loads(
        """{
         "model_version_status": [
          {
           "version": "123",
           "state": "AVAILABLE",
           "status": {
            "error_code": "OK",
            "error_message": ""
           }
          }
         ]
        }"""
    )


def test_documented_predict(documented):
    answer = post(documented, f"{THREE}:predict", '{"instances": [1.0,2.0,5.0]}')
    assert ok(answer) == json.loads(
        """{
            "predictions": [3.5, 4.0, 5.5]
        }"""
    )


def test_documented_regress(documented):
    body = """{"signature_name": "tensorflow/serving/regress",
               "examples": [{"x": 1.0}, {"x": 2.0}]}"""
    answer = post(documented, f"{THREE}:regress", body)
    assert ok(answer) == json.loads(
        """{
            "results": [3.5, 4.0]
        }"""
    )


def test_documented_error(documented):
    answer = post(documented, "/v1/models/half:predict", '{"instances": [1.0,5.0]}')
    message = '{ "error": "Servable not found for request: Latest(half)" }'
    assert error(answer) == (404, json.loads(message)["error"])


def test_predict_in_rows_and_columns(documented):
    for body, expected in (
        ('{"instances": [1.0, 2.0]}', {"predictions": [3.0, 4.0]}),
        ('{"instances": [{"x": 1}, {"x": 2}]}', {"predictions": [3.0, 4.0]}),
        ('{"inputs": [1.0, 2.0]}', {"outputs": [3.0, 4.0]}),
        ('{"inputs": {"x": [1.0, 2.0]}}', {"outputs": [3.0, 4.0]}),
        (
            '{"signature_name": "serving_default", "inputs": [3.0]}',
            {"outputs": [5.0]},
        ),
    ):
        assert ok(post(documented, f"{TWO}:predict", body)) == expected


@pytest.mark.parametrize(
    ("path", "y"),
    [
        ("", 12.0),
        ("/versions/1", 7.0),
        ("/versions/0002", 12.0),
        ("/labels/stable", 7.0),
        ("/labels/canary%2Fnew", 12.0),
    ],
)
def test_versions_and_labels(documented, path, y):
    url = f"{TWO}{path}"
    assert ok(post(documented, f"{url}:predict", '{"inputs": [10]}')) == {
        "outputs": [y]
    }
    body = '{"signature_name": "regress_x_to_y", "examples": [{"x": 10.0}]}'
    assert ok(post(documented, f"{url}:regress", body)) == {"results": [y]}
    body = '{"signature_name": "classify_x_to_y", "examples": [{"x": 10.0}]}'
    assert ok(post(documented, f"{url}:classify", body)) == {"results": [[["", y]]]}
    versions = {12.0: "2", 7.0: "1"}
    metadata = ok(get(documented, f"{url}/metadata"))
    assert metadata["model_spec"]["version"] == versions[y]
    states = ok(get(documented, url))["model_version_status"]
    shown = [state["version"] for state in states]
    assert shown == ([versions[y]] if path else ["2", "1"])


def test_examples_with_context(documented):
    body = """{"signature_name": "regress_x_to_y2", "context": {"x": 10.0},
               "examples": [{"other": 1}, {"x": []}]}"""
    answer = ok(post(documented, f"{TWO}/versions/1:regress", body))
    assert answer == {"results": [8.0, 8.0]}


def test_metadata(documented):
    content = ok(get(documented, f"{THREE}/metadata"))
    assert content["model_spec"] == {
        "name": "saved_model_half_plus_three",
        "signature_name": "",
        "version": "123",
    }
    signatures = content["metadata"]["signature_def"]["signature_def"]
    assert set(half_plus_two.METHODS) <= set(signatures)
    predict = signatures["serving_default"]
    assert predict["method_name"] == "tensorflow/serving/predict"
    assert predict["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert predict["inputs"]["x"]["tensor_shape"] == {
        "dim": [{"size": "-1", "name": ""}],
        "unknown_rank": False,
    }


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/foo"),
        ("POST", "/v1/foo"),
        ("POST", "/v1/models"),
        ("GET", "/v1/models/m:predict"),
        ("POST", "/v1/models/m:PREDICT"),
        ("POST", "/v1/models/m:predict?x=1"),
        ("POST", "/v1/models/m/metadata"),
        ("PUT", "/v1/models/m"),
        ("DELETE", "/v1/models/m"),
        ("POST", "/v1/models/m/version/50:regress"),
        ("POST", "/v1/models/m/versions/HELLO:regress"),
        ("POST", "/v1/models/m/versions/5/labels/a:regress"),
    ],
)
def test_malformed_requests(documented, method, target):
    answer = request(documented, method, target)
    assert error(answer) == (400, f"Malformed request: {method} {target}")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/models", (400, "Missing model name in request.")),
        ("/v1/models/m", (404, "Could not find any versions of model m")),
        ("/v1/models/m/metadata", (404, f"{UNKNOWN}: Latest(m)")),
        (f"{TWO}/versions/7", (404, "Could not find version 7 of model half_plus_two")),
        (f"{TWO}/versions/7/metadata", (404, f"{UNKNOWN}: Specific(half_plus_two, 7)")),
        (f"{TWO}/labels/old", (400, "Unrecognized servable version label: old")),
        ("/v1/models/a%2Fb%21", (404, "Could not find any versions of model a/b!")),
        ("/", (404, "Not Found")),
        ("/v2/models/m", (404, "Not Found")),
    ],
)
def test_refused_paths(documented, path, expected):
    assert error(get(documented, path)) == expected


@pytest.mark.parametrize("version", ["9223372036854775808", "9" * 5_000])
def test_versions_that_are_too_large(documented, version):
    said = 400, f"Failed to convert version: {version} to numeric."
    assert error(get(documented, f"{TWO}/versions/{version}")) == said
    assert error(post(documented, f"{TWO}/versions/{version}:predict", "{}")) == said


def test_paths_match_in_any_case(documented):
    assert "model_version_status" in ok(get(documented, f"/V1/Models{TWO[10:]}"))


def test_refused_predict(documented):
    def refused(path, body):
        return error(post(documented, path, body))

    predict = f"{TWO}:predict"
    code, message = refused(predict, '{"instances": ["a"]}')
    assert (code, message.endswith("is not of expected type: float")) == (400, True)
    assert refused(predict, "") == (400, "JSON Parse error: The document is empty")
    assert refused("/v1/models/m:predict", "")[0] == 400
    assert refused("/v1/models/m:predict", "{}")[0] == 404
    assert refused(f"{TWO}/versions/9:predict", "{}") == (
        404,
        "Servable not found for request: Specific(half_plus_two, 9)",
    )
    assert refused(f"{TWO}/labels/old:predict", "{}") == (
        400,
        "Unrecognized servable version label: old",
    )
    assert refused(predict, '{"signature_name": "s", "instances": [1]}') == (
        400,
        'Serving signature name: "s" not found in signature def',
    )
    assert refused(f"{TWO}:regress", '{"examples": []}')[0] == 400
    assert refused(f"{TWO}:classify", '{"examples": [{"y": 1}]}')[0] == 400
    assert refused(predict, '{"instances": [[1, 2]]}')[0] == 400


@pytest.mark.parametrize("code", grpc.StatusCode)
def test_statuses(code):
    class Failing(InProcessCore):
        async def forward(self, method, spec, payload, timeout):
            raise ServingError(code, 'a "message" \udcff')

    if code == grpc.StatusCode.OK:
        return
    body = '{"examples": [{}]}'
    status, message = error(post(Failing(), "/v1/models/m:regress", body))
    assert status == rest_answers.HTTP_STATUS[code]
    assert message == 'a "message" ?'


def test_defects_are_answered_in_json():
    class Defective(InProcessCore):
        def status(self, spec):
            raise KeyError("unforeseen")

    answer = ask(made_app(Defective()), "GET", "/v1/models/m", raises=False)
    assert error(answer) == (500, "Internal error")


def test_metrics(address):
    model = "half_plus_two"
    line = f':tensorflow:serving:request_count{{model_name="{model}",status="OK"}} '

    def count() -> float:
        answer = get(address, rest.METRICS_PATH)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain")
        found = [v for v in answer.text.splitlines() if v.startswith(line)]
        return float(found[0].removeprefix(line)) if found else 0.0

    before = count()
    ok(post(address, f"{TWO}:predict", '{"inputs": [1.0]}'))
    assert count() == before + 1


def test_metrics_of_a_server_that_has_none(core):
    assert error(get(core, rest.METRICS_PATH)) == (404, "Not Found")


def mutated(body: bytes, seeded: random.Random) -> bytes:
    """A body with some bytes, or pieces, taken out, put in, doubled or replaced."""
    pieces = [b"[", b"]", b"{", b"}", b",", b"null", b"NaN", b"1e999", b'"\\ud800"']
    pieces += [b"\xff", b"\x00", b"9" * 400, b'{"b64": "?"}', b"true", b"-", b"{}"]
    for _ in range(seeded.randrange(1, 4)):
        start = seeded.randrange(len(body) + 1)
        end = min(len(body), start + seeded.choice([0, 1, 1, 5]))
        piece = seeded.choice([b"", seeded.choice(pieces), body[start:end] * 2])
        body = body[:start] + piece + body[end:]
    return body


def test_mutated_requests_are_answered_and_nothing_fails(core):
    seeded = random.Random(11)
    bodies = {
        "predict": b'{"signature_name": "serving_default", "instances": [{"x": 1.5}]}',
        "regress": b'{"signature_name": "regress_x_to_y", "examples": [{"x": 1.5}]}',
        "classify": b'{"signature_name": "classify_x_to_y", "context": {"x": [2.5]},'
        b' "examples": [{"y": "a"}, {"z": [{"b64": "aGk="}]}]}',
    }

    async def asked() -> list[int]:
        app = httpx.ASGITransport(made_app(core))
        async with httpx.AsyncClient(transport=app, base_url="http://a") as client:
            statuses = []
            for _ in range(1_500):
                method, body = seeded.choice(list(bodies.items()))
                body = mutated(body, seeded)
                answer = await client.post(f"{TWO}:{method}", content=body)
                statuses.append(answer.status_code)
                assert ("error" in answer.text) == (answer.status_code != 200)
            return statuses

    statuses = asyncio.run(asked())
    assert {200, 400} <= set(statuses) <= {200, 400, 404, 501}
    assert statuses.count(200) > 50
