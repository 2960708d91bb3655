"""Memory of a process and all that it started, from `/proc`."""

import pathlib
from collections.abc import Iterator

_PROC = pathlib.Path("/proc")
_ALLOCATED = ("Pss_Anon:", "Pss_Shmem:", "SwapPss:")


def processes(pid: int) -> Iterator[int]:
    """A process and its descendants, those that still run."""
    yield pid
    try:
        tasks = list((_PROC / str(pid) / "task").iterdir())
        children = [(task / "children").read_text() for task in tasks]
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in " ".join(children).split():
        yield from processes(int(child))


def megabytes(pid: int) -> dict[int, float]:
    """What each process of a tree has allocated, in MiB, swapped out or not.

    Files that are mapped, such as libraries, do not count: how many of their pages are
    in memory depends on what else runs. Processes that end meanwhile are left out.
    """
    sizes = {}
    for one in processes(pid):
        try:
            text = (_PROC / str(one) / "smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        lines = (line.split() for line in text.splitlines())
        found = {words[0]: words[1] for words in lines if words[0] in _ALLOCATED}
        sizes[one] = sum(map(int, found.values())) / 1024
    return sizes


def total(pid: int) -> float:
    """The sum of a tree, in MiB."""
    return sum(megabytes(pid).values())
