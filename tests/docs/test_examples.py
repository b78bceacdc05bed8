"""The examples, run as a reader would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_EXAMPLES = Path(__file__).parents[2] / "examples"

_WANTED = {
    "clickstream": [
        *[f"2026-01-01T12:0{minute}:00Z / 30" for minute in range(3)],
        *[f"2026-01-01T12:0{minute}:00Z /pay 10" for minute in range(3)],
    ],
    "order_table": [
        "warehouse: A1 A2",
        "Dear ann, your order A1 is on its way.",
    ],
    "nightly_report": [
        "2026-03-27.txt sold for 10",
        "2026-03-28.txt sold for 30",
        "2026-03-30.txt sold for 100",
        "2026-03-31.txt sold for 150",
        "2026-04-01.txt sold for 210",
        "2026-04-02.txt sold for 280",
    ],
}


@pytest.mark.parametrize("name", sorted(_WANTED))
def test_example(name: str, tmp_path: Path) -> None:
    """It prints what its name promises."""
    ended = subprocess.run(
        [sys.executable, _EXAMPLES / f"{name}.py"],
        capture_output=True,
        text=True,
        timeout=100,
        cwd=tmp_path,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    said = [line.strip() for line in ended.stdout.splitlines()]
    missing = [line for line in _WANTED[name] if not any(line in one for one in said)]
    assert not missing, ended.stdout
    if name == "nightly_report":
        assert said == _WANTED[name]  # and none in the night without a two o'clock
