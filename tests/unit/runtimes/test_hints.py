"""What a caller is told about a file that a function in a jail did not find."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from faaskit import Invoker, function
from faaskit.runtimes.hints import hint

pytestmark = pytest.mark.timeout(60)


def _opens(event: Any, _context: Any) -> Any:
    with Path(event["path"]).open(event.get("mode", "r"), encoding="utf-8") as file:
        return file.read()


opens = function(_opens)


@pytest.fixture(scope="module")
def invoker() -> Any:
    """One for all: each call is a new environment anyway."""
    with Invoker(isolation="namespace") as made:
        yield made


def _error(invoker: Invoker, path: object, mode: str = "r") -> str:
    invocation = invoker.invoke(opens, {"path": str(path), "mode": mode})
    assert invocation.status == "error"
    return str(invocation.error)


def test_a_file_that_the_host_has_names_readable(invoker: Invoker, tmp_path: Path) -> None:
    """The message is the exception's, and then says what would open the file."""
    file = tmp_path / "it's here.csv"
    file.write_text("1,2")
    error = _error(invoker, file)
    assert error.startswith("FileNotFoundError: [Errno 2]")
    assert f"pass readable=[{str(file)!r}]" in error
    assert invoker.invoke(function(_opens, readable=[str(file)]), {"path": str(file)}).ok


def test_a_file_that_the_host_has_not_is_just_that(invoker: Invoker, tmp_path: Path) -> None:
    """No hint where none would help."""
    assert "readable" not in _error(invoker, tmp_path / "nowhere")
    assert "readable" not in _error(invoker, "relative")


def test_writing_beside_tmp_says_where_one_can(invoker: Invoker) -> None:
    """The view is read-only."""
    assert "a function can write to /tmp alone" in _error(invoker, "/usr/mine", "w")


def test_a_state_folder_is_not_to_be_opened(tmp_path: Path) -> None:
    """Nobody is told to open what stays shut."""
    inside = tmp_path / "state" / "faaskit.db"
    inside.parent.mkdir()
    inside.touch()
    payload = json.dumps({"errorMessage": f"[Errno 2] No such file or directory: '{inside}'"})
    told = hint(payload.encode(), frozenset({str(inside.parent)}))
    assert "use its bucket" in told
    assert "readable" not in told


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b"7",
        b'{"errorMessage": 3}',
        b'{"errorMessage": "[Errno 2]"}',
        b"[" * 9999,
    ],
)
def test_whatever_comes_is_taken(payload: bytes) -> None:
    """An error object may be hostile code's own."""
    assert not hint(payload, frozenset())
