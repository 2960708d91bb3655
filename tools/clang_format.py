"""Formats the C++ sources, or with `--check` lists those that are not formatted.

Usage: python tools/clang_format.py [--check]

Where clang-format is not installed, says so (`pip install clang-format`).
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import subprocess
import sys
import sysconfig

_ROOT = pathlib.Path(__file__).resolve().parent.parent


def find_clang_format() -> str | None:
    """Returns the clang-format of this environment, or the one on the path, or None."""
    scripts = sysconfig.get_path("scripts")
    return shutil.which("clang-format", path=scripts) or shutil.which("clang-format")


def main() -> int:
    """Runs clang-format over the sources and returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing")
    arguments = parser.parse_args()
    program = find_clang_format()
    if program is None:
        print("clang-format is not installed: the C++ sources were not looked at")
        return 0
    files = sorted(
        path
        for folder in ("cc_ops", "tests")
        for path in (_ROOT / folder).rglob("*")
        if path.suffix in (".c", ".cc", ".h")
    )
    mode = ["--dry-run", "--Werror"] if arguments.check else ["-i"]
    return subprocess.run([program, *mode, *map(str, files)], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
