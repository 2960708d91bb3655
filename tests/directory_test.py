"""docs/directory.md names what there is: each folder, and nothing that is gone."""

import pathlib
import re
import subprocess

import pytest

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_PAGE = _ROOT / "docs" / "directory.md"
_LISTED = ("tfrec", "cc_ops", "experiments", ".")  # each folder in these is on the page


def named_paths(markdown: str) -> set[str]:
    """Returns what stands in backticks and looks like a path of the project."""
    quoted = re.findall(r"`([A-Za-z_.][\w./-]*)`", markdown)
    return {name for name in quoted if "/" in name or (_ROOT / name).is_file()}


def tracked_folders() -> set[str]:
    """Returns each folder that holds files of the project, as `a/b/`."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout: its files can't be told from others")
    parents = {p for f in listed.stdout.split() for p in pathlib.PurePath(f).parents}
    return {f"{parent.as_posix()}/" for parent in parents if parent.parts}


def test_every_path_on_the_page_exists():
    paths = named_paths(_PAGE.read_text())
    assert len(paths) > 20
    assert sorted(path for path in paths if not (_ROOT / path).exists()) == []


def test_every_folder_is_on_the_page():
    folders = {
        folder
        for folder in tracked_folders()
        if pathlib.PurePath(folder).parent.as_posix() in _LISTED
        and not folder.startswith(".")
    }
    paths = named_paths(_PAGE.read_text())
    named = paths | {f"{path.partition('/')[0]}/" for path in paths}
    assert sorted(folders - named) == []
