"""Puts warm-up records into an export: as its next version, whole or not at all.

A version that a server may read is never changed: two files would have to change at
once, the records and `meta.json` with their checksum. So the version is copied beside
itself with other records. A server that watches the folder loads and warms up the copy,
then switches to it.
"""

import json
import os
import pathlib
import shutil
from collections.abc import Sequence
from typing import Any

from tensorflow.core.protobuf import saved_model_pb2

from tfrec import artifacts
from tfrec.serving import warmup
from tfrec.serving.apis import prediction_log_pb2

# What `artifacts.create` writes itself.
_OWN, _OWN_OF_FILE = ("kind", "format", "files"), ("bytes", "sha256")


def version_folder(path: str | os.PathLike) -> pathlib.Path:
    """The folder itself if it is a version, else the latest one in it.

    Raises: FileNotFoundError: neither.
    """
    path = pathlib.Path(path)
    if (path / artifacts.META_NAME).is_file():
        return path
    return artifacts.latest_version(path)


def signatures(folder: pathlib.Path) -> dict[str, Any]:
    """`SignatureDef` by name, read from the SavedModel without loading it."""
    content = (folder / "saved_model.pb").read_bytes()
    (graph,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    return dict(graph.signature_def)


def copy_with_records(
    folder: pathlib.Path, records: Sequence[prediction_log_pb2.PredictionLog]
) -> pathlib.Path:
    """Makes the next version: the files of `folder`, and these warm-up records.

    Files that do not change are the same files on disk (hard links) where the file
    system allows it. `meta.json` says of which version it is a copy.

    Raises:
        FileNotFoundError: `folder` has no `meta.json`.
        artifacts.ArtifactError: it is not as its `meta.json` says, or another export
            took the version meanwhile.
    """
    meta = json.loads((folder / artifacts.META_NAME).read_text(encoding="utf-8"))
    kind, format = meta.get("kind", ""), meta.get("format", 0)
    meta = artifacts.load(folder, kind=kind, format=format)
    files = {k: v for k, v in meta["files"].items() if k != warmup.PATH.as_posix()}
    extra = {k: v for k, v in meta.items() if k not in _OWN}
    extra["copy_of_version"] = folder.name
    extra["files"] = {
        name: {k: v for k, v in entry.items() if k not in _OWN_OF_FILE}
        for name, entry in files.items()
    }
    target = artifacts.next_version(folder.parent)
    with artifacts.create(target, kind=kind, format=format, meta=extra) as temporary:
        for name in files:
            (temporary / name).parent.mkdir(parents=True, exist_ok=True)
            _link_or_copy(folder / name, temporary / name)
        (temporary / warmup.PATH).parent.mkdir(parents=True, exist_ok=True)
        warmup.write(temporary, records)
    return target


def _link_or_copy(source: pathlib.Path, target: pathlib.Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)
