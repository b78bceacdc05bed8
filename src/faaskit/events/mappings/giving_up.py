"""What follows from records that are not tried again: a record of it, and a dead event."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen

from faaskit.clock import Clock, from_epoch_ms
from faaskit.definition import ASYNC_REQUEST_LIMIT_BYTES
from faaskit.events.asynchronous import AsynchronousQueue
from faaskit.events.details import in_log
from faaskit.events.mappings.lane import Lane
from faaskit.events.mappings.records import batch_record, batch_target
from faaskit.events.mappings.sources import Row
from faaskit.events.targets import kind_of

if TYPE_CHECKING:
    import sqlite3

__all__ = ["GivenUp", "GivingUp"]

_log = logging.getLogger(__name__)


class Named(Protocol):
    """What is needed of a Function."""

    @property
    def name(self) -> str:
        """Unique in the app."""

    @property
    def arn(self) -> str:
        """Unqualified."""


@frozen
class GivenUp:
    """
    Records that are not tried again, or the end of a window.

    Attributes:
        rows: The records; none of a window's end.
        condition: ``RetryAttemptsExhausted`` or ``RecordAgeExceeded``.
        attempts: How many failed.
        detail: What was wrong the last time.
        request_id: Of the last attempt.
        failed: Whether the function raised; else its answer named what failed.
        event: Of a window's end: what the function did not take.
    """

    rows: Sequence[Row] = field(repr=False)
    condition: str
    attempts: int
    detail: str
    request_id: str
    failed: bool = False
    event: Any = field(default=None, repr=False)


class GivingUp:
    """
    Notes what was given up, in the transaction that passes over it.

    Args:
        queue: Where records for destinations wait, and dead events are.
        clock: For when it was.
    """

    def __init__(self, queue: AsynchronousQueue, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock

    def note(
        self, connection: sqlite3.Connection, function: Named, lane: Lane, over: GivenUp
    ) -> None:
        """
        Keep it among the dead events, and have the mapping's destination told.

        Of a window's end no destination is told: AWS has no record of one.
        """
        now = self._clock.now()
        event = over.event
        if over.rows:
            event = {"Records": [row.entry for row in over.rows]}
        payload = json.dumps(event)
        kept, accepted = payload.encode(), now
        if over.rows:
            record = self._tell(connection, function, lane, over, payload)
            accepted = from_epoch_ms(over.rows[0].arrived_ms)
            if len(kept) > ASYNC_REQUEST_LIMIT_BYTES:
                kept = record  # it could not be delivered again: the record says where it was
        self._queue.bury(
            connection,
            request_id=over.request_id,
            function=function.name,
            event=kept,
            accepted=accepted,
            attempts=over.attempts,
            reason=over.condition,
            detail=over.detail,
        )
        what = f"{len(over.rows)} records" if over.rows else "the end of a window"
        _log.error(
            "%s of %s for %r: given up (%s): %s",
            what,
            lane.arn,
            function.name,
            over.condition,
            in_log(over.detail),
        )

    def _tell(
        self,
        connection: sqlite3.Connection,
        function: Named,
        lane: Lane,
        over: GivenUp,
        payload: str,
    ) -> bytes:
        """Put the record for the destination into the queue, if there is one; return it."""
        chosen = lane.mapping.settings.on_failure
        now = self._clock.now()
        record = batch_record(
            kind=lane.mapping.kind,
            now=now,
            request_id=over.request_id,
            function_arn=function.arn,
            condition=over.condition,
            attempts=over.attempts,
            failed=over.failed,
            shard_id=lane.shard.id,
            stream_arn=lane.arn,
            rows=over.rows,
            payload=payload if chosen is not None and kind_of(chosen) == "bucket" else None,
        )
        if chosen is not None:
            target = batch_target(
                chosen,
                mapping=lane.mapping.uuid,
                shard_id=lane.shard.id,
                now=now,
                unique=over.request_id,
            )
            self._queue.enqueue(connection, function.name, record, target=target.text)
        return record
