"""NANN on real data, killed in the middle of an epoch, ends with the same bytes."""

import os
import pathlib
import signal
import subprocess
import sys

import numpy as np

from tests.nann.resume_run import SETTING

ROOT = pathlib.Path(__file__).resolve().parents[2]
STEPS = SETTING.training.epochs * SETTING.steps_per_epoch
KILLED_AT = 15  # Of the 2 times 10 steps; the last checkpoint is that of step 12.
STEPS_LEFT = STEPS - 12


def _run(code: int, *arguments) -> str:
    """Runs to the end, or to the kill, and returns what was printed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.nann.resume_run", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "TF_CONFIG": ""},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == code, done.stderr[-3000:]
    return done.stdout


def _arrays(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """The last checkpoint, model and optimiser, and the best epoch's weights."""
    arrays = {}
    for file in sorted((folder / "checkpoints").glob("*/*.npz")):
        with np.load(file) as content:
            name = file.relative_to(folder).as_posix()
            arrays |= {f"{name} {key}": content[key] for key in content}
    return arrays


def test_a_run_killed_in_mid_epoch_and_resumed_ends_with_the_same_bytes(
    ml_100k, tmp_path
):
    data_home = ml_100k.path.parent
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    whole = _run(0, data_home, undisturbed, 0)
    _run(-signal.SIGKILL, data_home, killed, KILLED_AT)
    assert not (killed / "training.json").exists()
    resumed = _run(0, data_home, killed, 0)

    assert int(whole.splitlines()[-1]) == STEPS
    assert int(resumed.splitlines()[-1]) == STEPS_LEFT
    expected, found = _arrays(undisturbed), _arrays(killed)
    assert found.keys() == expected.keys()
    assert any("/optimizer.npz " in name for name in expected)
    for name, array in expected.items():
        assert array.dtype == found[name].dtype
        assert array.tobytes() == found[name].tobytes(), name
