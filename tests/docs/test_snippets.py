"""The README and the documentation tell the truth: their Python code runs, page by page."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser, SkipParser

_ROOT = Path(__file__).parents[2]
_PAGES = [_ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md"))]


def _script(page: Path) -> str:
    """
    Return the page's Python blocks as one script, each line on its line of the page.

    Left out: what follows a ``<!-- skip: next -->``. Added: what stands in a comment that
    begins with ``<!-- invisible-code-block: python``, for checks that a reader needs not see.
    """
    lines: list[str] = []

    def collect(example: Example) -> None:
        first = example.line + example.parsed.line_offset
        lines.extend([""] * (first - len(lines)))
        lines.extend(example.parsed.splitlines())

    document = Document.parse(str(page), CodeBlockParser("python", collect), SkipParser())
    for example in document:
        example.evaluate()
    return "\n".join(lines)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_code_of_the_page_runs(page: Path, tmp_path: Path) -> None:
    """A reader who pastes the page's blocks, one after another, into a file can run it."""
    script = tmp_path / "page.py"  # not the page's own name: it could be that of a module
    script.write_text(_script(page))
    # A script of its own, not exec() in here: functions in `__main__` travel by value.
    run = subprocess.run(
        [sys.executable, "-W", "error", script.name],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert run.returncode == 0, f"{page.name}:\n{run.stdout}{run.stderr}"
