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
import math
import re
import uuid
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from faaskit.clock import Clock, epoch_ms, from_epoch_ms
from faaskit.events.asynchronous import MAX_EVENT_BYTES, AsynchronousQueue
from faaskit.events.targets import Target
from faaskit.exceptions import DefinitionError
from faaskit.names import function_arn
from faaskit.resources.state import State

if TYPE_CHECKING:
    import sqlite3

__all__ = ["NextFire", "Schedule", "Scheduler"]

_log = logging.getLogger(__name__)

# Says when an expression fires next after a moment, in a time zone; None for never.
NextFire = Callable[[str, datetime, str], datetime | None]

_NAME = re.compile(r"[0-9A-Za-z_.-]{1,64}")
_WINDOW_MINUTES = (1, 1440)
_AGE_SECONDS = (60, 86_400)
# So many events go into one transaction: others of the state folder wait for it.
_AT_ONCE = 500


@frozen
class Schedule:
    """
    When a function is invoked by itself, and with what.

    Attributes:
        name: 1 to 64 of ``[0-9A-Za-z_.-]``.
        function: Its name.
        definition: Which of that function's definitions asked for it.
        expression: ``rate(…)``, ``cron(…)`` or ``at(…)``.
        timezone: IANA's name; what ``cron`` and ``at`` are read in.
        start: It does not fire before; aware.
        end: It does not fire after; aware.
        flexible_window: Minutes within which an event is delivered, 1 to 1440; None: at once.
        input: The event, as JSON; None: EventBridge's.
        max_event_age: Seconds after which what was missed is not delivered any more, 60 to
            86400.
        dead_letter: ARN of the queue for what was missed and is too old; empty for none.

    Raises:
        DefinitionError: A value out of EventBridge Scheduler's range.
    """

    name: str
    function: str
    definition: int
    expression: str
    timezone: str = "UTC"
    start: datetime | None = None
    end: datetime | None = None
    flexible_window: int | None = None
    input: str | None = field(default=None, repr=False)
    max_event_age: int = _AGE_SECONDS[1]
    dead_letter: str = ""

    def __attrs_post_init__(self) -> None:
        what = f"schedule {self.name!r}"
        if not _NAME.fullmatch(self.name):
            msg = f"{what}: a name has 1 to 64 characters of 0-9, A-Z, a-z, '-', '_' and '.'"
            raise DefinitionError(msg)
        if self.flexible_window is not None:
            _check_range(what, "flexible_window", self.flexible_window, _WINDOW_MINUTES)
        _check_range(what, "max_event_age", self.max_event_age, _AGE_SECONDS)
        for name, moment in (("start", self.start), ("end", self.end)):
            if moment is not None and moment.tzinfo is None:
                msg = f"{what}: {name}={moment!r} has no time zone; pass an aware datetime"
                raise DefinitionError(msg)
        if self.start is not None and self.end is not None and self.end <= self.start:
            msg = f"{what}: end={self.end.isoformat()} is not after start={self.start.isoformat()}"
            raise DefinitionError(msg)
        if self.input is not None and len(self.input.encode()) > MAX_EVENT_BYTES:
            msg = f"{what}: its input has over {MAX_EVENT_BYTES} bytes, Lambda's limit"
            raise DefinitionError(msg)

    @property
    def key(self) -> tuple[str, str]:
        """Its name and timing: one of the name that has another timing begins anew."""
        return self.name, self.timing

    @property
    def timing(self) -> str:
        """What decides when it fires."""
        start = "" if self.start is None else self.start.isoformat()
        return f"{self.expression} {self.timezone} {start}"


def _check_range(what: str, name: str, value: object, limits: tuple[int, int]) -> None:
    low, high = limits
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        msg = f"{what}: {name}={value!r} is out of range; AWS takes a whole number {low} to {high}"
        raise DefinitionError(msg)


