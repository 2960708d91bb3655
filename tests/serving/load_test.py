"""The load generator: what it sends when, what it counts, what it writes."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from tests.serving import echo_server
from tests.serving.echo_server import MODEL, VERSION
from tfrec.serving.apis import grpc
from tfrec.serving.channels import NO_RETRIES, ChannelConfig
from tfrec.serving.client_calls import predict_request
from tfrec.serving.load import generator, plot, samples
from tfrec.serving.load.generator import LoadConfig
from tfrec.serving.load.samples import Samples

REQUESTS = [predict_request(MODEL, {"x": np.arange(n)}) for n in (1, 2, 3)]
UNAVAILABLE = (grpc.StatusCode.UNAVAILABLE, "busy")


@pytest.fixture
def server():
    with echo_server.running() as running:
        yield running


@pytest.fixture
def stop():
    return threading.Event()


def run(server, stop, **config):
    channel = ChannelConfig(server.address, retries=NO_RETRIES)
    return generator.run(channel, REQUESTS, LoadConfig(**config), stop)


@pytest.mark.parametrize("rate", [None, 400.0])
def test_all_requests_are_sent_and_counted(server, stop, rate):
    found = run(server, stop, clients=3, rate=rate, seconds=0.5, warmup_seconds=0.2)
    summary = found.summary()
    assert len(found) == len(server.requests) > summary["requests"] > 10
    assert summary["requests"] == summary["answered"]
    assert summary["versions"] == {str(VERSION): summary["answered"]}
    assert summary["seconds"] == 0.5
    assert summary["errors"] == {}
    shapes = {r.inputs["x"].tensor_shape.dim[0].size for r in server.requests}
    assert shapes == {1, 2, 3}


def test_the_closed_loop_keeps_as_many_in_flight_as_clients(server, stop):
    together = threading.Barrier(5)
    in_flight, most, lock = [], [], threading.Lock()

    def answer():
        with lock:
            in_flight.append(1)
            most.append(len(in_flight))
        try:
            together.wait(10 if len(server.requests) <= 25 else 0.01)
        except threading.BrokenBarrierError:
            stop.set()
        with lock:
            in_flight.pop()

    server.before_answer = answer
    run(server, stop, clients=5, seconds=60, warmup_seconds=0)
    assert len(server.requests) >= 25
    assert max(most) == 5


def test_the_open_loop_goes_on_while_nothing_is_answered(server, stop):
    released = threading.Event()

    def answer():
        if len(server.requests) >= 12:
            released.set()
        assert released.wait(60)

    server.before_answer = answer
    found = run(
        server, stop, clients=1, rate=50.0, seconds=1.0, warmup_seconds=0, timeout=60
    )
    summary = found.summary()
    assert summary["answered"] == len(server.requests) >= 12


def test_times_of_the_open_loop_are_a_poisson_process(stop):
    config = LoadConfig(rate=1000.0, seconds=20.0, warmup_seconds=0.0, seed=3)
    loop = generator._Loop([], REQUESTS, config, stop, Samples(100.0))
    due = np.array(list(loop._due_times()))
    assert due[0] > 100.0
    assert due[-1] < 120.0
    gaps = np.diff(due)
    np.testing.assert_allclose(gaps.mean(), 0.001, rtol=0.05)
    np.testing.assert_allclose(gaps.std(), 0.001, rtol=0.05)


def test_errors_by_code_without_tries(server, stop):
    server.failures = [UNAVAILABLE] * 4 + [(grpc.StatusCode.INTERNAL, "broken")] * 2
    summary = run(server, stop, clients=1, seconds=0.5, warmup_seconds=0).summary()
    assert summary["errors"] == {
        "INTERNAL": {"count": 2, "first": "broken"},
        "UNAVAILABLE": {"count": 4, "first": "busy"},
    }
    assert summary["requests"] == summary["answered"] + 6 == len(server.requests)


@pytest.mark.parametrize("rate", [None, 100.0])
def test_stop_cancels_what_is_in_flight(server, stop, rate):
    released = threading.Event()

    def answer():
        if len(server.requests) > 5:
            stop.set()
            assert released.wait(60)

    server.before_answer = answer
    try:
        found = run(server, stop, clients=2, rate=rate, seconds=600, timeout=600)
    finally:
        released.set()
    assert found.summary()["errors"] == {}
    assert 0 < len(found) <= len(server.requests)


def test_no_request_is_refused(server, stop):
    with pytest.raises(ValueError, match="`requests` must hold at least one"):
        generator.run(ChannelConfig(server.address), [], LoadConfig(), stop)


@pytest.mark.parametrize(
    "name", ["clients", "rate", "seconds", "timeout", "warmup_seconds"]
)
def test_config_errors(name):
    with pytest.raises(ValueError, match=f"`{name}` must .*-1"):
        LoadConfig(**{name: -1})


@pytest.fixture
def clock(monkeypatch):
    """A list whose one entry is the time."""
    now = [0.0]
    monkeypatch.setattr(samples.time, "perf_counter", lambda: now[0])
    return now


def test_figures_worked_out_by_hand(clock):
    found = Samples(origin=10.0)

    def at(now, due, start, code=grpc.StatusCode.OK, version=1):
        clock[0] = now
        if code is grpc.StatusCode.OK:
            found.answered(due, start, version)
        else:
            found.failed(due, start, code, f"at {now}")

    at(9.5, 9.0, 9.0)  # warm-up
    at(10.5, 9.9, 9.9)  # due in the warm-up, answered in the measured time
    at(10.6, 10.2, 10.5)  # 0.4 s although it was sent for 0.1 s
    at(11.0, 10.5, 10.5, grpc.StatusCode.UNAVAILABLE)
    at(12.0, 11.0, 11.0, grpc.StatusCode.DEADLINE_EXCEEDED)
    at(12.2, 11.5, 11.5, version=2)  # answered after the end
    found.end(2.0)
    summary = found.summary()
    assert summary["requests"] == 4
    assert summary["answered"] == 2
    assert summary["throughput"] == 2 / 2.0
    assert summary["versions"] == {"1": 1, "2": 1}
    np.testing.assert_allclose(found.latencies_ms(), [400.0, 700.0, 1000.0])
    latency = summary["latency_ms"]
    np.testing.assert_allclose(
        [latency["mean"], latency["p50"], latency["p99"], latency["max"]],
        [700.0, 700.0, 994.0, 1000.0],
    )
    np.testing.assert_allclose(summary["send_lag_ms"]["max"], 300.0)
    assert summary["errors"] == {
        "DEADLINE_EXCEEDED": {"count": 1, "first": "at 12.0"},
        "UNAVAILABLE": {"count": 1, "first": "at 11.0"},
    }
    first, second = summary["windows"]
    assert (first["start"], first["throughput"], first["errors"]) == (0.0, 2.0, 1)
    assert (second["start"], second["throughput"], second["errors"]) == (1.0, 0.0, 1)
    np.testing.assert_allclose([first["p50"], second["p50"]], [400.0, 850.0])


def test_figures_of_nothing():
    found = Samples(origin=time.perf_counter() + 100)
    found.end(-3.0)
    summary = found.summary()
    assert (summary["seconds"], summary["requests"], summary["windows"]) == (0, 0, [])
    assert summary["latency_ms"] == {}


def test_plot_of_nothing(tmp_path):
    found = Samples(origin=0.0)
    plot.draw(found.summary(), found.latencies_ms(), tmp_path / "load.png")
    assert [path.name for path in tmp_path.iterdir()] == ["load.png"]


def start_main(server, folder, *flags):
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "tfrec.serving.load", f"--model={MODEL}"),
            *(f"--address={server.address}", f"--output_dir={folder}", *flags),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "120"},
    )


def test_main_writes_record_and_plot(server, tmp_path):
    server.failures = []
    flags = ("--signature=retrieve", "--seconds=1", "--warmup_seconds=0.1")
    process = start_main(server, tmp_path / "new", *flags, "--rate=50")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "answers a second" in out
    assert f"answered by version {VERSION}" in out
    assert {p.name for p in (tmp_path / "new").iterdir()} == {"load.json", "load.png"}
    record = json.loads((tmp_path / "new" / "load.json").read_text())
    assert (record["loop"], record["interrupted"]) == ("open", False)
    assert record["config"]["rate"] == 50.0
    assert record["answered"] == record["requests"] > 10
    assert (tmp_path / "new" / "load.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_main_writes_what_it_has_when_interrupted(server, tmp_path, number):
    seen = threading.Event()
    server.before_answer = lambda: len(server.requests) > 30 and seen.set()
    flags = ("--signature=retrieve", "--seconds=3600", "--warmup_seconds=0", "--noplot")
    process = start_main(server, tmp_path, *flags)
    assert seen.wait(120)
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 128 + number, err
    record = json.loads((tmp_path / "load.json").read_text())
    assert record["interrupted"]
    assert record["errors"] == {}
    assert 0 < record["seconds"] < 3600
    assert 0 < record["answered"] <= len(server.requests)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--signature=score"], r"must be one of \['retrieve'\]. Received: 'score'"),
        (["--requests=a", "--request_log=b"], "Only one of --requests and"),
        (["--address=127.0.0.1:1"], "UNAVAILABLE: .*efused"),
    ],
)
def test_main_says_what_is_wrong(server, tmp_path, flags, message):
    process = start_main(server, tmp_path, "--noplot", *flags)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert re.search(message, err.splitlines()[-1]), err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
