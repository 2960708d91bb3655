"""Python in a process of its own, in the checkout."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def lines(*arguments: str | os.PathLike, **environment: str) -> list[str]:
    """What a process that succeeds prints.

    Args:
        arguments: of the interpreter.
        environment: variables beside this process's.
    Raises: AssertionError: it failed; the end of its standard error is the message.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()
