"""Runs are read, matched by user, and tested in pairs."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from experiments.pdn import by_user, comparison


def _write(folder, model, seed, change=0.0, users=range(1, 21), left_out=(), **record):
    path = folder / f"ml-1m-{model}-seed{seed}.json"
    users = np.array(users)
    values = (users % 3 == 0).astype(float) + change * (users % 2)
    arrays = {name: values for name in by_user.METRICS if name not in left_out}
    packed = by_user.pack({"user": users, "full_user": users, **arrays})
    setting = {"dataset": "ml-1m", "lr": 1.0, "training": {"seed": seed, "epochs": 5}}
    result = {"name": model.upper(), "model": model, "seed": seed, "setting": setting}
    result |= {"dataset": {"name": "ml-1m", "sha256": "a"}, "by_user": packed}
    path.write_text(json.dumps(result | record))


def test_a_users_value_is_the_mean_over_seeds(tmp_path):
    _write(tmp_path, "pdn", 0, change=0.2)
    _write(tmp_path, "pdn", 1, change=0.6)
    _write(tmp_path, "bst", 0)
    models = comparison.read_runs(tmp_path, "ml-1m")
    record = comparison.make_record("ml-1m", models)
    assert record["seeds"] == {"pdn": [0, 1], "bst": [0]}
    found = record["models"]["bst"]["tests"]["sampled_hr"]
    # Odd users lead by the mean of .2 and .6, even ones by nothing.
    differences = np.tile([0.4, 0.0], 10)
    error = differences.std(ddof=1) / 20**0.5
    assert found["users"] == 20
    np.testing.assert_allclose(found["difference"], 0.2)
    np.testing.assert_allclose(found["high"] - 0.2, 2.093 * error, rtol=1e-3)
    np.testing.assert_allclose(found["mean"], 6 / 20)
    assert record["environment"]["commit"]


def test_a_variant_can_be_what_the_others_are_compared_with(tmp_path):
    for model in ("pdn", "pdn-vector", "bst"):
        _write(tmp_path, model, 0)
    models = comparison.read_runs(tmp_path, "ml-1m")
    record = comparison.make_record("ml-1m", models, first="pdn-vector")
    assert list(record["models"]) == ["pdn", "bst"]
    assert record["first_name"] == "PDN-VECTOR"
    assert record["command"].endswith(" --first=pdn-vector")


def test_a_metric_that_a_model_does_not_have_is_not_tested(tmp_path):
    _write(tmp_path, "pdn", 0)
    _write(tmp_path, "bst", 0)
    _write(tmp_path, "din", 0, left_out=["item_to_item_hr"])
    models = comparison.read_runs(tmp_path, "ml-1m")
    record = comparison.make_record("ml-1m", models)
    assert list(record["models"]["bst"]["tests"]) == list(by_user.METRICS)
    assert set(by_user.METRICS) - set(record["models"]["din"]["tests"]) == {
        "item_to_item_hr"
    }
    comparison.print_record(record, Console(file=io.StringIO()))


def test_users_are_matched_by_id(tmp_path):
    _write(tmp_path, "pdn", 0, change=1.0, users=range(1, 21))
    _write(tmp_path, "bst", 0, users=range(11, 31))
    models = comparison.read_runs(tmp_path, "ml-1m")
    found = comparison.make_record("ml-1m", models)["models"]["bst"]["tests"]
    assert found["full_hr"]["users"] == 10
    np.testing.assert_allclose(found["full_hr"]["difference"], 0.5)


def test_other_records_and_other_sets_are_left_out(tmp_path):
    _write(tmp_path, "pdn", 0)
    _write(tmp_path, "pdn-no-bias", 0)
    (tmp_path / "ml-1m-din-seed0.json").write_text("{}")
    (tmp_path / "ml-1m-din-seed.json").write_text("no record")
    (tmp_path / "ml-100k-bst-seed0.json").write_text("no record")
    models = comparison.read_runs(tmp_path, "ml-1m")
    assert {name: runs.seeds for name, runs in models.items()} == {
        "pdn": [0],
        "pdn-no-bias": [0],
    }


@pytest.mark.parametrize(
    ("record", "users", "message"),
    [
        ({"dataset": {"sha256": "b"}}, range(1, 21), "one version of ml-1m"),
        ({"setting": {"dataset": "ml-100k"}}, range(1, 21), "run of its name"),
        ({}, range(2, 22), "same `user`"),
        (
            {"setting": {"dataset": "ml-1m", "training": {"seed": 1, "epochs": 9}}},
            range(1, 21),
            "one setting",
        ),
    ],
)
def test_runs_that_do_not_go_together_are_refused(tmp_path, record, users, message):
    _write(tmp_path, "pdn", 0)
    _write(tmp_path, "pdn", 1, users=users, **record)
    with pytest.raises(ValueError, match=message):
        comparison.read_runs(tmp_path, "ml-1m")


@pytest.mark.parametrize("model", ["pdn", "bst"])
def test_one_model_is_not_enough(tmp_path, model):
    _write(tmp_path, model, 0)
    with pytest.raises(ValueError, match=rf"another model.*\['{model}'\]"):
        comparison.make_record("ml-1m", comparison.read_runs(tmp_path, "ml-1m"))


def test_users_metrics_are_kept_in_a_record():
    rng = np.random.default_rng(0)
    users = np.flatnonzero(rng.random(50) < 0.5)
    arrays = {name: rng.random(users.size) for name in by_user.METRICS}
    arrays |= {"user": users, "full_user": users[:3], "candidates": users}
    found = by_user.unpack(json.loads(json.dumps(by_user.pack(arrays))))
    assert set(found) == {*by_user.METRICS, "user", "full_user"}
    for name, values in found.items():
        np.testing.assert_allclose(values, arrays[name], rtol=1e-6)
    with pytest.raises(ValueError, match="must be compressed"):
        by_user.unpack(dict.fromkeys(found, "bm90aGluZw=="))
