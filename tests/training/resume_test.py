"""A killed and resumed run ends with the bytes of the run that was not killed."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
# 3 epochs of 10 steps, a checkpoint every 4 and at epoch ends; each has two files.
KILLS = (
    ("write", 4),  # The checkpoint of step 8 is half-written: resumes at step 4.
    ("step", 11),  # At step 15, in the middle of the second epoch: resumes at 12.
    ("write", 6),  # Between the second epoch's best weights and its checkpoint.
)
STEPS_LEFT = 30 - 20


def _start(folder, *kill) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.training.resume_run", folder, *map(str, kill)],
        cwd=ROOT,
        env={**os.environ, "TF_CONFIG": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _end(process, code: int) -> str:
    printed, errors = process.communicate(timeout=900)
    assert process.returncode == code, errors[-3000:]
    return printed


def _arrays(folder) -> dict[str, np.ndarray]:
    """The weights that `fit` left and the last checkpoint: model, optimiser slots."""
    files = [folder / "final.npz", *folder.glob("checkpoints/checkpoint-00003-*/*.npz")]
    assert len(files) == 3
    arrays = {}
    for file in files:
        with np.load(file) as content:
            arrays |= {f"{file.name} {name}": content[name] for name in content}
    return arrays


def test_run_killed_three_times_ends_with_the_same_bytes(tmp_path):
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    reference = _start(undisturbed)
    for kill in KILLS:
        _end(_start(killed, *kill), code=-signal.SIGKILL)
        assert not (killed / "final.npz").exists()
    resumed = json.loads(_end(_start(killed), code=0))
    whole = json.loads(_end(reference, code=0))

    assert whole["steps"] == 30
    assert resumed["steps"] == STEPS_LEFT
    assert resumed["epochs"] == whole["epochs"]
    expected, found = _arrays(undisturbed), _arrays(killed)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert array.dtype == found[name].dtype
        assert array.tobytes() == found[name].tobytes(), name
    left = {path.name.split("-")[0] for path in (killed / "checkpoints").iterdir()}
    assert left == {"checkpoint", "best"}
