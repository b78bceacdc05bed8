"""
The durable queue of asynchronous invocations, a table of the state folder.

What goes to a queue, bus or bucket instead of a function, such as the record of a failure, waits
in it, too: an event with a *target*, sent under the role of the function that it is about.

An event is claimed by one process at a time, for one attempt. The claim carries the
process's token, whose lock the kernel lets go of when the process dies: a claim by one
that is gone is taken over at the next look, with no lease to wait for and none to renew.
A claim also has a number of its own, so that an answer which comes after the claim was
handed back changes nothing. What is delivered at least once may be delivered twice: where
a process dies between the end of an invocation and its being noted here.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from attrs import field, frozen

from faaskit.clock import Clock, epoch_ms, from_epoch_ms
from faaskit.definition import ASYNC_REQUEST_LIMIT_BYTES
from faaskit.events.details import DETAIL_CHARACTERS
from faaskit.events.retries import Again, Verdict
from faaskit.events.targets import Target
from faaskit.exceptions import PayloadError
from faaskit.gate.lineage import current
from faaskit.resources.state import State

if TYPE_CHECKING:
    import sqlite3

__all__ = [
    "AsynchronousQueue",
    "DeadEvent",
    "Delivery",
    "Onward",
    "PendingEvent",
]

_KEPT_DEAD = 1000

# A claim that no one is at any more. Where it was the first, the event was not tried: its age
# counts from a try that came to an end, or an event could be too old that no one ever got.
_FREE = (
    "UPDATE events SET owner = NULL,"
    " tried_ms = CASE WHEN attempts = 0 AND throttles = 0 THEN NULL ELSE tried_ms END"
    " WHERE owner = ?"
)


@frozen
class PendingEvent:
    """
    An asynchronous invocation that is not done.

    Attributes:
        function: Its name.
        event: JSON.
        accepted: When it was; aware.
        due: When it is tried next, at the earliest; aware.
        attempts: How many failed so far.
        under_way: Whether some process is at it.
        target: The ARN that it goes to; empty for an invocation of the function.
        detail: What was wrong the last time; empty where nothing was.
    """

    request_id: str
    function: str
    event: bytes = field(repr=False)
    accepted: datetime
    due: datetime
    attempts: int
    under_way: bool
    target: str = ""
    detail: str = ""


@frozen
class DeadEvent:
    """
    An asynchronous invocation that was given up; the last 1,000 are kept.

    Attributes:
        function: Its name.
        event: JSON.
        accepted: When it was; aware.
        died: When it was given up; aware.
        attempts: How many failed.
        reason: Why it was not tried again.
        detail: What was wrong the last time.
        target: The ARN that it was to go to; empty for an invocation of the function.
        id: For ``redrive``.
    """

    request_id: str
    function: str
    event: bytes = field(repr=False)
    accepted: datetime
    died: datetime
    attempts: int
    reason: str
    detail: str
    target: str = ""
    id: int = 0


@frozen
class Delivery:
    """
    A claim on an event, for one attempt.

    Attributes:
        tried: When it was first tried; its age counts from there.
        attempts: How many failed before this one.
        throttles: How often in a row it could not be run.
        fresh: Whether this is the first try of all.
        owner: The claiming process's token.
        claim: The number of the claim.
        target: JSON of where it goes; None for an invocation of the function.
        depth: How many invocations stand behind it.
    """

    id: int
    request_id: str
    function: str
    event: bytes = field(repr=False)
    accepted: datetime
    tried: datetime
    attempts: int
    throttles: int
    fresh: bool
    owner: str
    claim: int
    target: str | None = None
    depth: int = 0


@frozen
class Onward:
    """
    What follows from the end of a delivery, in one transaction with it.

    Attributes:
        target: Where it goes, as JSON.
        content: What goes there.
    """

    target: str
    content: bytes = field(repr=False)


class AsynchronousQueue:
    """
    Events that wait for their functions. Safe to use from several threads and processes.

    Args:
        state: Where they are kept.
        clock: Decides what is due.
    """

    def __init__(self, state: State, clock: Clock) -> None:
        self._state = state
        self._clock = clock

    def send(self, function: str, event: bytes) -> str:
        """
        Accept an event; it is durable when this returns.

        Returns:
            The request id, the same for every attempt.

        Raises:
            PayloadError: It is over Lambda's limit of 1 MB.
        """
        with self._state.writing() as connection:
            return self.enqueue(connection, function, event)

    def enqueue(
        self,
        connection: sqlite3.Connection,
        function: str,
        event: bytes,
        *,
        due: datetime | None = None,
        target: str | None = None,
        depth: int | None = None,
    ) -> str:
        """
        Accept an event as a part of the transaction that it follows from.

        Args:
            connection: Of that transaction.
            function: Its name.
            event: JSON.
            due: Not before then; aware. Default: at once.
            target: Where it goes, as JSON, if not to the function itself: that one's role is
                asked; an empty name is the app's own.
            depth: How many invocations stand behind it; by default, those of this thread.

        Returns:
            The request id.

        Raises:
            PayloadError: It is over Lambda's limit of 1 MB.
        """
        if target is None and len(event) > ASYNC_REQUEST_LIMIT_BYTES:
            msg = (
                f"{len(event)} byte payload is too large for the Event invocation type "
                f"(limit {ASYNC_REQUEST_LIMIT_BYTES} bytes)"
            )
            raise PayloadError(msg, size=len(event), limit=ASYNC_REQUEST_LIMIT_BYTES)
        request_id = str(uuid.uuid4())
        now = epoch_ms(self._clock.now())
        connection.execute(
            "INSERT INTO events (request_id, function, event, accepted_ms, due_ms, target, depth)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                request_id,
                function,
                event,
                now,
                now if due is None else epoch_ms(due),
                target,
                current() if depth is None else depth,
            ),
        )
        return request_id

    def claim(self, functions: Collection[str]) -> Delivery | None:
        """
        Claim the next event that is due, in the order of due time, then of acceptance.

        Args:
            functions: Names; events for others wait for a process that has them. Of what has
                a target, the empty name is always among them.

        Returns:
            The claim; None where nothing is due. It ends by ``done``, ``settle`` or
            ``hand_back``.
        """
        with self._state.reading() as connection:
            # A look costs microseconds, a transaction milliseconds.
            if self._next(connection, functions) is None:
                return None
        with self._state.writing() as connection:
            event_id = self._next(connection, functions)
            if event_id is None:
                return None
            connection.execute(
                "UPDATE events SET owner = ?, claim = claim + 1 WHERE id = ?",
                (self._state.token, event_id),
            )
            row = connection.execute(
                "SELECT id, request_id, function, event, accepted_ms, tried_ms, attempts,"
                " throttles, owner, claim, target, depth FROM events WHERE id = ?",
                (event_id,),
            ).fetchone()
            now = self._clock.now()
            if row[5] is None:
                connection.execute(
                    "UPDATE events SET tried_ms = ? WHERE id = ?", (epoch_ms(now), event_id)
                )
        return Delivery(
            id=row[0],
            request_id=row[1],
            function=row[2],
            event=row[3],
            accepted=from_epoch_ms(row[4]),
            tried=now if row[5] is None else from_epoch_ms(row[5]),
            attempts=row[6],
            throttles=row[7],
            fresh=row[5] is None,
            owner=row[8],
            claim=row[9],
            target=row[10],
            depth=row[11],
        )

    def done(self, delivery: Delivery, *, onward: Sequence[Onward] = ()) -> None:
        """
        Note that it succeeded.

        Args:
            delivery: The claim.
            onward: What follows from it.
        """
        with self._state.writing() as connection:
            gone = connection.execute(
                "DELETE FROM events WHERE id = ? AND owner = ? AND claim = ?", _key(delivery)
            )
            if gone.rowcount:
                self._send_onward(connection, delivery, onward)

    def _send_onward(
        self, connection: sqlite3.Connection, delivery: Delivery, onward: Sequence[Onward]
    ) -> None:
        for one in onward:
            self.enqueue(
                connection,
                delivery.function,
                one.content,
                target=one.target,
                depth=delivery.depth + (delivery.target is None),
            )

    def settle(
        self,
        delivery: Delivery,
        verdict: Verdict,
        *,
        attempts: int,
        throttles: int,
        detail: str,
        onward: Sequence[Onward] = (),
    ) -> None:
        """
        Note that an attempt failed, and what follows from it.

        Args:
            delivery: The claim.
            verdict: What follows.
            attempts: How many failed by now.
            throttles: How often in a row it could not be run by now.
            detail: What was wrong.
            onward: What follows from it where it is given up.
        """
        with self._state.writing() as connection:
            if isinstance(verdict, Again):
                connection.execute(
                    "UPDATE events SET owner = NULL, due_ms = ?, attempts = ?, throttles = ?,"
                    " detail = ? WHERE id = ? AND owner = ? AND claim = ?",
                    (
                        epoch_ms(verdict.due),
                        attempts,
                        throttles,
                        detail[:DETAIL_CHARACTERS],
                        *_key(delivery),
                    ),
                )
                return
            gone = connection.execute(
                "DELETE FROM events WHERE id = ? AND owner = ? AND claim = ?", _key(delivery)
            )
            if gone.rowcount:
                self.bury(
                    connection,
                    request_id=delivery.request_id,
                    function=delivery.function,
                    event=delivery.event,
                    accepted=delivery.accepted,
                    attempts=attempts,
                    reason=verdict.reason,
                    detail=detail,
                    target=delivery.target,
                )
                self._send_onward(connection, delivery, onward)

    def bury(
        self,
        connection: sqlite3.Connection,
        *,
        request_id: str,
        function: str,
        event: bytes,
        accepted: datetime,
        attempts: int,
        reason: str,
        detail: str,
        target: str | None = None,
    ) -> None:
        """Keep what was given up among the last 1,000 of its kind, in a transaction."""
        connection.execute(
            "INSERT INTO dead_events (request_id, function, event, accepted_ms, died_ms,"
            " attempts, reason, detail, target) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                request_id,
                function,
                event,
                epoch_ms(accepted),
                epoch_ms(self._clock.now()),
                attempts,
                reason,
                detail[:DETAIL_CHARACTERS],
                target,
            ),
        )
        connection.execute(
            "DELETE FROM dead_events WHERE id <= (SELECT MAX(id) FROM dead_events) - ?",
            (_KEPT_DEAD,),
        )

    def redrive(self, dead: DeadEvent) -> str | None:
        """
        Have an event that was given up delivered again, as a new one.

        Returns:
            Its new request id; None where it is among the dead no more.
        """
        with self._state.writing() as connection:
            row = connection.execute(
                "SELECT event, target FROM dead_events WHERE id = ? AND request_id = ?",
                (dead.id, dead.request_id),
            ).fetchone()
            if row is None:
                return None
            connection.execute("DELETE FROM dead_events WHERE id = ?", (dead.id,))
            return self.enqueue(connection, dead.function, row[0], target=row[1], depth=0)

    def hand_back(self, delivery: Delivery) -> None:
        """Give a claim up as if it had never been: the event is due as before."""
        with self._state.writing() as connection:
            connection.execute(
                "UPDATE events SET owner = NULL,"
                " tried_ms = CASE WHEN ? THEN NULL ELSE tried_ms END"
                " WHERE id = ? AND owner = ? AND claim = ?",
                (delivery.fresh, *_key(delivery)),
            )

    def hand_back_all(self, *, but: Collection[tuple[int, int]] = ()) -> None:
        """
        Give up all claims of this process.

        Args:
            but: Those that are under way, as (event's id, claim's number).
        """
        token = self._state.token
        with self._state.reading() as connection:
            held = connection.execute("SELECT id, claim FROM events WHERE owner = ?", (token,))
            lost = set(held.fetchall()).difference(but)
        if lost:
            with self._state.writing() as connection:
                connection.executemany(
                    f"{_FREE} AND id = ? AND claim = ?",
                    [(token, *claim) for claim in sorted(lost)],
                )

    def next_due(self, functions: Collection[str]) -> datetime | None:
        """Return when the next unclaimed event is due, past or future; None if there is none."""
        query = f"SELECT MIN(due_ms) FROM events WHERE owner IS NULL AND {_among(functions)}"  # noqa: S608
        with self._state.reading() as connection:
            (due,) = connection.execute(query, tuple(functions)).fetchone()
        return None if due is None else from_epoch_ms(due)

    def stranded(self, functions: Collection[str]) -> dict[str, int]:
        """Return how many events wait for each function that is not among these."""
        query = (
            "SELECT function, COUNT(*) FROM events"  # noqa: S608
            f" WHERE NOT ({_among(functions)}) GROUP BY function ORDER BY function"
        )
        with self._state.reading() as connection:
            return dict(connection.execute(query, tuple(functions)).fetchall())

    def pending(self) -> list[PendingEvent]:
        """Return what is not done, in the order in which it is due."""
        with self._state.reading() as connection:
            rows = connection.execute(
                "SELECT request_id, function, event, accepted_ms, due_ms, attempts,"
                " owner IS NOT NULL, target, detail FROM events ORDER BY due_ms, id"
            ).fetchall()
        return [
            PendingEvent(
                request_id=row[0],
                function=row[1],
                event=row[2],
                accepted=from_epoch_ms(row[3]),
                due=from_epoch_ms(row[4]),
                attempts=row[5],
                under_way=bool(row[6]),
                target=_arn(row[7]),
                detail=row[8],
            )
            for row in rows
        ]

    def dead(self) -> list[DeadEvent]:
        """Return what was given up, the latest last."""
        with self._state.reading() as connection:
            rows = connection.execute(
                "SELECT request_id, function, event, accepted_ms, died_ms, attempts, reason,"
                " detail, target, id FROM dead_events ORDER BY id"
            ).fetchall()
        return [
            DeadEvent(
                request_id=row[0],
                function=row[1],
                event=row[2],
                accepted=from_epoch_ms(row[3]),
                died=from_epoch_ms(row[4]),
                attempts=row[5],
                reason=row[6],
                detail=row[7],
                target=_arn(row[8]),
                id=row[9],
            )
            for row in rows
        ]

    def _next(self, connection: sqlite3.Connection, functions: Collection[str]) -> int | None:
        row = connection.execute(
            "SELECT id FROM events WHERE owner IS NULL AND due_ms <= ?"  # noqa: S608
            f" AND {_among(functions)} ORDER BY due_ms, id LIMIT 1",
            (epoch_ms(self._clock.now()), *functions),
        ).fetchone()
        return None if row is None else int(row[0])

    def take_over(self) -> None:
        """Free the claims of processes that are gone."""
        with self._state.reading() as connection:
            owners = connection.execute(
                "SELECT DISTINCT owner FROM events WHERE owner IS NOT NULL"
            ).fetchall()
        gone = [owner for (owner,) in owners if not self._state.is_alive(owner)]
        if gone:
            with self._state.writing() as connection:
                connection.executemany(_FREE, [(owner,) for owner in gone])


def _key(delivery: Delivery) -> tuple[int, str, int]:
    return delivery.id, delivery.owner, delivery.claim


def _arn(target: str | None) -> str:
    return "" if target is None else Target.parse(target).arn


def _among(functions: Collection[str]) -> str:
    places = ", ".join("?" * len(functions))
    return f"(function IN ({places}) OR (function = '' AND target IS NOT NULL))"
