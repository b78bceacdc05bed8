"""
Time, as something that is passed in. Nothing above reads the wall clock by itself.

Durations of invocations are not this clock's business: they are measured, monotonic,
in the sandbox. This one decides *when*: retries, schedules, timestamps. What is stored
and compared is whole milliseconds since 1970, as AWS has them; floats would round.
"""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from typing import Protocol

__all__ = ["Clock", "SystemClock", "epoch_ms", "from_epoch_ms", "iso8601"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND = timedelta(milliseconds=1)


class Clock(Protocol):
    """What the time is, and how to wait for it to pass."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""

    def wait(self, condition: threading.Condition, until: datetime | None) -> None:
        """
        Wait on a held condition until it is notified or this clock shows ``until``.

        It may return early; callers look again. The moment is given, not a duration: a
        clock that is moved by hand between the caller's reckoning and this call would
        otherwise add the duration to the new time, and sleep through the moment.

        Args:
            condition: Held by the caller, and held again when this returns.
            until: Aware; None waits for the notification alone.
        """


class SystemClock:
    """The host's clock."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        return datetime.now(timezone.utc)

    def wait(self, condition: threading.Condition, until: datetime | None) -> None:
        """Wait on the condition, until that moment at the latest."""
        if until is None:
            condition.wait()
        else:
            condition.wait(max(0.0, (until - self.now()).total_seconds()))


def epoch_ms(moment: datetime) -> int:
    """Return the whole milliseconds from 1970 to an aware moment, rounded down."""
    return (moment - _EPOCH) // _MILLISECOND


def from_epoch_ms(milliseconds: int) -> datetime:
    """Return the aware moment, in UTC, of so many milliseconds after 1970."""
    return _EPOCH + milliseconds * _MILLISECOND


def iso8601(moment: datetime) -> str:
    """Return ``2026-01-01T00:00:00.000Z``: UTC, rounded down to the millisecond."""
    utc = moment.astimezone(timezone.utc)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"
