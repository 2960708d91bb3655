"""Python in a process of its own, in the checkout."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]


def run(
    *arguments: str | os.PathLike, **environment: str
) -> subprocess.CompletedProcess:
    """A process that has ended; what it printed is text.

    Args:
        arguments: of the interpreter.
        environment: variables beside this process's.
    """
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def lines(*arguments: str | os.PathLike, **environment: str) -> list[str]:
    """What a process that succeeds prints; arguments as of `run`.

    Raises: AssertionError: it failed; the end of its standard error is the message.
    """
    done = run(*arguments, **environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()
