"""The dtypes of a request are those of the version that answers it."""

import pytest
from tensorflow.core.framework import types_pb2

from tests.serving.server.in_process import (
    Echo,
    InProcessCore,
    ask,
    error,
    made_app,
    ok,
    post,
)
from tfrec.serving.server import rest_signatures

FLOAT, INT64, STRING = types_pb2.DT_FLOAT, types_pb2.DT_INT64, types_pb2.DT_STRING
PREDICT = "/v1/models/m:predict"


@pytest.fixture
def echo() -> InProcessCore:
    return InProcessCore({"m": {1: Echo("m", 1, x=INT64)}})


class Swapping(InProcessCore):
    """Has a new version of other types in place of the old one at a given call."""

    def __init__(self, at: str, calls: int = 1):
        super().__init__({"m": {1: Echo("m", 1, x=INT64)}})
        self.at, self.left = at, calls
        self.before = self.swap

    async def swap(self, method: str) -> None:
        if method == self.at:
            self.left -= 1
            if not self.left:
                self.models["m"] = {2: Echo("m", 2, x=FLOAT)}


@pytest.mark.parametrize("at", ["GetModelMetadata", "Predict"])
def test_latest_survives_a_switch_of_versions(at):
    core = Swapping(at)
    assert ok(post(core, PREDICT, '{"inputs": 7}')) == {"outputs": 7.0}
    assert core.calls[-1] == ("Predict", "m", 2)


def test_each_version_is_asked_for_its_types_once():
    core = Swapping("Predict", 4)
    app = made_app(core)
    for sent, expected in (("7", "7"),) * 3 + (
        ("7", "7.0"),
        ("8", "8.0"),
        ("9", "9.0"),
    ):
        answer = ask(app, "POST", PREDICT, content=f'{{"inputs": {sent}}}')
        assert answer.text == f'{{"outputs":{expected}}}'
    asked = [(name, version) for name, _, version in core.calls]
    assert asked == [
        ("GetModelMetadata", None),
        *[("Predict", 1)] * 4,
        ("GetModelMetadata", None),
        *[("Predict", 2)] * 3,
    ]


def test_labels_go_to_their_version():
    core = InProcessCore(
        {"m": {1: Echo("m", 1, x=INT64), 2: Echo("m", 2, x=FLOAT)}},
        {"m": {"stable": 1}},
    )
    answer = post(core, "/v1/models/m/labels/stable:predict", '{"inputs": 7}')
    assert answer.text == '{"outputs":7}'
    assert post(core, PREDICT, '{"inputs": 7}').text == '{"outputs":7.0}'


def test_a_version_that_became_another_model_is_asked_again(echo):
    app = made_app(echo)
    assert ok(ask(app, "POST", PREDICT, content='{"inputs": 7}')) == {"outputs": 7}
    for dtype, sent, expected in (
        (FLOAT, "7", "7.0"),
        (STRING, '"a"', '"a"'),
        (INT64, "7", "7"),
    ):
        echo.models["m"][1] = Echo("m", 1, x=dtype)
        for path in PREDICT, "/v1/models/m/versions/1:predict":
            answer = ask(app, "POST", path, content=f'{{"inputs": {sent}}}')
            assert answer.text == f'{{"outputs":{expected}}}'
    bad = ask(app, "POST", PREDICT, content='{"inputs": "a"}')
    assert error(bad)[1].endswith("is not of expected type: int64")


def test_a_version_that_is_gone_for_good(echo):
    app = made_app(echo)
    ask(app, "POST", PREDICT, content='{"inputs": 7}')

    async def remove(method):
        echo.models.pop("m", None)

    echo.before = remove
    answer = ask(app, "POST", PREDICT, content='{"inputs": 7}')
    assert error(answer) == (404, "Servable not found for request: Latest(m)")
    answer = ask(
        app, "POST", "/v1/models/m/versions/1:predict", content='{"inputs": 7}'
    )
    assert error(answer) == (404, "Servable not found for request: Specific(m, 1)")


def test_signatures_of_few_versions_are_kept(echo):
    versions = range(1, 2 * rest_signatures.MAX_VERSIONS)
    echo.models["m"] = {n: Echo("m", n, x=INT64) for n in versions}
    app = made_app(echo)
    for number in versions:
        url = f"/v1/models/m/versions/{number}:predict"
        assert ok(ask(app, "POST", url, content='{"inputs": 7}')) == {"outputs": 7}
    echo.calls.clear()
    for number in (versions[-1], versions[0]):
        url = f"/v1/models/m/versions/{number}:predict"
        ask(app, "POST", url, content='{"inputs": 7}')
    assert [name for name, *_ in echo.calls] == [
        "Predict",
        "GetModelMetadata",
        "Predict",
    ]
