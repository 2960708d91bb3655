"""What the experiments of serving are made of, without a server."""

import json
import os
import pathlib
import random
import subprocess
import sys
import time

import numpy as np
import pytest

from experiments.serving import (
    figures,
    latest,
    memory,
    mutations,
    results_page,
    user_requests,
    watch,
)
from experiments.serving.server_process import models_config
from tfrec import artifacts
from tfrec.serving import model_card
from tfrec.serving.client_calls import SignatureInfo, TensorInfo, predict_request

INPUTS = {"history": np.array([[7, 3]]), "k": np.array(5, np.int32)}
RECORDS = {
    "serving": {
        "benchmark": "serving",
        "command": "python -m bench",
        "config": {"num_items": 5000, "k": 10},
        "export": "synthetic",
        "environment": {"machine": {"cores": 2}},
        "overhead": {
            "milliseconds": {"in_process": 4.0, "grpc": 5.25, "rest": 6.0},
            "grpc_added": 1.25,
            "rest_added": 2.0,
            "grpc_ratio": 1.3125,
            "rest_ratio": 1.5,
        },
        "throughput": {
            "by_clients": {
                "1": {"throughput": 200.0, "p50": 4.9, "p99": 8.0},
                "8": {"throughput": 280.0, "p50": 27.0, "p99": 50.0},
            },
            "gain": 1.4,
        },
    },
    "soak": {
        "benchmark": "soak",
        "command": "python -m soak",
        "config": {"clients": 8, "minutes": 10.0, "swaps": 3},
        "load": {
            "answered": 123456,
            "throughput": 205.7,
            "errors": {"UNAVAILABLE": {"count": 2, "first": "busy"}},
            "memory_growth": 0.0123,
            "p50": 1.05,
            "p99": 1.4,
        },
        "swaps": {
            "swaps": 3,
            "answered": 4567,
            "errors": {},
            "memory_growth": 0.001,
        },
        "changed_requests": {"requests": 20000, "wrong": [], "memory_growth": 0.021},
    },
}


def missed(found):
    return [figure.name for figure in found if not figure.is_met]


def test_figures_of_the_benchmark():
    found = figures.benchmark(RECORDS["serving"])
    texts = {figure.name: figure.measured for figure in found}
    assert texts["gRPC adds, median"] == "1.25 ms (1.31 x)"
    assert texts["REST adds, median"] == "2.00 ms (1.50 x)"
    assert texts["answers a second, 1 client"] == "200 (p50 4.9 ms, p99 8.0 ms)"
    assert missed(found) == ["8 clients over one"]


def test_figures_of_the_soak():
    found = figures.soak(RECORDS["soak"])
    texts = {figure.name: figure.measured for figure in found}
    assert texts["failed requests"] == "2"
    assert texts["versions swapped in"] == "3"
    assert missed(found) == ["failed requests", "memory growth, changed requests"]


def test_results_page():
    text = "\n".join(results_page.lines(RECORDS.values()))
    assert "| gRPC adds, median | 1.25 ms (1.31 x) | at most 1.5 ms |" in text
    assert "| 8 clients over one | 1.40 x, *missed* | at least 1.5 x |" in text
    assert "5,000 items, untrained" in text
    assert "8 clients ask NANN and PDN without a pause for 10 minutes" in text
    assert text.index("python -m bench") < text.index("python -m soak")
    assert results_page.lines([]) == []


def test_growth_compares_the_last_fifth_with_the_first():
    values = [100, 100, *[500] * 6, 101, 103]
    assert watch.growth(values) == pytest.approx(0.02)
    assert watch.growth([7.0]) == 0
    windows = [{"p50": v, "p99": 2 * v} for v in values] + [{"start": 3}]
    changes = watch.latency_change(windows)
    assert changes == pytest.approx({"p50": 1.02, "p99": 1.02})
    with pytest.raises(ValueError, match="must be values to compare"):
        watch.growth([])


