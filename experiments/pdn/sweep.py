"""Runs every row of the tables, one after the other, and goes on where it was stopped.

    python -m experiments.pdn.sweep --sweep=ml-1m --output_dir=runs/pdn

A run that has a `result.json` of its setting is done. Several processes may work at
the same sweep, each takes the next run that nobody has; with `--threads=1` two of them
use two cores better than one does.
"""

import contextlib
import dataclasses
import fcntl
import json
import pathlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from absl import app, flags

from experiments.pdn import plans
from experiments.pdn import settings as settings_lib

_SWEEP = flags.DEFINE_enum("sweep", "ml-1m", ["ml-1m", "amazon"], "Which table.")
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "runs/pdn", "A folder a run below it.")
_THREADS = flags.DEFINE_integer("threads", 0, "Of TensorFlow's ops; 0: all cores.")
_DATA_HOME = flags.DEFINE_string(
    "data_home", None, "Prepared data; default: $TFREC_DATA_HOME or ~/.cache/tfrec."
)


def folder_of(run: plans.Run) -> pathlib.Path:
    """Where a run writes."""
    dataset, model, seed = run
    return pathlib.Path(_OUTPUT_DIR.value) / f"{dataset}-{model}-seed{seed}"


def is_of_setting(run: plans.Run, name: str) -> bool:
    """Whether a JSON file of a run is of its setting as it is now."""
    path = folder_of(run) / name
    if not path.exists():
        return False
    found = json.loads(path.read_text(encoding="utf-8"))
    wanted = dataclasses.asdict(settings_lib.setting_for(*run))
    return found.get("setting", found) == json.loads(json.dumps(wanted))


@contextlib.contextmanager
def claimed(folder: pathlib.Path) -> Iterator[bool]:
    """Whether this process alone has the folder; given back also when it is killed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def execute(run: plans.Run) -> None:
    """One run in a process of its own, so that a failure ends no other run."""
    dataset, model, seed = run
    command = [
        *(sys.executable, "-m", "experiments.pdn.run"),
        *(f"--dataset={dataset}", f"--model={model}", f"--seed={seed}"),
        *(f"--output_dir={folder_of(run)}", f"--threads={_THREADS.value}"),
    ]
    if is_of_setting(run, "setting.json"):
        command.append("--resume")
    if seed:  # the system is shown once
        command.append("--nosystem")
    if _DATA_HOME.value:
        command.append(f"--data_home={_DATA_HOME.value}")
    start = time.monotonic()
    with (folder_of(run) / "log.txt").open("w") as log:
        code = subprocess.run(command, stdout=log, stderr=log, check=False).returncode
    outcome = "done" if code == 0 else f"failed, see {log.name}"
    print(f"{folder_of(run).name}: {outcome}, {time.monotonic() - start:.0f} s")


def main(argv: Sequence[str]) -> None:
    """Works through the runs."""
    if len(argv) > 1:
        raise app.UsageError(f"Unknown arguments: {argv[1:]}")
    runs = plans.runs_of(_SWEEP.value)
    for number, run in enumerate(runs, 1):
        with claimed(folder_of(run)) as is_mine:
            if not is_mine or is_of_setting(run, "result.json"):
                continue
            print(f"{number} of {len(runs)}: {folder_of(run).name}", flush=True)
            execute(run)


if __name__ == "__main__":
    app.run(main)
