"""JSON text to values: what TensorFlow Serving takes, and what it refuses."""

import json
import math
import threading
import time

import pytest

from tests.serving.server.cases import cases
from tfrec.serving.errors import ServingError
from tfrec.serving.server import rest_json

REFUSED = r"""
instances = [1, 2]
  unexpected character, expected a JSON value at offset: 0
{"x": [1, 2}
  at offset: 11
{"x": [1, NaN}
  Expecting ',' delimiter at offset: 13
{"x": 1} 2
  at offset: 9
{"x": nan}
  at offset: 6
{"x": 1e400}
  number is infinity
{"x": [-1e400, NaN]}
  Number too big to be stored in double.
{"x": "\ud800"}
  surrogate
{"x": ["\ud800", NaN]}
  The surrogate pair in string is invalid.
{"x": "\q"}
  at offset: 7
"""


def refused(message: str):
    return pytest.raises(ServingError, match=f"^INVALID_ARGUMENT: {message}")


def test_documents():
    assert rest_json.parse(b'{"a": [1, 2.5, "\\u00e9", true, null]}') == {
        "a": [1, 2.5, "\u00e9", True, None]
    }
    assert rest_json.parse(b"\xef\xbb\xbf{}") == {}
    tokens = rest_json.parse(b'{"a": [Infinity, -Infinity, NaN, 3, "NaN"]}')["a"]
    assert tokens[:2] == [math.inf, -math.inf]
    assert math.isnan(tokens[2])
    assert tokens[3:] == [3, "NaN"]


@pytest.mark.parametrize("token", ["0", "NaN"])
def test_large_integers_become_floats(token):
    numbers = [2**64 - 1, -(2**63), 2**64, -(2**63) - 1, 10**30, 10**300]
    body = f'{{"x": [{", ".join(map(str, numbers))}, {token}]}}'
    values = rest_json.parse(body.encode())
    assert values["x"][:-1] == [*numbers[:2], *map(float, numbers[2:])]
    assert [type(value) for value in values["x"][:6]] == [int] * 2 + [float] * 4


@pytest.mark.parametrize(("body", "message"), cases(REFUSED))
def test_refused_text(body, message):
    with pytest.raises(ServingError) as caught:
        rest_json.parse(body.encode())
    assert caught.value.code.name == "INVALID_ARGUMENT"
    assert caught.value.message.startswith("JSON Parse error: ")
    assert message in caught.value.message


def test_empty_and_other_documents():
    for body in b"", b"\xef\xbb\xbf":
        with refused("JSON Parse error: The document is empty"):
            rest_json.parse(body)
    with refused(r"JSON Value: \[1, 2\] Is not object"):
        rest_json.parse(b"[1, 2]")
    with refused("JSON Value: NaN Is not object"):
        rest_json.parse(b"NaN")


@pytest.mark.parametrize("token", ["1", "NaN"])
def test_invalid_utf8_and_huge_numbers(token):
    for value in b'"\xff"', b"9" * 5_000, b"1" * 5_000 + b".5":
        with refused("JSON Parse error: "):
            rest_json.parse(b'{"x": [%s, %s]}' % (value, token.encode()))


@pytest.mark.parametrize("depth", [2_000, 1_000_000])
@pytest.mark.parametrize("token", ["1", "NaN"])
def test_deep_nesting(depth, token):
    with refused("JSON Parse error: .*(depth|nested)"):
        rest_json.parse(f'{{"x": {"[" * depth}{token}{"]" * depth}}}'.encode())


def test_messages_show_the_beginning_of_large_values():
    assert rest_json.shown({"a": [1, math.nan, "é"]}) == '{"a": [1, NaN, "\\u00e9"]}'
    for value in "x" * 100_000, list(range(100_000)), {"a": [[0] * 1_000] * 1_000}:
        assert rest_json.shown(value) == json.dumps(value)[:200] + "..."


def test_large_documents_with_tokens_let_other_threads_run():
    # CPython gives up its lock every 5 ms: a fast machine needs a document this long.
    body = json.dumps({"instances": [math.nan] + [1.5] * 1_500_000}).encode()
    is_parsed = threading.Event()
    turns = 0

    def parse():
        rest_json.parse(body)
        is_parsed.set()

    thread = threading.Thread(target=parse)
    start = time.monotonic()
    thread.start()
    while not is_parsed.wait(0.001):
        turns += 1
    elapsed = time.monotonic() - start
    thread.join()
    assert turns > 5
    assert turns > elapsed / 0.02