def test_memory_of_a_process_and_its_children():
    code = (
        "import subprocess, sys; data = bytearray(b'x' * (32 << 20));"
        "child = subprocess.Popen([sys.executable, '-c',"
        " \"data = bytearray(b'x' * (64 << 20)); print(flush=True); input()\"]);"
        "child.wait()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        parent.stdout.readline()  # the child has its data
        sizes = memory.megabytes(parent.pid)
        assert len(sizes) == 2
        assert 32 < sizes.pop(parent.pid) < 64
        assert 64 < sizes.popitem()[1] < 96
        assert 96 < memory.total(parent.pid) < 160
    finally:
        parent.communicate(b"\n")
    assert list(memory.processes(2**22 + 1)) == [2**22 + 1]
    assert memory.megabytes(2**22 + 1) == {}


def write_export(root, version, kind, dataset=None):
    with artifacts.create(root / version, kind=kind) as folder:
        if dataset:
            (folder / model_card.PATH).parent.mkdir()
            card = {"dataset": {"name": dataset}}
            (folder / model_card.PATH).write_text(json.dumps(card))
    return root / version


def test_the_last_export_is_found(tmp_path):
    old = write_export(tmp_path / "a" / "export", "9", "nann-export", "ml-1m")
    new = write_export(tmp_path / "b" / "c" / "export", "2", "nann-export", "ml-100k")
    write_export(tmp_path / "d" / "export", "1", "pdn-export")
    write_export(tmp_path / "b" / "index", "3", "nann-index")
    now = time.time()
    for age, folder in ((100, old), (50, new)):
        os.utime(folder / artifacts.META_NAME, (now - age, now - age))
    found = latest.find(tmp_path, "nann")
    assert (found.root, found.folder, found.dataset) == (new.parent, new, "ml-100k")
    assert latest.find(tmp_path, "pdn").dataset is None
    os.utime(old / artifacts.META_NAME)
    assert latest.find(tmp_path, "nann").folder == old


@pytest.mark.parametrize("paper", sorted(latest.KINDS))
def test_where_there_is_no_export_the_command_is_named(tmp_path, paper):
    message = f"export of {paper} below .*\n.*python -m experiments.{paper}.run"
    with pytest.raises(FileNotFoundError, match=message):
        latest.find(tmp_path, paper)


def test_models_config():
    text = models_config({"nann": pathlib.Path("/models/nann")})
    assert 'base_path: "/models/nann"' in text
    assert 'name: "nann"' in text


def test_requests_of_a_user(ml_100k):
    some = {
        "user": TensorInfo(np.dtype("int64"), (None,)),
        "user_gender": TensorInfo(np.dtype(object), (None,)),
        "user_nothing": TensorInfo(np.dtype("int32"), (None,)),
        "history": TensorInfo(np.dtype("int64"), (None, None)),
        "history_rating": TensorInfo(np.dtype("float32"), (None, None)),
        "history_timestamp": TensorInfo(np.dtype("int64"), (None, None)),
        "k": TensorInfo(np.dtype("int32"), ()),
    }
    found = user_requests.request_of(ml_100k, SignatureInfo("", some, {}), 2, 7)
    assert {name: value.dtype for name, value in found.items()} == {
        name: info.dtype for name, info in some.items()
    }
    begin, end = ml_100k.row_splits[1:3]
    rows = slice(max(begin, end - 50), end)
    items = ml_100k.interactions["item"][rows]
    np.testing.assert_array_equal(found["history"][0], ml_100k.raw_item_ids[items - 1])
    ratings = ml_100k.interactions["rating"][rows]
    np.testing.assert_array_equal(found["history_rating"][0], ratings)
    assert np.diff(found["history_timestamp"][0]).min() >= 0
    assert found["user"].tolist() == [int(ml_100k.users["raw_id"][1])]
    assert found["user_gender"].tolist() == [ml_100k.users["gender"][1]]
    assert (found["user_nothing"], found["k"]) == ([0], 7)
    titles = user_requests.titles(ml_100k)
    assert titles[50] == "Star Wars"


def test_changes_are_of_the_seed_and_change():
    request = predict_request("nann", INPUTS, "retrieve")
    data = request.SerializeToString()

    def changes(seed):
        rng = random.Random(seed)
        found = [mutations.mutated_bytes(data, rng) for _ in range(200)]
        found += [
            mutations.mutated_predict(request, rng).SerializeToString()
            for _ in range(200)
        ]
        document = {"inputs": {"history": [[7, 3]], "k": 5}}
        found += [mutations.mutated_json(document, rng) for _ in range(200)]
        paths = [
            mutations.mutated_path("/v1/models/nann:predict", rng) for _ in "a" * 9
        ]
        return found, paths

    assert changes(3) == changes(3)
    found, paths = changes(4)
    assert len(set(found)) > 500
    assert len(set(paths)) > 5
    assert request == predict_request("nann", INPUTS, "retrieve")
