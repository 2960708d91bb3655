"""Requests changed at random over gRPC and REST, against a real server."""

import pytest

from experiments.serving import memory
from experiments.serving.fuzz import Fuzzer
from tests.serving import served_models
from tests.serving.served_models import REQUESTS


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with served_models.running(tmp_path_factory.mktemp("models")) as running:
        yield running


def fuzz(server, count, seed, max_growth):
    """Sends the first fifth, looks at the memory, sends the rest, looks again."""
    before = set(memory.processes(server.process.pid))
    fuzzer = Fuzzer(server, REQUESTS, seed)
    fuzzer.run(count // 5, lambda done: None)
    first = memory.total(server.process.pid)
    report = fuzzer.run(count - count // 5, lambda done: None)
    last = memory.total(server.process.pid)
    assert set(memory.processes(server.process.pid)) == before
    assert report.requests == count
    assert report.failures == []
    assert last < first * (1 + max_growth)
    return report


def test_short(server):
    report = fuzz(server, 1000, seed=1, max_growth=0.1)
    # The changes reach every part: some requests are still valid, others are not.
    for answer in ("grpc OK", "grpc INVALID_ARGUMENT", "grpc NOT_FOUND"):
        assert report.counts[answer] > 5, report.counts
    for answer in ("rest 200", "rest 400", "rest 404"):
        assert report.counts[answer] > 5, report.counts
    assert report.checks >= 4


@pytest.mark.long
def test_20000(server):
    fuzz(server, 20_000, seed=2, max_growth=0.02)
