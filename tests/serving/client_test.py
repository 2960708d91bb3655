"""Both clients, over the official services: values, tries, deadlines, waiting, TLS."""

import asyncio
import dataclasses
import subprocess
import sys
import threading
from concurrent import futures

import numpy as np
import pytest

from tests.serving import echo_server
from tests.serving.echo_server import MODEL, VERSION, status
from tfrec.serving import AsyncClient, Client
from tfrec.serving.apis import grpc
from tfrec.serving.channels import Retries, Tls
from tfrec.serving.client_calls import TensorInfo
from tfrec.serving.errors import ServingError

X = {"x": np.arange(3, dtype=np.float32)}
QUICK = Retries(initial_backoff=0.01, max_backoff=0.02)
UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "the queue is full")


@pytest.fixture
def server():
    with echo_server.running() as running:
        yield running


@pytest.fixture(params=[Client, AsyncClient])
def call(request):
    """A function: address, name of a method, its arguments -> what it returns."""

    async def call_async(address, options, method, *args, **kwargs):
        async with AsyncClient(address, **options) as client:
            return await getattr(client, method)(*args, **kwargs)

    def call(address, method, *args, options=None, **kwargs):
        options = {"retries": QUICK, **(options or {})}
        if request.param is AsyncClient:
            return asyncio.run(call_async(address, options, method, *args, **kwargs))
        with Client(address, **options) as client:
            return getattr(client, method)(*args, **kwargs)

    return call


def test_arrays_of_every_type(server, call):
    sent = {
        "float32": np.array([[1.5, np.nan], [-np.inf, 0]], np.float32),
        "float16": np.arange(4, dtype=np.float16),
        "float64": np.array(1e300),
        "int64": np.arange(12).reshape(3, 4)[:, ::2],
        "uint8": np.arange(3, dtype=np.uint8),
        "bool": np.array([True, False]),
        "none": np.zeros((0, 5), np.int32),
        "bytes": np.array([b"\xff\x00", b""], object),
    }
    found = call(server.address, "predict", MODEL, sent)
    assert set(found) == set(sent)
    for name, array in sent.items():
        assert found[name].dtype == array.dtype, name
        np.testing.assert_array_equal(found[name], array, name)


def test_what_is_no_array_becomes_what_tensorflow_makes_of_it(server, call):
    values = {"number": 3, "list": [1.5, 2], "text": np.array(["é"]), "empty": []}
    found = call(server.address, "predict", MODEL, values)
    assert (found["number"].dtype, found["number"].shape) == (np.int32, ())
    assert found["list"].dtype == found["empty"].dtype == np.float32
    assert found["text"].tolist() == ["é".encode()]


@pytest.mark.parametrize(
    "value", [object(), {"a": 1}, [[1], [2, 3]], np.array(1, "O"), np.array(1, "g")]
)
def test_what_no_tensor_can_hold(server, call, value):
    with pytest.raises(ValueError, match=r"`inputs\['x'\]` must be an array"):
        call(server.address, "predict", MODEL, {"x": value})
    assert server.requests == []


def test_the_model_that_is_asked(server, call):
    call(server.address, "predict", MODEL, X, "retrieve", version=3)
    call(server.address, "predict", MODEL, X, label="canary")
    call(server.address, "predict", MODEL, X)
    first, second, third = (request.model_spec for request in server.requests)
    assert (first.name, first.signature_name) == (MODEL, "retrieve")
    assert first.version.value == 3
    assert (second.version_label, second.HasField("version")) == ("canary", False)
    assert second.signature_name == "serving_default"
    assert third.WhichOneof("version_choice") is None


@pytest.mark.parametrize("method", ["predict", "metadata", "status"])
def test_version_and_label_exclude_each_other(server, call, method):
    arguments = (MODEL, X) if method == "predict" else (MODEL,)
    with pytest.raises(ValueError, match="version=3, label='canary'"):
        call(server.address, method, *arguments, version=3, label="canary")
    assert server.requests == []


