"""The figures' command on the folder of a run, and what it refuses."""

import dataclasses
import json
import pathlib
import subprocess

import pytest

from experiments.pdn import problem as problem_lib
from experiments.pdn import settings
from experiments.pdn.train import WEIGHTS, build_ranker
from tests import own_process


@pytest.fixture
def run(tmp_path, ml_100k):
    """The folder of an untrained network, with the record of a TESTING run."""
    setting = settings.setting_for("ml-100k", "pdn", seed=0, testing=True)
    problem = problem_lib.load(setting, 0, str(ml_100k.path.parent))
    build_ranker(problem).model.save_weights(tmp_path / WEIGHTS)
    diversity = {"n<=15": {"mean": 0.5, "users": 3}}
    record = {
        "name": "PDN",
        "model": "pdn",
        "seed": 0,
        "command": "a command",
        "dataset": {"name": "ml-100k", "sha256": ml_100k.sha256},
        "setting": dataclasses.asdict(setting),
        "training": {"history": []},
        "metrics": {"by_length": {"diversity": diversity}},
    }
    (tmp_path / "result.json").write_text(json.dumps(record))
    return tmp_path


def _draw(run: pathlib.Path, home: pathlib.Path) -> subprocess.CompletedProcess:
    flags = [f"--run={run}", f"--data_home={home}", "--categories=3", "--pairs=20"]
    return own_process.run("-m", "experiments.pdn.figures", *flags)


def test_draws_what_the_run_allows(run, ml_100k):
    done = _draw(run, ml_100k.path.parent)
    assert done.returncode == 0, done.stderr[-3000:]
    written = {path.name for path in (run / "figures").iterdir()}
    drawn = {"categories.png", "diversity.png", "gender.png", "trigger_weights.png"}
    assert written == drawn | {"figures.json", "neighbours.md"}
    found = json.loads((run / "figures" / "figures.json").read_text())
    assert found["categories"] == ["Action", "Comedy", "Drama"]
    assert found["trigger_weights"]["test"]["users"] == 943
    assert "Star Wars" in (run / "figures" / "neighbours.md").read_text()


def test_a_setting_that_is_no_more_is_refused(run, ml_100k):
    record = json.loads((run / "result.json").read_text())
    record["setting"]["num_negatives"] = 17
    (run / "result.json").write_text(json.dumps(record))
    done = _draw(run, ml_100k.path.parent)
    assert done.returncode != 0
    assert "must have a setting of experiments/pdn/settings.py" in done.stderr
