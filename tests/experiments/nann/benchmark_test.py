"""Runs the benchmark small, in a process of its own, and reads what it wrote."""

import json

import pytest

from tests import own_process


def _run(folder, *flags):
    process = own_process.run(
        "-m",
        "experiments.nann.benchmark",
        *("--num_items=3000", "--frontier=20", "--degree=8", "--rounds=2"),
        *("--ef=20,40,80", "--k=30", "--requests=25"),
        *("--bucket_step=2", f"--output_dir={folder}"),
        *flags,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return process.stdout, json.loads((folder / "benchmark.json").read_text())


def _check_walk(answer):
    walk = answer["walk"]
    ms = walk["milliseconds"]
    assert walk["over_one_call"] == pytest.approx(ms["walk"] / ms["one_call"])
    cpu = walk["cpu_milliseconds"]
    assert walk["cpu_over_one_call"] == pytest.approx(cpu["walk"] / cpu["one_call"])
    assert 100 < walk["num_scored"] <= 3000 * 1.1
    # One program a size and one for the entry level; after that none at all.
    assert walk["warmup_compilations"] == walk["num_buckets"] + 1
    assert walk["num_requests"] == 25
    assert walk["request_compilations"] == 0


def test_all_parts(tmp_path):
    printed, answer = _run(tmp_path)
    (expansion,) = answer["expansions"]
    assert expansion["degree"] == 8
    ms = expansion["milliseconds"]
    assert expansion["speedup_over_sets"] == pytest.approx(ms["sets"] / ms["op"])
    _check_walk(answer)
    assert "25 requests of random users then compiled 0" in " ".join(printed.split())


def test_one_part_on_a_built_graph(tmp_path):
    _, answer = _run(tmp_path, "--part=walk", "--graph=hnsw")
    assert answer["config"]["graph"] == "hnsw"
    assert "expansions" not in answer
    _check_walk(answer)
