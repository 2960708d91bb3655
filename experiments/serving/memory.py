"""Memory of a process and all that it started, from `/proc`."""

import pathlib
from collections.abc import Iterator

_PROC = pathlib.Path("/proc")


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
    """Proportional set size of each process of a tree, in MiB.

    A page that several processes share counts for each of them in parts, so the sum is
    what the tree takes. Processes that end meanwhile are left out.
    """
    sizes = {}
    for one in processes(pid):
        try:
            text = (_PROC / str(one) / "smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        sizes[one] = next(
            int(line.split()[1]) / 1024
            for line in text.splitlines()
            if line.startswith("Pss:")
        )
    return sizes


def total(pid: int) -> float:
    """The sum of a tree, in MiB."""
    return sum(megabytes(pid).values())
