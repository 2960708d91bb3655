"""Runs the ```` ```python ```` blocks of a Markdown file as a user would paste them."""

import os
import pathlib
import re
import subprocess
import sys
import textwrap

_FENCE = re.compile(
    r"^(?P<indent> *)```python *\n(?P<code>.*?)^(?P=indent)``` *$",
    re.MULTILINE | re.DOTALL,
)


def find_blocks(markdown: str) -> list[tuple[int, str]]:
    """Returns `(line, code)` of each block whose info string is `python` alone.

    `line` is the block's first line of code, counted from 1. A block opened by
    ```` ```python no-run ```` is left out.
    """
    return [
        (
            markdown[: match.start("code")].count("\n") + 1,
            textwrap.dedent(match["code"]),
        )
        for match in _FENCE.finditer(markdown)
    ]


def as_script(blocks: list[tuple[int, str]]) -> str:
    """Returns a file of all blocks, each on its own lines of the Markdown file."""
    lines: list[str] = []
    for line, code in blocks:
        lines += [""] * (line - 1 - len(lines)) + code.splitlines()
    return "\n".join(lines) + "\n"


def run_blocks(
    blocks: list[tuple[int, str]],
    name: str,
    folder: pathlib.Path,
    python: str = sys.executable,
) -> None:
    """Runs blocks one after the other in one new process, with `folder` as its home.

    The checkout is not on the import path: what the blocks import must be installed.

    Args:
        blocks: of `find_blocks`.
        name: the file that they come from; tracebacks name it and its lines.
        folder: where the process works, empty at first.
        python: the interpreter.
    Raises: AssertionError: the process failed; its output is the message.
    """
    script = folder / name
    script.write_text(as_script(blocks))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [python, script.name],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{name}:\n{done.stdout}\n{done.stderr}"
