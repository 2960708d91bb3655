"""Finds the exports that experiments wrote below a folder of runs."""

import dataclasses
import json
import pathlib

from tfrec import artifacts

KINDS = {"nann": "nann-export", "pdn": "pdn-export"}
COMMANDS = {
    "nann": "python -m experiments.nann.run --dataset=ml-100k",
    "pdn": "python -m experiments.pdn.run --dataset=ml-100k",
}


@dataclasses.dataclass(frozen=True)
class Export:
    """A version of an export.

    Attributes:
        root: the root of the versions.
        folder: the latest version.
        dataset: name of the data that it was trained on; None: not known.
    """

    root: pathlib.Path
    folder: pathlib.Path
    dataset: str | None


def find(runs: pathlib.Path, paper: str) -> Export:
    """The latest version of the export that was written last.

    Args:
        runs: a folder; exports may lie at any depth below it.
        paper: of `KINDS`.
    Raises: FileNotFoundError: there is none; the message says what makes one.
    """
    found = [
        path.parent
        for path in runs.rglob(f"[0-9]*/{artifacts.META_NAME}")
        if path.parent.name.isdecimal() and _kind(path) == KINDS[paper]
    ]
    if not found:
        raise FileNotFoundError(
            f"There must be an export of {paper} below {runs}. This makes one:\n"
            f"    {COMMANDS[paper]}"
        )
    newest = max(found, key=lambda path: (path / artifacts.META_NAME).stat().st_mtime)
    return at(newest.parent)


def at(root: pathlib.Path) -> Export:
    """The latest version of an export.

    Raises: FileNotFoundError: `root` holds no version.
    """
    folder = artifacts.latest_version(root)
    return Export(root, folder, _dataset(folder))


def _kind(meta: pathlib.Path) -> str | None:
    try:
        return json.loads(meta.read_text(encoding="utf-8")).get("kind")
    except (OSError, ValueError):
        return None


def _dataset(folder: pathlib.Path) -> str | None:
    from tfrec.serving import model_card

    try:
        return model_card.read(folder)["dataset"]["name"]
    except FileNotFoundError:
        return None
