"""Downloads with progress, checksum, resume, and a package-index fallback."""

import contextlib
import fcntl
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

from rich import console, progress

from tfrec import artifacts
from tfrec.data.errors import DataError

CONNECT_SECONDS = 5.0
_CHUNK_BYTES = 1 << 18


class DownloadError(DataError):
    """A source that can't be reached, or gives something else than expected."""


def fetch(
    url: str,
    target: pathlib.Path,
    sha256: str,
    *,
    connect_seconds: float = CONNECT_SECONDS,
) -> pathlib.Path:
    """Downloads a file to `target`, or continues where an earlier try stopped.

    What has come is in `<target>.part`; it is renamed once the checksum is right and
    removed when it is wrong. A `target` with the right checksum is kept.

    Args:
        url: http or https.
        target: the file; its folder is made.
        sha256: of the whole file, hex.
        connect_seconds: the longest wait for the first answer, name lookup included.
    Returns: `target`.
    Raises: DownloadError: no answer in time, a lost connection, or a wrong checksum.
    """
    if target.is_file() and artifacts.sha256(target) == sha256:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    have = part.stat().st_size if part.is_file() else 0
    try:
        response = _open(url, have, connect_seconds)
    except OSError as error:
        # 416: there is nothing after what we have.
        if getattr(error, "code", None) != 416 or not have:
            raise DownloadError(
                f"`{url}` must be reachable. Received: {error}"
            ) from error
    else:
        _receive(response, part, have, url)
    found = artifacts.sha256(part)
    if found != sha256:
        part.unlink()
        raise DownloadError(f"`{url}` must have sha256 {sha256}. Received: {found}")
    return part.replace(target)


def fetch_wheel(requirement: str, sha256: str, folder: pathlib.Path) -> pathlib.Path:
    """Downloads a wheel from the package index that pip is set up with.

    Nothing is installed.

    Args:
        requirement: `name==version`.
        sha256: of the wheel, hex.
        folder: where the wheel goes.
    Raises: DownloadError: pip fails, or the wheel has another checksum.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
    command += ["--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--dest", str(folder), requirement]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        reason = result.stderr.strip().splitlines()[-1:] or ["no message"]
        raise DownloadError(
            f"`{requirement}` must be available: is pip installed and the package "
            f"index reachable? Received: {reason[0]}"
        )
    wheels = list(folder.glob("*.whl"))
    found = artifacts.sha256(wheels[0]) if len(wheels) == 1 else f"{len(wheels)} files"
    if found != sha256:
        raise DownloadError(
            f"`{requirement}` must have sha256 {sha256}. Received: {found}"
        )
    return wheels[0]


def temporary_folder(near: pathlib.Path) -> tempfile.TemporaryDirectory:
    """A folder beside the data sets, removed at the end of a `with` block."""
    near.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=near, prefix=".download.")


@contextlib.contextmanager
def lock(path: pathlib.Path) -> Iterator[None]:
    """Lets one process at a time into the `with` block; the others wait.

    The file stays, empty: to delete it would let in two processes, one by the old file
    and one by a new one. A process that ends in any way gives the lock back.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _open(url: str, have: int, seconds: float) -> Any:
    """Opens a url in a thread of its own: a name lookup has no timeout of its own."""
    headers = {"User-Agent": "tfrec"}
    if have:
        headers["Range"] = f"bytes={have}-"
    request = urllib.request.Request(url, headers=headers)
    answer: queue.Queue = queue.Queue()

    def ask() -> None:
        try:
            answer.put(urllib.request.urlopen(request, timeout=seconds))
        except OSError as error:
            answer.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        response = answer.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer in {seconds:g} seconds") from None
    if isinstance(response, OSError):
        raise response
    return response


def _receive(response: Any, part: pathlib.Path, have: int, url: str) -> None:
    """Writes a response to `part`, after what it has if the server continues there."""
    continues = response.status == 206
    have = have if continues else 0
    length = response.headers.get("Content-Length")
    total = have + int(length) if length else None
    columns = (
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with (
        response,
        part.open("ab" if continues else "wb") as file,
        progress.Progress(*columns, console=console.Console(stderr=True)) as bar,
    ):
        task = bar.add_task(url.rsplit("/", 1)[-1], total=total, completed=have)
        try:
            while piece := response.read(_CHUNK_BYTES):
                file.write(piece)
                have += len(piece)
                bar.update(task, completed=have)
        except OSError as error:
            raise DownloadError(
                f"`{url}` must be read to its end. Received: {error} after {have} bytes"
            ) from error
    if total is not None and have != total:
        raise DownloadError(f"`{url}` must have {total} bytes. Received: {have}")