@pytest.mark.parametrize("num_floats", [3, 10**6])  # gRPC's own buffer is 256 KiB
@pytest.mark.parametrize("method", ["predict", "metadata", "status"])
def test_unavailable_is_tried_again(server, call, method, num_floats):
    server.failures = [UNAVAILABLE] * 2
    inputs = {"x": np.zeros(num_floats, np.float32)}
    call(server.address, method, MODEL, *([inputs] if method == "predict" else []))
    assert len(server.requests) == 3
    assert server.requests[0] == server.requests[2]


@pytest.mark.parametrize("attempts", [1, 3, 5])
def test_tries_end(server, call, attempts):
    server.failures = [UNAVAILABLE] * 9
    retries = dataclasses.replace(QUICK, attempts=attempts)
    with pytest.raises(ServingError) as error:
        call(server.address, "predict", MODEL, X, options={"retries": retries})
    assert error.value.code is grpc.StatusCode.UNAVAILABLE
    assert str(error.value) == "UNAVAILABLE: the queue is full"
    assert len(server.requests) == attempts


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attempts": 0}, "`attempts` must be from 1 to 5. Received: 0"),
        ({"attempts": 6}, "`attempts` must be from 1 to 5. Received: 6"),
        ({"initial_backoff": 0.001}, "`initial_backoff` must be at least 0.01.*0.001"),
    ],
)
def test_limits_of_retries(options, message):
    with pytest.raises(ValueError, match=message):
        Retries(**options)


@pytest.mark.parametrize(
    "code",
    [
        *("INVALID_ARGUMENT", "NOT_FOUND", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"),
        *("FAILED_PRECONDITION", "UNIMPLEMENTED", "INTERNAL", "UNKNOWN", "CANCELLED"),
    ],
)
def test_every_other_code_is_final(server, call, code):
    server.failures = [(grpc.StatusCode[code], "what is wrong")]
    with pytest.raises(ServingError, match=f"{code}: what is wrong") as error:
        call(server.address, "predict", MODEL, X)
    assert error.value.code is grpc.StatusCode[code]
    assert len(server.requests) == 1


def test_all_tries_share_one_deadline(server, call):
    server.failures = [UNAVAILABLE] * 9
    patient = {"retries": Retries(initial_backoff=600.0, max_backoff=600.0)}
    with pytest.raises(ServingError) as error:
        call(server.address, "predict", MODEL, X, timeout=0.5, options=patient)
    assert error.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert f"({server.address} had 0.5 s)" in error.value.message
    assert len(server.requests) == 1


def test_a_server_that_does_not_answer(server, call):
    released = threading.Event()
    server.before_answer = lambda: released.wait(60)
    try:
        with pytest.raises(ServingError, match="had 0.2 s") as error:
            call(server.address, "predict", MODEL, X, timeout=0.2)
    finally:
        released.set()
    assert error.value.code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert len(server.requests) == 1


def test_nobody_there(call):
    address = f"127.0.0.1:{echo_server.free_port()}"
    with pytest.raises(ServingError, match="UNAVAILABLE: .*efused"):
        call(address, "predict", MODEL, X)


@pytest.mark.parametrize("limit", [1000, 3000])
def test_message_limit(server, call, limit):
    options = {"max_message_bytes": limit}
    inputs = {"x": np.zeros(2000, np.uint8)}
    if limit > 2000:
        assert call(server.address, "predict", MODEL, inputs, options=options)
        return
    with pytest.raises(ServingError, match="RESOURCE_EXHAUSTED.*larger than max"):
        call(server.address, "predict", MODEL, inputs, options=options)
    assert server.requests == []


def test_metadata(server, call):
    found = call(server.address, "metadata", MODEL)
    assert (found.name, found.version) == (MODEL, VERSION)
    assert set(found.signatures) == {"retrieve"}
    retrieve = found.signatures["retrieve"]
    assert retrieve.method == "tensorflow/serving/predict"
    assert retrieve.inputs == {
        "anything": TensorInfo(np.dtype("float32"), None),
        "history": TensorInfo(np.dtype("int64"), (None, None)),
        "history_rating": TensorInfo(np.dtype("float32"), (None, None)),
        "k": TensorInfo(np.dtype("int32"), ()),
        "user_gender": TensorInfo(np.dtype(object), (None,)),
    }
    assert set(retrieve.outputs) == {"ids"}


def test_status(server, call):
    server.statuses = [
        [status(12, "LOADING"), status(7, "AVAILABLE"), status(8, "END", 3, "broken")]
    ]
    found = call(server.address, "status", MODEL, label="stable")
    assert [str(entry) for entry in found] == [
        "version 7 is AVAILABLE",
        "version 8 is END (INVALID_ARGUMENT: broken)",
        "version 12 is LOADING",
    ]
    assert server.requests[0].model_spec.version_label == "stable"


def test_waiting_goes_on_until_a_version_is_available(server, call):
    server.failures = [(grpc.StatusCode.NOT_FOUND, "no such model")]
    server.statuses = [
        [status(1, "LOADING")],
        [status(1, "END", 13, "crashed"), status(2, "LOADING")],
        [status(1, "END", 13, "crashed"), status(2, "AVAILABLE")],
    ]
    assert call(server.address, "wait_until_ready", MODEL) == 2
    assert len(server.requests) == 4


def test_waiting_ends_when_all_have_failed(server, call):
    server.statuses = [[status(4, "END", 3, "an op is missing")]]
    with pytest.raises(ServingError, match="`echo` version 4 failed: an op") as error:
        call(server.address, "wait_until_ready", MODEL, version=4)
    assert error.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_waiting_ends_at_the_deadline(server, call):
    server.statuses = [[status(4, "LOADING")]]
    with pytest.raises(ServingError, match="within 0.3 s. Received: version 4 is LOAD"):
        call(server.address, "wait_until_ready", MODEL, timeout=0.3)


def test_waiting_for_a_server_that_starts_later(call):
    port = echo_server.free_port()
    with futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(call, f"127.0.0.1:{port}", "wait_until_ready", MODEL)
        with pytest.raises(ServingError, match="UNAVAILABLE"):
            call(f"127.0.0.1:{port}", "status", MODEL)
        with echo_server.running(port):
            assert waiting.result(60) == VERSION


def test_tls(tmp_path, call):
    for name in ("ours", "another"):
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes"),
                *("-subj", "/CN=server", "-addext", "subjectAltName=DNS:server"),
                *(
                    "-keyout",
                    tmp_path / f"{name}.key",
                    "-out",
                    tmp_path / f"{name}.pem",
                ),
            ],
            check=True,
            capture_output=True,
        )
    key, chain = ((tmp_path / f"ours.{part}").read_bytes() for part in ("key", "pem"))
    credentials = grpc.ssl_server_credentials([(key, chain)])
    options = {
        name: {"tls": Tls(tmp_path / f"{name}.pem", server_name="server")}
        for name in ("ours", "another")
    }
    with echo_server.running(credentials=credentials) as server:
        found = call(server.address, "predict", MODEL, X, options=options["ours"])
        np.testing.assert_array_equal(found["x"], X["x"])
        for wrong in (options["another"], {}):
            with pytest.raises(ServingError, match="UNAVAILABLE"):
                call(server.address, "predict", MODEL, X, options=wrong)
    assert len(server.requests) == 1


