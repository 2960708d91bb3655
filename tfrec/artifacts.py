"""One atomic, versioned, checksummed folder: data sets, indexes, exports.

A folder is written beside its final place, described by `meta.json`, flushed to
disk and renamed, so a reader sees a whole folder or none. `meta.json` holds
`kind`, `format`, what the writer adds, and bytes and sha256 of every file.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

META_NAME = "meta.json"
_CHUNK_BYTES = 1 << 20


class ArtifactError(ValueError):
    """A folder that breaks a rule: the message names file, rule and value."""


def sha256(path: str | os.PathLike) -> str:
    """Returns the hex sha256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with pathlib.Path(path).open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes `value` as JSON to a temporary sibling, flushes it and renames it.

    Raises: OSError: it can't be written; the message names `path`.
    """
    path = pathlib.Path(path)
    text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = pathlib.Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
    _fsync(path.parent)


@contextlib.contextmanager
def create(
    path: str | os.PathLike,
    *,
    kind: str,
    format: int = 1,
    meta: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> Iterator[pathlib.Path]:
    """Gives a temporary folder to fill, and moves it to `path` when the block ends.

    If the block raises, the temporary folder is removed and `path` stays as it was.
    With `overwrite` the old folder is moved aside and deleted after the new one is
    in place; between those two renames `path` does not exist.

    Args:
        path: the final folder; its parents are made.
        kind: what the folder is, for example `"dataset"`.
        format: version of the kind's layout.
        meta: goes into `meta.json`. Read when the block ends, so the block may fill
            it; `meta["files"][name]` is merged into that file's entry.
        overwrite: whether an existing `path` is replaced.
    Raises: ArtifactError: `path` exists and `overwrite` is False.
    """
    path = pathlib.Path(path).absolute()
    if path.exists() and not overwrite:
        raise ArtifactError(
            f"`path` must not exist yet, or pass overwrite=True. Received: {path}"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = pathlib.Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    try:
        folder.chmod(0o777 & ~_umask())
        yield folder
        extra = dict(meta or {})
        files = _describe(folder, extra.pop("files", {}))
        content = {"kind": kind, "format": format, **extra, "files": files}
        write_json(folder / META_NAME, content)
        _publish(folder, path, overwrite)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def load(
    path: str | os.PathLike, *, kind: str, format: int = 1, verify: bool = True
) -> dict[str, Any]:
    """Reads a folder's `meta.json` and checks the folder against it.

    Args:
        path: a folder that `create` wrote, or a data set in the same layout; a
            `meta.json` without `kind` counts as `"dataset"`.
        kind: the kind that it must have.
        format: the newest layout that the caller reads.
        verify: whether sizes and sha256 of all files are compared too.

    Returns: the content of `meta.json`.

    Raises:
        FileNotFoundError: there is no `meta.json`.
        ArtifactError: kind, format, a name, a size or a checksum is not as it must be.
    """
    path = pathlib.Path(path)
    source = path / META_NAME
    if not source.is_file():
        raise FileNotFoundError(f"`{source}` must exist: {path} is not an artifact.")
    try:
        meta = json.loads(source.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ArtifactError(f"`{source}` must be JSON. Received: {error}") from error
    if not isinstance(meta, dict) or not isinstance(meta.get("files"), dict):
        raise ArtifactError(f"`{source}` must be an object with `files`.")
    found = meta.get("kind", "dataset")
    if found != kind:
        raise ArtifactError(f"`{source}`: kind must be {kind!r}. Received: {found!r}")
    if meta.get("format") != format:
        raise ArtifactError(
            f"`{source}`: format must be {format}. Received: {meta.get('format')!r}"
        )
    for name, entry in meta["files"].items():
        _check_file(path, name, entry, verify)
    return meta


def latest_version(root: str | os.PathLike) -> pathlib.Path:
    """Returns the numbered folder of `root` with the highest number.

    Raises: FileNotFoundError: there is none.
    """
    versions = _versions(pathlib.Path(root))
    if not versions:
        raise FileNotFoundError(f"`root` must hold a numbered folder. Received: {root}")
    return pathlib.Path(root) / str(max(versions))


def next_version(root: str | os.PathLike) -> pathlib.Path:
    """Returns `root/<highest number + 1>`, which does not exist yet (1 if none)."""
    versions = _versions(pathlib.Path(root))
    return pathlib.Path(root) / str(max(versions, default=0) + 1)


def _versions(root: pathlib.Path) -> list[int]:
    if not root.is_dir():
        return []
    return [int(p.name) for p in root.iterdir() if p.is_dir() and p.name.isdecimal()]


def _check_file(folder: pathlib.Path, name: str, entry: dict, verify: bool) -> None:
    pure = pathlib.PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        raise ArtifactError(
            f"`{folder / META_NAME}`: a file must be inside. Received: {name!r}"
        )
    path = folder / name
    if not path.is_file():
        raise ArtifactError(f"`{path}` must exist: `{META_NAME}` lists it.")
    if not verify:
        return
    size = path.stat().st_size
    if size != entry.get("bytes", size):
        raise ArtifactError(
            f"`{path}` must have {entry['bytes']} bytes. Received: {size}"
        )
    found = sha256(path)
    if found != entry.get("sha256", found):
        raise ArtifactError(
            f"`{path}` must have sha256 {entry['sha256']}. Received: {found}"
        )


def _describe(folder: pathlib.Path, extra: dict[str, dict]) -> dict[str, dict]:
    """Flushes every file below `folder`, returns `{name: {..., bytes, sha256}}`."""
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = path.relative_to(folder).as_posix()
        _fsync(path)
        size = path.stat().st_size
        files[name] = {**extra.get(name, {}), "bytes": size, "sha256": sha256(path)}
    if missing := sorted(set(extra) - set(files)):
        raise ArtifactError(
            f"`meta['files']` must name written files. Received: {missing}"
        )
    return files


def _publish(folder: pathlib.Path, path: pathlib.Path, overwrite: bool) -> None:
    for inner in [p for p in folder.rglob("*") if p.is_dir()]:
        _fsync(inner)
    _fsync(folder)
    aside = None
    if overwrite and path.exists():
        aside = pathlib.Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        path.rename(aside / "old")
    try:
        folder.rename(path)
    except OSError as error:
        if aside is not None:
            (aside / "old").rename(path)
            aside.rmdir()
        raise ArtifactError(f"`{path}` must be free. Received: {error}") from error
    _fsync(path.parent)
    if aside is not None:
        shutil.rmtree(aside)


def _fsync(path: pathlib.Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
