"""A script that ends without having closed anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(50)

SCRIPT = """
from faaskit import App, function

def echo(event, context):
    return event

print(function(echo).invoke("by itself").result())
print(App("of-an-app").function(echo).invoke("of an app").result())
"""


def test_it_says_nothing(tmp_path: Path) -> None:
    """What the interpreter clears up at the end, in whatever order, raises nothing."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "by itself\nof an app\n", "")
