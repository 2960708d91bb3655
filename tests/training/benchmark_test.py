"""The benchmark of the row-sparse optimisers runs, and its ratios are of its times."""

import json
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_benchmark_writes_times_and_ratios(tmp_path):
    output = tmp_path / "new" / "benchmark.json"
    module = [sys.executable, "-m", "experiments.training.benchmark"]
    flags = [
        "--rows=50,200",
        "--rows_touched=20",
        "--steps=3",
        "--dense_steps=3",
        "--seed=7",
    ]
    command = [*module, *flags, f"--output={output}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    result = json.loads(output.read_text())
    assert result["settings"] == {"width": 32, "rows_touched": 20}
    assert result["seed"] == 7
    found = result["environment"]
    assert re.match("[0-9a-f]{40}|unknown", found["commit"])
    assert found["machine"]["cores"] > 0
    times = {(s["optimizer"], s["rows"]): s["milliseconds"] for s in result["steps"]}
    assert len(times) == len(result["steps"]) == 8
    for step in result["steps"]:
        name, rows, time = step["optimizer"], step["rows"], step["milliseconds"]
        to_smallest, to_dense = time / times[name, 50], times["keras_adam", rows] / time
        near = {"rel": 0.05, "abs": 0.1}
        assert step["to_smallest_table"] == pytest.approx(to_smallest, **near)
        assert step["dense_adam_to_this"] == pytest.approx(to_dense, **near)
