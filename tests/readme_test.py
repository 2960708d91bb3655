"""Runs the Python blocks of README.md and the docs, a process a file."""

import pathlib

import pytest

from tests import code_blocks

_ROOT = pathlib.Path(__file__).resolve().parent.parent
_PAGES = sorted(
    page.relative_to(_ROOT).as_posix()
    for page in [*_ROOT.glob("*.md"), *(_ROOT / "docs").rglob("*.md")]
    if code_blocks.find_blocks(page.read_text())
)


@pytest.mark.parametrize("page", _PAGES)
def test_python_blocks_run(page, tmp_path):
    blocks = code_blocks.find_blocks((_ROOT / page).read_text())
    code_blocks.run_blocks(blocks, pathlib.PurePath(page).name, tmp_path)


def test_blocks_are_found_with_their_lines():
    markdown = (
        "# A\n\n```python\na = 1\n\nb = 2\n```\n"
        "```python no-run\nbroken(\n```\n```\ntext\n```\n"
        "- item\n\n  ```python\n  if a:\n      c = 3\n  ```\n"
    )
    blocks = code_blocks.find_blocks(markdown)
    assert blocks == [(4, "a = 1\n\nb = 2\n"), (17, "if a:\n    c = 3\n")]


def test_a_failing_block_is_reported_with_its_line(tmp_path):
    blocks = code_blocks.find_blocks(
        "```python\na = 1\n```\ntext\n```python\nassert a == 2\n```\n"
    )
    with pytest.raises(AssertionError, match=r'page\.md", line 6'):
        code_blocks.run_blocks(blocks, "page.md", tmp_path)
