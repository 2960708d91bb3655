"""The folder of a run: of one setting, which a resumed run must keep."""

import dataclasses
import json
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

from absl import app

from tfrec import artifacts


def prepare_folder(
    folder: pathlib.Path, setting: Any, resume: bool, outputs: Sequence[str]
) -> None:
    """Makes the folder one of this setting: empties it, or checks what is there.

    Args:
        folder: of the run.
        setting: a dataclass; kept as `setting.json`.
        resume: whether what is there is kept.
        outputs: names of files and folders that are removed otherwise.
    Raises: UsageError: what is to be resumed is of another setting.
    """
    wanted = json.loads(json.dumps(dataclasses.asdict(setting)))
    record = folder / "setting.json"
    if resume and record.exists():
        found = json.loads(record.read_text(encoding="utf-8"))
        for name in sorted(wanted.keys() | found.keys()):
            if wanted.get(name) != found.get(name):
                raise app.UsageError(
                    f"--resume must keep the setting of {record}. There `{name}` is "
                    f"{found.get(name)}. Received: {wanted.get(name)}"
                )
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in outputs:
        stale = folder / name
        if stale.is_dir():
            shutil.rmtree(stale)
        stale.unlink(missing_ok=True)
    artifacts.write_json(record, wanted)
