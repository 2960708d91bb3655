"""Finished shards on disk, so that a build that was stopped goes on."""

import json
import os
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfrec import artifacts
from tfrec.artifacts import ArtifactError
from tfrec.pdn.index_shards import Shard

_SETTINGS = "settings.json"


class ShardFolder:
    """The folder `<index>.shards`: a file a shard, which appears whole or not at all.

    Any number of processes that see the folder may write shards; one that is written
    twice is replaced by its equal.

    Args:
        path: of the index.
    """

    def __init__(self, path: str | os.PathLike):
        path = pathlib.Path(path).absolute()
        self.folder = path.with_name(f"{path.name}.shards")

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Makes the folder, or checks that it is of a build of the same settings.

        Raises: ArtifactError: a setting differs; it and both values are named.
        """
        file = self.folder / _SETTINGS
        if not file.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            artifacts.write_json(file, dict(settings))
            return
        found = json.loads(file.read_text(encoding="utf-8"))
        for name in sorted({*found, *settings}):
            if found.get(name) != settings.get(name):
                raise ArtifactError(
                    f"`{self.folder}` holds shards of another build: {name} must be "
                    f"{settings.get(name)!r}. Received: {found.get(name)!r}. Remove "
                    "the folder to begin anew."
                )

    def __contains__(self, number: int) -> bool:
        return self._file(number).is_file()

    def __setitem__(self, number: int, shard: Shard) -> None:
        handle, name = tempfile.mkstemp(dir=self.folder, prefix=f".{number}.")
        temporary = pathlib.Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(
                    file,
                    neighbours=shard.neighbours,
                    similarities=shard.similarities,
                    num_pairs=np.int64(shard.num_pairs),
                )
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._file(number))
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def __getitem__(self, number: int) -> Shard:
        file = self._file(number)
        try:
            with np.load(file, allow_pickle=False) as arrays:
                return Shard(
                    arrays["neighbours"],
                    arrays["similarities"],
                    int(arrays["num_pairs"]),
                )
        except (zipfile.BadZipFile, KeyError, EOFError, ValueError) as error:
            raise ArtifactError(
                f"`{file}` must be a shard; remove it to build it again. "
                f"Received: {error}"
            ) from error

    def remove(self) -> None:
        """Deletes the folder."""
        shutil.rmtree(self.folder)

    def _file(self, number: int) -> pathlib.Path:
        return self.folder / f"{number:08d}.npz"
