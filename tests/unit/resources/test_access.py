"""The record of what functions asked for: kept, merged over runs, and never in the way."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from faaskit.iam.suggestion import Asked
from faaskit.resources.access import AccessRecord
from faaskit.resources.state import State
from faaskit.runtimes.contract import Permission
from faaskit.testing import FakeClock

_GET = Permission("s3:GetObject", "arn:aws:s3:::b/k", "Allow")
_DENIED = Permission("s3:PutObject", "arn:aws:s3:::b/k", "ImplicitDeny")


def _record(folder: Path | None) -> tuple[AccessRecord, State, FakeClock]:
    state, clock = State(folder, app="a"), FakeClock("2026-01-01T00:00:00Z")
    return AccessRecord(state, clock), state, clock


def _rows(folder: Path) -> int:
    with sqlite3.connect(folder / "state.sqlite") as connection:
        (count,) = connection.execute("SELECT count(*) FROM access").fetchone()
    connection.close()
    return int(count)


def test_it_is_kept_over_runs(tmp_path: Path) -> None:
    """The latest decision counts, from whichever run."""
    folder = tmp_path / "state"
    record, state, _ = _record(folder)
    record.note("f", [_GET, _DENIED])
    record.write()
    state.close()
    again, state, _ = _record(folder)
    again.note("f", [Permission("s3:PutObject", "arn:aws:s3:::b/k", "Allow")])
    again.note("g", [_GET])
    assert sorted(again.asked("f"), key=lambda one: one.action) == [
        Asked("s3:GetObject", "arn:aws:s3:::b/k", "Allow"),
        Asked("s3:PutObject", "arn:aws:s3:::b/k", "Allow"),
    ]
    state.close()


def test_what_is_known_is_not_written_again(tmp_path: Path) -> None:
    """A write for each call would make every call wait for the disk."""
    folder = tmp_path / "state"
    record, state, clock = _record(folder)
    for _ in range(3):
        record.note("f", [_GET])
    assert not folder.exists()
    clock.advance(seconds=6)
    record.note("f", [_DENIED])
    assert _rows(folder) == 2
    with sqlite3.connect(folder / "state.sqlite") as connection:
        connection.execute("DELETE FROM access")
    connection.close()
    clock.advance(seconds=6)
    record.note("f", [_GET, _DENIED])
    record.write()
    assert _rows(folder) == 0
    state.close()


def test_it_is_bounded() -> None:
    """A function may ask for a new resource in each call, for ever."""
    record, state, _ = _record(None)
    for number in range(10_100):
        record.note("f", [Permission("s3:GetObject", f"arn:aws:s3:::b/{number}", "Allow")])
    assert len(record.asked("f")) == 10_000
    state.close()


def test_a_disk_that_fails_is_told_and_fails_no_call(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a record for people."""
    folder = tmp_path / "state"
    folder.write_text("a file, where the folder should be")
    record, state, _ = _record(folder)
    record.note("f", [_GET])
    record.write()
    assert "could not be written down" in caplog.text
    state.close()


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    """A function chooses the names it asks for: half a surrogate pair must not lose the others."""
    folder = tmp_path / "state"
    record, state, _ = _record(folder)
    record.note("f", [_GET, Permission("s3:GetObject", "arn:aws:s3:::b/\ud800", "ImplicitDeny")])
    record.write()
    state.close()
    again, state, _ = _record(folder)
    assert {one.resource for one in again.asked("f")} == {
        "arn:aws:s3:::b/k",
        "arn:aws:s3:::b/\\ud800",
    }
    state.close()
