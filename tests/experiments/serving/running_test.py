"""The demo, the benchmark and the soak in short form, each with a real server."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

from experiments.serving import synthetic_exports
from tests.serving import served_models
from tfrec.serving import Client, model_card

_ROOT = pathlib.Path(__file__).resolve().parents[3]
NUM_ITEMS = 1682  # of ml-100k


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Folder of runs with exports of both; NANN's card says that it is of ml-100k."""
    runs = tmp_path_factory.mktemp("runs")
    folder = synthetic_exports.nann(runs / "a/export", NUM_ITEMS, served_models.WALK)
    synthetic_exports.pdn(runs / "b/export", NUM_ITEMS)
    card = model_card.read(folder)
    card["dataset"]["name"] = "ml-100k"
    (folder / model_card.PATH).write_text(json.dumps(card))
    return runs


def start(name, *flags):
    return subprocess.Popen(
        [sys.executable, "-m", f"experiments.serving.{name}", *flags],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "COLUMNS": "120"},
    )


def run(name, *flags):
    process = start(name, *flags)
    out, err = process.communicate(timeout=1200)
    return process.returncode, out, err


def of_both(exports):
    return (
        f"--nann_export={exports / 'a/export'}",
        f"--pdn_export={exports / 'b/export'}",
    )


def test_serve_demo_serves_and_asks_until_interrupted(exports, ml_100k):
    home = ml_100k.path.parent
    process = start("serve_demo", f"--runs={exports}", f"--data_home={home}", "--keep")
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if line.startswith("Serving until"):
            break
    text = "\n".join(lines)
    assert text.count(", version 1") == 2, text + process.stderr.read()
    assert "last behaviours: " in text
    asked = text.partition("pdn, version")
    assert re.search(r"^ +-?\d+\.\d+ [A-Z][a-z]+", asked[0], re.M), text  # a title
    assert re.search(r"^ +\d+\.\d+ \d+  <- \d+", asked[2], re.M), text
    address = next(line for line in lines if line.startswith("gRPC: ")).split()[1]
    with Client(address) as client:
        assert client.wait_until_ready("pdn") == 1
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err


def test_serve_demo_says_what_makes_an_export(tmp_path):
    status, out, _ = run("serve_demo", f"--runs={tmp_path}")
    assert status == 1
    for paper in ("nann", "pdn"):
        assert f"python -m experiments.{paper}.run --dataset=ml-100k" in out


def test_benchmark(tmp_path):
    status, out, err = run(
        *("benchmark", f"--output_dir={tmp_path}", "--num_items=400", "--k=5"),
        *("--ef=4,8,16", "--steps=1,1,2", "--rounds=10", "--seconds=0.5"),
        *("--repeats=1", "--bucket_step=4"),
    )
    assert status == 0, err[-3000:]
    assert "gRPC adds, median" in out
    record = json.loads((tmp_path / "benchmark.json").read_text())
    times = record["overhead"]["milliseconds"]
    added = times["grpc"] - times["in_process"]
    assert record["overhead"]["grpc_added"] == pytest.approx(added)
    assert set(record["throughput"]["by_clients"]) == {"1", "8"}
    assert record["throughput"]["gain"] > 0
    assert record["environment"]["versions"]["tensorflow"]


def test_soak(exports, tmp_path):
    synthetic_exports.nann(tmp_path / "nann", NUM_ITEMS, served_models.WALK)
    models = (f"--nann_export={tmp_path / 'nann'}", of_both(exports)[1])
    _, out, err = run(
        *("soak", f"--output_dir={tmp_path}", *models),
        *("--minutes=0.25", "--warmup_seconds=5", "--swaps=2", "--fuzz_requests=500"),
    )
    assert "failed requests" in out, err[-3000:]
    record = json.loads((tmp_path / "soak.json").read_text())
    loaded, changed = record["load"], record["changed_requests"]
    assert loaded["errors"] == {}
    assert loaded["answered"] == loaded["requests"] > 100
    assert len(loaded["memory_mb"]) >= 5
    # A quarter of a minute after the start, memory is still being taken up.
    assert loaded["memory_growth"] < 0.1
    typed = record["command"].split()
    assert typed[:3] == ["python", "-m", "experiments.serving.soak"]
    assert {"--minutes=0.25", "--swaps=2", *models} <= set(typed)
    swapped = record["swaps"]
    assert swapped["swaps"] == 2
    assert swapped["errors"] == {}
    assert len(swapped["versions"]) == 3
    assert swapped["memory_growth"] < 0.1
    assert changed["requests"] == 500
    assert changed["wrong"] == []
    assert changed["memory_growth"] < 0.1
