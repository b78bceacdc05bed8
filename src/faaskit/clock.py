"""
Time, as something that is passed in. Nothing above reads the wall clock by itself.

Durations of invocations are not this clock's business: they are measured, monotonic,
in the sandbox. This one decides *when*: retries, schedules, timestamps.
"""

from __future__ import annotations

import threading
from datetime import datetime, timezone
from typing import Protocol

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """What the time is, and how to wait for it to pass."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """
        Wait on a held condition until it is notified or ``seconds`` of this clock passed.

        A clock that is moved by hand notifies nobody by itself; it returns at once when
        the time has come already and otherwise waits for the notification.
        """


class SystemClock:
    """The host's clock."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""
        return datetime.now(timezone.utc)

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """Wait on the condition, for that long at the most."""
        condition.wait(seconds)
