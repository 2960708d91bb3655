"""Runs the benchmark small, in processes of its own, and reads what it wrote."""

import json

import pytest

from experiments.pdn import results_benchmark
from tests import own_process

_SMALL = (
    *("--num_items=300", "--list=20", "--triggers=4", "--history=9", "--top_k=15"),
    *("--ef_search=20", "--batch=1", "--batch=3", "--rounds=2", "--slow_rounds=2"),
    *("--index_items=40", "--index_items=90", "--index_k_hat=5", "--index_k_hat=20"),
    *("--index_k=5", "--index_rounds=1", "--dataset=ml-100k", "--testing"),
    *("--nodeepctr", "--threads=1"),
)


@pytest.fixture(scope="module")
def answer(tmp_path_factory, data_home, ml_100k):
    folder = tmp_path_factory.mktemp("benchmark")
    folders = f"--output_dir={folder}", f"--cache_dir={folder / 'cache'}"
    home = f"--data_home={data_home}"
    process = own_process.run(
        "-m", "experiments.pdn.benchmark", *_SMALL, *folders, home
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return json.loads((folder / "benchmark.json").read_text())


def test_every_part_says_how_it_was_run(answer):
    assert set(answer) == {"retrieval", "growth", "index", "training"}
    for part in answer.values():
        assert set(part) == {"1"}
        assert part["1"]["threads"] == 1
        assert part["1"]["environment"]["commit"]
    assert answer["retrieval"]["1"]["config"]["num_items"] == 300
    assert answer["growth"]["1"]["config"]["batch"] == [1, 3]


def test_retrieval(answer):
    found = answer["retrieval"]["1"]
    ms, ratios = found["milliseconds"], found["ratios"]
    assert found["num_entries"] == 4 * 20
    assert 20 <= found["num_candidates"] < 4 * 20
    for twin, op in (("twin", "op"), ("twin_served", "op_served")):
        assert ratios[f"{twin}_over_{op}"] == pytest.approx(ms[twin] / ms[op])
    assert ratios["op_over_hnsw_ef20"] == pytest.approx(ms["op"] / ms["hnsw_ef20"])
    lookup = min(ms["lookup_numpy"], ms["lookup_tensorflow"])
    assert ratios["op_over_lookup"] == pytest.approx(ms["op"] / lookup)
    assert ratios["request_over_paper"] == pytest.approx(ms["request"] / 6.75)
    assert 0.5 < found["hnsw_recall"]["hnsw_ef20"] <= 1


def test_growth(answer):
    found = answer["growth"]["1"]
    values = {
        "num_items": [21, 30, 300],
        "k": [5, 10, 20],
        "num_triggers": [1, 2, 4, 8],
        "batch": [1, 3],
    }
    for axis, expected in values.items():
        points = found[axis]
        assert [point[axis] for point in points] == expected
        assert points[-1]["op_to_first"] == pytest.approx(
            points[-1]["op"] / points[0]["op"]
        )
    last = found["batch"][-1]
    assert last["users_per_second"] == pytest.approx(3 * 1000 / last["op"])


def test_index(answer):
    builds = answer["index"]["1"]["builds"]
    assert [(b["num_items"], b["k_hat"]) for b in builds] == [
        (40, 20),
        (90, 20),
        (90, 5),
    ]
    # All 40 items are met by every user; of 90 a few are met by none or few.
    assert builds[0]["num_pairs"] == 40 * 20
    assert 0.95 * 90 * 20 < builds[1]["num_pairs"] <= 90 * 20
    assert 0.95 * 90 * 5 < builds[2]["num_pairs"] <= 90 * 5
    for build in builds:
        rate = build["num_pairs"] / build["seconds"]
        assert build["pairs_per_second"] == pytest.approx(rate)


def test_training(answer):
    found = answer["training"]["1"]
    assert (found["batch_size"], found["num_negatives"]) == (64, 4)
    ms, rate = found["milliseconds"], found["examples_per_second"]
    assert set(ms) == {"pdn", "din"}
    assert rate["pdn"] == pytest.approx(64 * 1000 / ms["pdn"])
    assert found["ratios"]["pdn_over_din"] == pytest.approx(ms["din"] / ms["pdn"])


def _rows(page: list[str], name: str) -> list[list[str]]:
    found = [line.strip("| ").split(" | ") for line in page if line.startswith("|")]
    return [cells for cells in found if cells[0] == name]


def test_the_page_has_every_part(answer):
    page = results_benchmark.lines(answer)
    retrieval = answer["retrieval"]["1"]
    op, search = (retrieval["milliseconds"][name] for name in ("op", "hnsw_ef20"))
    assert _rows(page, "PathTopK in a graph that Python calls")[0][1] == f"{op:.2f}"
    assert _rows(page, "faiss HNSW, efSearch 20 (b)")[0][1] == f"{search:.2f}"
    ratio = f"{retrieval['ratios']['twin_over_op']:.2f}"
    assert _rows(page, "`twin_over_op`")[0][1:] == ["at least 5", ratio]
    assert _rows(page, "`op_over_hnsw_ef20`")[0][1] == "at most 1.5"
    points = answer["growth"]["1"]["batch"]
    assert _rows(page, "users B = 3")[0][-1] == f"{points[-1]['users_per_second']:,.0f}"
    builds = answer["index"]["1"]["builds"]
    assert _rows(page, "40")[0][-1] == f"{builds[0]['pairs_per_second']:,.0f}"
    rates = answer["training"]["1"]["examples_per_second"]
    assert _rows(page, "PDN") == [["PDN", f"{rates['pdn']:,.0f}"]]
    assert not _rows(page, "DeepCTR's DIN")


def test_no_record_no_page():
    assert results_benchmark.lines({}) == []
