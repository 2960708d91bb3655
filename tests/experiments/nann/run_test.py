"""The whole experiment at its TESTING setting, on real data, twice."""

import json
import pathlib
import subprocess

import pytest

from tests import own_process
from tfrec.serving import model_card, warmup


def _start(folder: pathlib.Path, *flags: str) -> subprocess.CompletedProcess:
    return own_process.run(
        "-m", "experiments.nann.run", f"--output_dir={folder}", *flags
    )


def _run(folder: pathlib.Path, data_home: pathlib.Path, *flags: str) -> str:
    done = _start(folder, f"--data_home={data_home}", *flags)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def _numbers(result: dict) -> dict:
    walks = [
        {k: v for k, v in walk.items() if k != "seconds"} for walk in result["walks"]
    ]
    summary = {k: v for k, v in result["summary"].items() if k != "minutes"}
    return {
        "history": result["training"]["history"],
        "walks": walks,
        "summary": summary,
    }


@pytest.fixture(scope="module")
def first_run(tmp_path_factory, ml_100k):
    """Runs once: the folder, what it printed, the data's home."""
    folder = tmp_path_factory.mktemp("nann") / "run"
    home = ml_100k.path.parent
    return folder, _run(folder, home, "--testing"), home


def test_prints_and_writes_everything(first_run):
    folder, printed, _ = first_run
    result = json.loads((folder / "result.json").read_text())
    for text in ("coverage", "recall-all", "popularity", "UserBehavior", "retrieved:"):
        assert text in printed
    assert (folder / "coverage.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "export" / "1" / "saved_model.pb").is_file()
    assert (folder / "export" / "1" / warmup.PATH).is_file()
    card = model_card.read(folder / "export" / "1")
    assert card["dataset"] == result["dataset"]
    assert card["commit"] == result["environment"]["commit"]
    assert card["config"] == json.loads((folder / "setting.json").read_text())
    assert (folder / "index" / "meta.json").is_file()
    assert result["dataset"]["name"] == "ml-100k"
    assert len(result["dataset"]["sha256"]) == 64
    assert 0 < result["summary"]["coverage"] <= 1
    assert result["summary"]["popularity"] > 0


def test_again_gives_the_same_numbers(first_run, tmp_path):
    folder, _, home = first_run
    _run(tmp_path / "again", home, "--testing")
    first, again = (
        _numbers(json.loads((path / "result.json").read_text()))
        for path in (folder, tmp_path / "again")
    )
    assert first == again


def test_resume_keeps_what_is_done(first_run):
    folder, _, home = first_run
    kept = ("index/meta.json", "brute_force.npz")
    before = [(folder / name).stat().st_mtime_ns for name in kept]
    numbers = _numbers(json.loads((folder / "result.json").read_text()))
    _run(folder, home, "--testing", "--resume")
    assert [(folder / name).stat().st_mtime_ns for name in kept] == before
    assert _numbers(json.loads((folder / "result.json").read_text())) == numbers


def test_resume_refuses_another_setting(first_run):
    folder, _, home = first_run
    flags = (f"--data_home={home}", "--testing", "--resume", "--noauxiliary_loss")
    done = _start(folder, *flags)
    assert done.returncode != 0
    assert "`loss`" in done.stdout + done.stderr
    assert (folder / "result.json").is_file()


def test_testing_refuses_another_data_set(tmp_path):
    done = _start(tmp_path / "run", "--testing", "--dataset=ml-1m")
    assert done.returncode != 0
    assert "--dataset=ml-100k" in done.stdout + done.stderr
