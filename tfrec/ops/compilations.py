"""Counts the programs that XLA compiles.

TensorFlow has no public counter, but XLA writes one file a program into the folder
of `--xla_dump_to`. XLA reads its flags once, at its first use, so a process is
counted from its start: `run_counted` starts a new one, `start_counting` turns the
current one into one that counts.
"""

import dataclasses
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

_FLAG = "--xla_dump_to="
_ONE_FILE_A_PROGRAM = "*.before_optimizations.txt"


@dataclasses.dataclass(frozen=True)
class CountedRun:
    """A process that ended well: what it printed and how often XLA compiled."""

    stdout: str
    compilations: int


def num_compilations(directory: str | os.PathLike[str]) -> int:
    """Returns the number of programs compiled so far into a dump folder."""
    return sum(1 for _ in Path(directory).glob(_ONE_FILE_A_PROGRAM))


def dump_environment(directory: str | os.PathLike[str]) -> dict[str, str]:
    """Returns this process's environment with the dump folder set for a new one.

    Raises: ValueError: `XLA_FLAGS` names a dump folder already.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if _FLAG in flags:
        raise ValueError(f"`XLA_FLAGS` must not contain {_FLAG}. Received: {flags}")
    return {**os.environ, "XLA_FLAGS": f"{flags} {_FLAG}{directory}".strip()}


def start_counting(directory: str | os.PathLike[str]) -> None:
    """Lets this process dump from now on; call it before anything is compiled.

    Raises: RuntimeError: XLA has been used, so that it no longer reads its flags.
    """
    os.environ.update(dump_environment(directory))

    @tf.function(jit_compile=True)
    def probe(x: tf.Tensor) -> tf.Tensor:
        return x + 1.0

    before = num_compilations(directory)
    probe(tf.zeros(()))
    if num_compilations(directory) == before:
        raise RuntimeError(
            "`start_counting` must run before XLA's first use in the process. "
            f"Received: a process that writes nothing to {directory}"
        )


def run_counted(
    source: str, arguments: Sequence[str] = (), timeout: float = 300
) -> CountedRun:
    """Runs Python source in a new process and counts its compilations.

    A source that wants to count its own phases calls `num_compilations` on the folder
    that it finds in its last argument.

    Args:
        source: Python source text.
        arguments: `sys.argv[1:]` of the process; the dump folder is put behind.
        timeout: seconds after which the process is ended.
    Raises: RuntimeError: the process failed; the message holds its last lines.
        subprocess.TimeoutExpired: it took longer than `timeout`.
    """
    with tempfile.TemporaryDirectory(prefix="xla_dump_") as directory:
        process = subprocess.run(
            [sys.executable, "-c", source, *arguments, directory],
            env=dump_environment(directory),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if process.returncode:
            raise RuntimeError(
                "`source` must end with exit code 0. "
                f"Received: {process.returncode}\n{process.stderr[-4000:]}"
            )
        return CountedRun(process.stdout, num_compilations(directory))
