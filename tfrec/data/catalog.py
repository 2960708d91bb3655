"""Finds a data set by name: where sets live and how a missing one is got."""

import os
import pathlib

from tfrec.data import prepared
from tfrec.data.errors import DataError


def home(path: str | os.PathLike | None = None) -> pathlib.Path:
    """The folder of prepared sets: `path`, else `TFREC_DATA_HOME`, else a cache."""
    if path is None:
        path = os.environ.get("TFREC_DATA_HOME") or "~/.cache/tfrec"
    return pathlib.Path(path).expanduser()


def load(
    name: str, data_home: str | os.PathLike | None = None
) -> prepared.PreparedDataset:
    """Loads a prepared set, checked."""
    folder = home(data_home) / name
    if not (folder / "meta.json").is_file():
        raise DataError(f"`{name}` must be prepared in {folder}.")
    return prepared.read(folder)
