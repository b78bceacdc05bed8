"""What an app's events are at, each as one line tells it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from attrs import frozen

from faaskit.events.asynchronous import DeadEvent, PendingEvent

__all__ = ["EventStatus", "statuses"]


@frozen
class EventStatus:
    """
    An event that is not done, a batch that is tried again, or what was given up.

    Attributes:
        state: ``queued``, ``in flight``, ``retrying`` or ``dead``.
        function: The name of the function that it is for.
        id: The request id; of a batch its shard and where it begins.
        what: The ARN that it goes to, or a batch's source; empty for an invocation.
        accepted: When it came in; None for a batch. Aware.
        due: When it is tried next; of the dead, when they died. Aware.
        attempts: How many failed.
        reason: Of the dead, why they are.
        detail: What was wrong the last time.
    """

    state: str
    function: str
    id: str
    what: str
    accepted: datetime | None
    due: datetime
    attempts: int
    reason: str = ""
    detail: str = ""


def statuses(
    pending: Iterable[PendingEvent], batches: Iterable[EventStatus], dead: Iterable[DeadEvent]
) -> list[EventStatus]:
    """Return what waits, in the order in which it is due, then what was given up."""
    waiting = [
        EventStatus(
            "in flight" if one.under_way else "retrying" if one.detail else "queued",
            one.function,
            one.request_id,
            one.target,
            one.accepted,
            one.due,
            one.attempts,
            detail=one.detail,
        )
        for one in pending
    ]
    given_up = [
        EventStatus(
            "dead",
            one.function,
            one.request_id,
            one.target,
            one.accepted,
            one.died,
            one.attempts,
            one.reason,
            one.detail,
        )
        for one in dead
    ]
    return [*sorted([*waiting, *batches], key=lambda one: one.due), *given_up]
