"""Builds the ops with Bazel: as the library, and linked into a binary.

`make bazel` runs this.
"""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_SCRIPT = """
import pathlib
import sys

from tfrec import ops

assert ops.library_path() == sys.argv[1], ops.library_path()
_, is_new = ops.visited_insert(ops.empty_bitmap(1, 100), [[70, 3, 70, -1]])
assert is_new.numpy().tolist() == [[True, True, False, False]], is_new
loaded = pathlib.Path("/proc/self/maps").read_text().split()
print(*{path for path in loaded if path.endswith("_tfrec_ops.so")})
"""
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        shutil.which("bazel-4") is None and shutil.which("bazel") is None,
        reason="Bazel is not installed; run tools/install_debian_packages.sh",
    ),
]


@pytest.fixture(scope="module")
def built():
    """The paths of the library and of the binary that Bazel builds."""
    targets = ["//:_tfrec_ops.so", "//tests/cc_ops:linked"]
    done = subprocess.run(
        [_ROOT / "tools" / "bazel_build.sh", *targets],
        env={**os.environ, "PYTHON_BIN_PATH": sys.executable},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [str(pathlib.Path(path).resolve()) for path in done.stdout.split()]


def test_the_library_runs_an_op(built):
    library, _ = built
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, library],
        env={**os.environ, "TFREC_OPS_LIBRARY": library},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [library]


def test_a_binary_that_links_the_ops_registers_them(built):
    _, binary = built
    done = subprocess.run([binary], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "Tfrec>VisitedInsert: op yes, kernel yes",
        "Tfrec>GraphExpand: op yes, kernel yes",
        "Tfrec>PathTopK: op yes, kernel yes",
    ]
