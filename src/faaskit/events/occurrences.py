"""
A schedule, and the moments at which it is due. Pure.

What was missed can be long: a year of minutes. Nothing here goes through all of it.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import field, frozen

from faaskit.definition import ASYNC_REQUEST_LIMIT_BYTES
from faaskit.events.schedules import next_fire
from faaskit.exceptions import DefinitionError

__all__ = ["Schedule"]

_NAME = re.compile(r"[0-9A-Za-z_.-]{1,64}")
_WINDOW_MINUTES = (1, 1440)
_AGE_SECONDS = (60, 86_400)


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
        if self.input is not None and len(self.input.encode()) > ASYNC_REQUEST_LIMIT_BYTES:
            msg = f"{what}: its input has over {ASYNC_REQUEST_LIMIT_BYTES} bytes, Lambda's limit"
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

    def after(self, moment: datetime) -> datetime | None:
        """Return when it fires next, strictly after a moment; None for never."""
        start, end = self.start, self.end
        if start is not None and moment < start:
            if self._is_rate:
                return start
            moment = start - timedelta(microseconds=1)
        following = next_fire(self.expression, moment, self.timezone)
        return None if following is None or (end and following > end) else following

    def passed_over(self, fired: datetime, oldest: datetime) -> datetime:
        """
        Return the moment from which on to go, where what is too old is not delivered.

        Args:
            fired: When it fired last.
            oldest: What was due before is too old.

        Returns:
            ``fired``, if nothing is too old.
        """
        first = self.after(fired)
        if first is None or first >= oldest:
            return fired
        # For cron any moment does; a rate keeps in step.
        before = oldest - timedelta(milliseconds=1)
        return self._in_step(fired, before) if self._is_rate else before

    def latest(self, fired: datetime, until: datetime, most: int) -> Sequence[datetime]:
        """Return the last moments, so many at the most, at which it was due, up to one."""
        found: deque[datetime] = deque(maxlen=most)
        back = timedelta(days=1)
        while True:  # from ever earlier on
            since = max(fired, until - back)
            if self._is_rate:
                since = self._in_step(fired, since)
            found.clear()
            moment = self.after(since)
            while moment is not None and moment <= until:
                found.append(moment)
                moment = self.after(moment)
            if since <= fired or len(found) == most:
                return found
            back *= 8

    @property
    def _is_rate(self) -> bool:
        return self.expression.startswith("rate")

    def _in_step(self, fired: datetime, until: datetime) -> datetime:
        """Return the last moment up to another at which a rate was due; where none, ``fired``."""
        first = self.after(fired)
        if first is None or first > until:
            return fired
        second = next_fire(self.expression, first, "UTC")
        assert second is not None  # a rate has no end of its own
        return first + (until - first) // (second - first) * (second - first)


def _check_range(what: str, name: str, value: object, limits: tuple[int, int]) -> None:
    low, high = limits
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        msg = f"{what}: {name}={value!r} is out of range; AWS takes a whole number {low} to {high}"
        raise DefinitionError(msg)
