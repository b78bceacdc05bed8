"""When an asynchronous invocation that failed is tried again: AWS's rules. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from attrs import frozen

__all__ = ["Again", "Dead", "Reason", "Verdict", "after_error", "after_throttle", "overdue"]

Reason = Literal[
    "EventAgeExceeded",
    "RecursiveInvocation",
    "RetriesExhausted",
    "Undeliverable",
    "ZeroReservedConcurrency",
]

# After the first and the second attempt that failed.
_DELAYS = (timedelta(seconds=60), timedelta(seconds=120))
_FIRST_BACKOFF_SECONDS = 1
_LAST_BACKOFF_SECONDS = 300


@frozen
class Again:
    """Try again, not before ``due``."""

    due: datetime


@frozen
class Dead:
    """Give the event up."""

    reason: Reason


Verdict = Again | Dead


def after_error(
    *, attempts: int, tried: datetime, now: datetime, retry_attempts: int, max_event_age: int
) -> Verdict:
    """
    Say what follows on an attempt at which the function failed.

    Args:
        attempts: How many attempts failed, this one included.
        tried: When the event was first tried. Its age counts from there, not from when it
            was accepted: on AWS that is the same moment, and here nobody may have been
            running meanwhile.
        now: When the attempt ended.
        retry_attempts: The function's, 0 to 2.
        max_event_age: The function's, in seconds.
    """
    if attempts > retry_attempts:
        return Dead("RetriesExhausted")
    due = now + _DELAYS[min(attempts, len(_DELAYS)) - 1]
    return Dead("EventAgeExceeded") if overdue(tried, due, max_event_age) else Again(due)


def after_throttle(
    *, throttles: int, tried: datetime, now: datetime, max_event_age: int
) -> Verdict:
    """
    Say what follows when the function could not be run: a throttle, or a fault of the host.

    That is no attempt of the function's, and counts for none.

    Args:
        throttles: How often in a row, this time included.
        tried: When the event was first tried.
        now: When it could not be run.
        max_event_age: The function's, in seconds.
    """
    seconds = _LAST_BACKOFF_SECONDS
    if throttles <= _LAST_BACKOFF_SECONDS.bit_length():  # beyond it the cap holds anyway
        seconds = min(seconds, _FIRST_BACKOFF_SECONDS << (throttles - 1))
    due = now + timedelta(seconds=seconds)
    return Dead("EventAgeExceeded") if overdue(tried, due, max_event_age) else Again(due)


def overdue(tried: datetime, moment: datetime, max_event_age: int) -> bool:
    """Return whether an event is too old at a moment."""
    return moment - tried > timedelta(seconds=max_event_age)