def test_threads_share_a_client(server):
    together = threading.Barrier(8)
    server.before_answer = lambda: together.wait(60)
    with Client(server.address) as client, futures.ThreadPoolExecutor(8) as pool:
        sent = [np.full(5, number, np.int64) for number in range(16)]
        found = pool.map(lambda x: client.predict(MODEL, {"x": x}, timeout=60), sent)
        for x, answer in zip(sent, found, strict=True):
            np.testing.assert_array_equal(answer["x"], x)


def test_coroutines_are_in_flight_together(server):
    together = threading.Barrier(8)
    server.before_answer = lambda: together.wait(60)

    async def ask():
        async with AsyncClient(server.address) as client:
            calls = [client.predict(MODEL, {"x": n}, timeout=60) for n in range(8)]
            return await asyncio.gather(*calls)

    assert [answer["x"].item() for answer in asyncio.run(ask())] == list(range(8))


def test_the_package_alone_imports_neither_grpc_nor_tensorflow():
    code = """
import sys, tfrec.serving
assert not {"grpc", "tensorflow"} & set(sys.modules)
assert tfrec.serving.Client.__name__ == "Client" and "grpc" in sys.modules
try:
    tfrec.serving.Server
except AttributeError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "module 'tfrec.serving' has no attribute 'Server'\n"