class Scheduler:
    """
    Puts events into the queue when schedules are due. Safe to use from several threads.

    Args:
        queue: Where events go.
        state: Where it is kept when each fired last.
        clock: Decides what is due.
        next_fire: Reads expressions.
        region: The app's, for ARNs.
        account: The app's.
    """

    def __init__(
        self,
        queue: AsynchronousQueue,
        state: State,
        clock: Clock,
        next_fire: NextFire,
        *,
        region: str,
        account: str,
    ) -> None:
        self._queue = queue
        self._state = state
        self._clock = clock
        self._next_fire = next_fire
        self._region = region
        self._account = account
        self._schedules: tuple[Schedule, ...] = ()  # replaced, never changed: threads read it
        self._declared: dict[tuple[str, str], datetime] = {}
        self._fired: dict[tuple[str, str], datetime] = {}  # what is known of the table

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
        self._next_fire(schedule.expression, now, schedule.timezone)
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
        due = [moment for one in self._schedules if (moment := self._after(one, self._known(one)))]
        return min(due, default=None)

    def _fire(self, schedule: Schedule) -> bool:
        """Fire a schedule as often as it is due; return False if it may be due still."""
        now = self._clock.now()
        # A look costs microseconds, a transaction milliseconds. The first one is always made:
        # what an earlier process fired last is in the table alone.
        if schedule.key in self._fired:
            following = self._after(schedule, self._fired[schedule.key])
            if following is None or following > now:
                return True
        with self._state.writing() as connection:
            last = self._last(connection, schedule)
            fired = self._young(schedule, last, now)
            if fired > last and schedule.dead_letter:
                self._tell_of_missed(connection, schedule, last, fired)
            count = 0
            while count < _AT_ONCE:
                moment = self._after(schedule, fired)
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

    def _young(self, schedule: Schedule, fired: datetime, now: datetime) -> datetime:
        """Return ``fired``, or a later moment where what follows it is too old by now."""
        oldest = now - timedelta(seconds=schedule.max_event_age)
        first = self._after(schedule, fired)
        if first is None or first >= oldest:
            return fired
        _log.error(
            "schedule %r was due at %s and after, and no process was there: what is older than "
            "max_event_age, %d s, is not delivered",
            schedule.name,
            first.isoformat(),
            schedule.max_event_age,
        )
        if not schedule.expression.startswith("rate"):
            return oldest - timedelta(milliseconds=1)
        # The last moment before: the next ones keep in step, without going through all.
        second = self._next_fire(schedule.expression, first, "UTC")
        assert second is not None  # a rate has no end of its own
        step = second - first
        return first + (math.ceil((oldest - first) / step) - 1) * step

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
        for one in self._missed(schedule, last, until):
            self._queue.enqueue(
                connection, schedule.function, self._event(schedule, one), target=letter
            )

    def _missed(self, schedule: Schedule, last: datetime, until: datetime) -> deque[datetime]:
        """Return the latest 500 moments at which it was due, up to one."""
        missed: deque[datetime] = deque(maxlen=_AT_ONCE)
        back = timedelta(days=1)
        while True:
            # From ever earlier on: to go through a year of minutes takes too long.
            since = max(last, until - back)
            if schedule.expression.startswith("rate"):
                since = self._in_step(schedule, last, since)
            missed.clear()
            moment = self._after(schedule, since)
            while moment is not None and moment <= until:
                missed.append(moment)
                moment = self._after(schedule, moment)
            if since <= last or len(missed) == _AT_ONCE:
                return missed
            back *= 8

    def _in_step(self, schedule: Schedule, last: datetime, since: datetime) -> datetime:
        """Return the last moment up to another at which a rate was due, counted from one."""
        first = self._after(schedule, last)
        if first is None or first >= since:
            return last
        second = self._next_fire(schedule.expression, first, "UTC")
        assert second is not None  # a rate has no end of its own
        return first + (since - first) // (second - first) * (second - first)

    def _place(self, schedule: Schedule) -> str:
        return f"{self._region}:{self._account}:schedule/default/{schedule.name}"

    def _function_arn(self, schedule: Schedule) -> str:
        return function_arn(schedule.function, region=self._region, account=self._account)

    def _after(self, schedule: Schedule, moment: datetime) -> datetime | None:
        """Return when a schedule fires next, strictly after a moment."""
        start, end = schedule.start, schedule.end
        if start is not None and moment < start:
            if schedule.expression.startswith("rate"):
                return start
            moment = start - timedelta(microseconds=1)
        following = self._next_fire(schedule.expression, moment, schedule.timezone)
        return None if following is None or (end and following > end) else following

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
