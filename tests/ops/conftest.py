"""What the op tests share."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

# The fuzz tests make hundreds of thousands of errors on purpose: do not log them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture
def run_python() -> Callable[..., str]:
    """Runs code in a new Python process and returns what it printed."""

    def run(code: str, *arguments: str) -> str:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
