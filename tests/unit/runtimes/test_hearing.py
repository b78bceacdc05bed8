"""Outcomes of a session: the duration of a call that was killed ends with the kill."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from faaskit.runtimes.contract import Limits
from faaskit.runtimes.hearing import Hearing, message_limits
from faaskit.sandbox.line import Line, Verdict

_MS = 1_000_000


@pytest.fixture
def line() -> Iterator[Line]:
    """A line with nobody on it."""
    made = Line(message_limits(Limits(128, 3)))
    yield made
    made.close()


def _duration_ms(line: Line, began: int, killed: int) -> float:
    hearing = Hearing(line, "invoke")
    facts = {"ending": "timeout", "cpu_ns": 0, "peak": 0, "throttled_ns": 0, "at": killed}
    assert list(hearing.hear(Verdict(facts), began)) == []
    assert hearing.outcome is not None
    return hearing.outcome.usage.duration_ms


def test_duration_ends_with_the_kill_however_late_it_is_heard(line: Line) -> None:
    """The launcher knows when that was; the app may have been busy for seconds since."""
    began = time.monotonic_ns() - 5_000 * _MS
    assert _duration_ms(line, began, began + 1_003 * _MS) == 1_003


def test_duration_is_never_negative_nor_ahead_of_time(line: Line) -> None:
    """Whatever moment the verdict names."""
    began = time.monotonic_ns() - 10 * _MS
    assert _duration_ms(line, began, began - 1) == 0
    assert 10 <= _duration_ms(line, began, began + 10**15) < 10_000
