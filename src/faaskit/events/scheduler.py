"""
Schedules that invoke functions: which there are, and when each fired last.

A schedule is part of the program; when it fired last is in the state folder. So what it missed
while no process was up is known at the next start, and is delivered late, as EventBridge
Scheduler does that tries for a day to reach its target. To fire is one transaction: the event
is in the queue and the moment is noted, or neither is. Two processes can't fire the same one.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from faaskit.clock import Clock, epoch_ms, from_epoch_ms
from faaskit.events.asynchronous import AsynchronousQueue
from faaskit.events.occurrences import Schedule
from faaskit.events.targets import Target
from faaskit.exceptions import DefinitionError
from faaskit.names import function_arn
from faaskit.resources.state import State

if TYPE_CHECKING:
    import sqlite3

__all__ = ["Scheduler"]

_log = logging.getLogger(__name__)

# So many events go into one transaction: others of the state folder wait for it.
_AT_ONCE = 500


class Scheduler:
    """
    Puts events into the queue when schedules are due. Safe to use from several threads.

    Args:
        queue: Where events go.
        state: Where it is kept when each fired last.
        clock: Decides what is due.
        region: The app's, for ARNs.
        account: The app's.
    """

    def __init__(
        self,
        queue: AsynchronousQueue,
        state: State,
        clock: Clock,
        *,
        region: str,
        account: str,
    ) -> None:
        self._queue = queue
        self._state = state
        self._clock = clock
        self._region = region
        self._account = account
        self._schedules: tuple[Schedule, ...] = ()  # replaced, never changed: threads read it
        self._declared: dict[tuple[str, str], datetime] = {}
        self._fired: dict[tuple[str, str], datetime] = {}  # what is known of the table
        # By schedule: after which moment it is due next, and when. To find that out takes longer
        # than what asks each time that it delivers.
        self._following: dict[tuple[str, str], tuple[datetime, datetime | None]] = {}

    def add(self, schedule: Schedule) -> None:
        """
        Have a schedule fire from now on.

        The first one of a function's new definition takes the place of all those of its
        earlier ones, as when a notebook's cell is run twice.

        Raises:
            DefinitionError: EventBridge does not take its expression or time zone; or another
                function's schedule has its name.
        """
        now = self._clock.now()
        schedule.after(now)
        kept = tuple(
            one
            for one in self._schedules
            if one.function != schedule.function or one.definition == schedule.definition
        )
        for one in kept:
            if one.name == schedule.name and one != schedule:
                msg = (
                    f"there is a schedule {one.name!r} already, {one.expression} of function "
                    f"{one.function!r}; pass name='…' to one"
                )
                raise DefinitionError(msg)
        if schedule not in kept:
            self._declared.setdefault(schedule.key, now)
            self._schedules = (*kept, schedule)

    def free_name(self, function: str, definition: int) -> str:
        """Return a name for one more schedule of a function's definition."""
        taken = {
            one.name
            for one in self._schedules
            if one.function != function or one.definition == definition
        }
        names = (function, *(f"{function[:60]}-{number}" for number in range(2, 1000)))
        return next(name for name in names if name not in taken)

    def fire_due(self) -> None:
        """Put the events of all that is due into the queue."""
        for schedule in self._schedules:
            while not self._fire(schedule):
                pass

    def next_due(self) -> datetime | None:
        """Return when the next one is due, past or future; None if none ever is."""
        due = [
            moment for one in self._schedules if (moment := self._next_of(one, self._known(one)))
        ]
        return min(due, default=None)

    def _fire(self, schedule: Schedule) -> bool:
        """Fire a schedule as often as it is due; return False if it may be due still."""
        now = self._clock.now()
        # A look costs microseconds, a transaction milliseconds. The first one is always made:
        # what an earlier process fired last is in the table alone.
        if schedule.key in self._fired:
            following = self._next_of(schedule, self._fired[schedule.key])
            if following is None or following > now:
                return True
        with self._state.writing() as connection:
            last = self._last(connection, schedule)
            fired = self._young(schedule, last, now)
            if fired > last and schedule.dead_letter:
                self._tell_of_missed(connection, schedule, last, fired)
            count = 0
            while count < _AT_ONCE:
                moment = schedule.after(fired)
                if moment is None or moment > now:
                    break
                self._enqueue(connection, schedule, moment)
                fired = moment
                count += 1
            connection.execute(
                "REPLACE INTO schedules (name, timing, fired_ms) VALUES (?, ?, ?)",
                (schedule.name, schedule.timing, epoch_ms(fired)),
            )
        self._fired[schedule.key] = fired
        return count < _AT_ONCE

    def _known(self, schedule: Schedule) -> datetime:
        return self._fired.get(schedule.key, self._declared[schedule.key])

    def _last(self, connection: sqlite3.Connection, schedule: Schedule) -> datetime:
        """Return when a schedule fired last; for one that is new, when it was declared."""
        row = connection.execute(
            "SELECT fired_ms FROM schedules WHERE name = ? AND timing = ?",
            (schedule.name, schedule.timing),
        ).fetchone()
        return self._declared[schedule.key] if row is None else from_epoch_ms(row[0])

    def _next_of(self, schedule: Schedule, fired: datetime) -> datetime | None:
        """Return when a schedule is due next, after it fired last."""
        known = self._following.get(schedule.key)
        if known is None or known[0] != fired:
            known = self._following[schedule.key] = fired, schedule.after(fired)
        return known[1]

    def _young(self, schedule: Schedule, fired: datetime, now: datetime) -> datetime:
        """Return ``fired``, or a later moment where what follows it is too old by now."""
        oldest = now - timedelta(seconds=schedule.max_event_age)
        passed = schedule.passed_over(fired, oldest)
        if passed > fired:
            _log.error(
                "schedule %r was due at %s and after, and no process was there: what is older than "
                "max_event_age, %d s, is not delivered",
                schedule.name,
                self._next_of(schedule, fired),
                schedule.max_event_age,
            )
        return passed

    def _tell_of_missed(
        self, connection: sqlite3.Connection, schedule: Schedule, last: datetime, until: datetime
    ) -> None:
        """Send what is not delivered any more to the dead-letter queue: the latest 500 of it."""
        why = {
            "SCHEDULE_ARN": ("String", f"arn:aws:scheduler:{self._place(schedule)}"),
            "TARGET_ARN": ("String", self._function_arn(schedule)),
            "ERROR_CODE": ("String", "EventAgeExceeded"),
            "ERROR_MESSAGE": ("String", "no process delivered it within max_event_age"),
            "EXHAUSTED_RETRY_CONDITION": ("String", "MaximumEventAgeInSeconds"),
            "RETRY_ATTEMPTS": ("Number", "0"),
        }
        letter = Target(schedule.dead_letter, attributes=why).text
        for one in schedule.latest(last, until, _AT_ONCE):
            self._queue.enqueue(
                connection, schedule.function, self._event(schedule, one), target=letter
            )

    def _place(self, schedule: Schedule) -> str:
        return f"{self._region}:{self._account}:schedule/default/{schedule.name}"

    def _function_arn(self, schedule: Schedule) -> str:
        return function_arn(schedule.function, region=self._region, account=self._account)

    def _enqueue(
        self, connection: sqlite3.Connection, schedule: Schedule, moment: datetime
    ) -> None:
        due = moment
        if schedule.flexible_window is not None:
            # Within the window, spread, and the same again should this transaction be undone.
            digest = hashlib.sha256(f"{schedule.name} {epoch_ms(moment)}".encode()).digest()
            share = int.from_bytes(digest[:8], "big") / 2**64
            due += timedelta(minutes=schedule.flexible_window) * share
        event = self._event(schedule, moment)
        self._queue.enqueue(connection, schedule.function, event, due=due)

    def _event(self, schedule: Schedule, moment: datetime) -> bytes:
        time = f"{moment:%Y-%m-%dT%H:%M:%S}Z"
        execution = str(uuid.uuid4())
        if schedule.input is None:
            rule = f"arn:aws:events:{self._region}:{self._account}:rule/{schedule.name}"
            event: dict[str, Any] = {
                "version": "0",
                "id": execution,
                "detail-type": "Scheduled Event",
                "source": "aws.events",
                "account": self._account,
                "time": time,
                "region": self._region,
                "resources": [rule],
                "detail": {},
            }
            return json.dumps(event).encode()
        text = schedule.input
        for name, value in (
            ("schedule-arn", f"arn:aws:scheduler:{self._place(schedule)}"),
            ("scheduled-time", time),
            ("execution-id", execution),
            ("attempt-number", "1"),
        ):
            text = text.replace(f"<aws.scheduler.{name}>", value)
        return text.encode()
