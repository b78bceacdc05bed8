"""AWS's rules on when an asynchronous invocation is tried again."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from faaskit.events.retries import Again, Dead, after_error, after_throttle

_T0 = datetime(2026, 1, 1, tzinfo=timezone.utc)


def _seconds(value: float) -> datetime:
    return _T0 + timedelta(seconds=value)


@pytest.mark.parametrize(
    ("attempts", "now", "due"), [(1, 0, 60), (2, 60, 180), (1, 7, 67), (2, 70, 190)]
)
def test_failure_is_tried_again(attempts: int, now: float, due: float) -> None:
    """One minute after the first failure, two after the second."""
    verdict = after_error(
        attempts=attempts,
        tried=_T0,
        now=_seconds(now),
        retry_attempts=2,
        max_event_age=21_600,
    )
    assert verdict == Again(_seconds(due))


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (2, 3), (0, 2)])
def test_attempts_are_exhausted(retries: int, attempts: int) -> None:
    """After the first and as many more as are set."""
    verdict = after_error(
        attempts=attempts, tried=_T0, now=_T0, retry_attempts=retries, max_event_age=21_600
    )
    assert verdict == Dead("RetriesExhausted")


@pytest.mark.parametrize(
    ("attempts", "now", "age", "outcome"),
    [
        (1, 0, 60, Again(_seconds(60))),
        (1, 1, 60, Dead("EventAgeExceeded")),
        (2, 61, 180, Dead("EventAgeExceeded")),
        (2, 60, 180, Again(_seconds(180))),
    ],
)
def test_no_room_for_another_attempt(
    attempts: int, now: float, age: int, outcome: Again | Dead
) -> None:
    """A retry that would come too late is not waited for."""
    verdict = after_error(
        attempts=attempts, tried=_T0, now=_seconds(now), retry_attempts=2, max_event_age=age
    )
    assert verdict == outcome


def test_throttles_back_off() -> None:
    """1, 2, 4 … seconds, up to five minutes, however often."""
    waits = []
    for throttles in [*range(1, 12), 100, 100_000]:
        verdict = after_throttle(throttles=throttles, tried=_T0, now=_T0, max_event_age=21_600)
        assert isinstance(verdict, Again)
        waits.append((verdict.due - _T0).total_seconds())
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300]


def test_throttles_end_with_the_events_age() -> None:
    """They use no attempts; only time ends them."""
    late = after_throttle(throttles=1, tried=_T0, now=_seconds(59), max_event_age=60)
    later = after_throttle(throttles=1, tried=_T0, now=_seconds(60), max_event_age=60)
    assert (late, later) == (Again(_seconds(60)), Dead("EventAgeExceeded"))
