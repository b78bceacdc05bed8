"""
When a schedule fires: EventBridge's ``rate``, ``cron`` and ``at``. Pure.

As strict as EventBridge's rules, plus ``at``, which only EventBridge Scheduler has. Time zones
and daylight-saving time are Scheduler's: a time that the clocks skip does not fire, and one
that they show twice fires the first time.

Source: EventBridge User Guide, "Setting a schedule pattern for scheduled rules"; EventBridge
Scheduler User Guide, "Schedule types".
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from attrs import frozen

from faaskit.exceptions import DefinitionError

__all__ = ["next_fire"]

_UTC = timezone.utc
_RATE = re.compile(r"rate\((\d{1,9}) (minute|hour|day)(s?)\)", re.ASCII)
_AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)", re.ASCII)
_CRON = re.compile(r"cron\(([^()]*)\)")
_MONTH_NAMES = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES.split(), 1)}
_DAYS = {
    name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), 1)
}
_ZONE_HOURS = timedelta(hours=26)  # no two clocks differ by more

# Of a year and month: on which days.
_DaysOf = Callable[[int, int], "set[int]"]


def next_fire(expression: str, after: datetime, timezone: str = "UTC") -> datetime | None:
    """
    Return when a schedule fires next.

    Args:
        expression: ``rate(5 minutes)``, ``cron(0 8 ? * MON-FRI *)``,
            ``at(2026-01-01T08:00:00)``.
        after: Aware. The result is strictly later; a rate counts from here.
        timezone: IANA's name; what ``cron`` and ``at`` are read in.

    Returns:
        The moment, in UTC; None if it never fires again.

    Raises:
        DefinitionError: EventBridge does not take such an expression, or there is no such zone;
            or ``after`` has no time zone.
    """
    if after.tzinfo is None:
        msg = f"after={after!r} has no time zone; pass an aware datetime"
        raise DefinitionError(msg)
    return _parsed(expression)(after.astimezone(_UTC), _zone(timezone))


_Fires = Callable[[datetime, ZoneInfo], "datetime | None"]


@lru_cache(maxsize=1024)
def _parsed(expression: str) -> _Fires:
    if not isinstance(expression, str):
        _refuse(expression, "it is no text")
    if found := _RATE.fullmatch(expression):
        return _rate(expression, int(found[1]), found[2], plural=bool(found[3]))
    if found := _AT.fullmatch(expression):
        return _at(expression, found[1])
    if found := _CRON.fullmatch(expression):
        return _Cron.parse(expression, found[1]).after
    return _refuse(
        expression,
        "write rate(VALUE UNIT), cron(MINUTES HOURS DAY-OF-MONTH MONTH DAY-OF-WEEK YEAR) or "
        "at(YYYY-MM-DDTHH:MM:SS)",
    )


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        msg = f"there is no time zone {name!r}; pass one of IANA's, such as 'Europe/Berlin'"
        raise DefinitionError(msg) from error


def _refuse(expression: object, why: str) -> NoReturn:
    msg = f"{expression!r} is no schedule that EventBridge takes: {why}"
    raise DefinitionError(msg)


def _rate(expression: str, value: int, unit: str, *, plural: bool) -> _Fires:
    if value < 1:
        _refuse(expression, "the value is at least 1")
    if plural == (value == 1):
        _refuse(expression, f"it is 'rate(1 {unit})', and 'rate(2 {unit}s)'")
    step = timedelta(**{f"{unit}s": value})

    def after(moment: datetime, _: ZoneInfo) -> datetime | None:
        try:
            return moment + step
        except OverflowError:
            return None

    return after


def _at(expression: str, text: str) -> _Fires:
    try:
        local = datetime.fromisoformat(text)
    except ValueError as error:
        _refuse(expression, str(error))

    def after(moment: datetime, zone: ZoneInfo) -> datetime | None:
        fires = _in_utc(local, zone)
        return fires if fires is not None and fires > moment else None

    return after


def _in_utc(local: datetime, zone: ZoneInfo) -> datetime | None:
    """Return the moment when clocks first show a time; None where they skip it."""
    try:
        fires = local.replace(tzinfo=zone).astimezone(_UTC)
        shown = fires.astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        return None
    return fires if shown == local else None


@frozen
class _Field:
    """One of cron's six fields: its range, and names for its values."""

    name: str
    low: int
    high: int
    names: dict[str, int]

    def values(self, expression: str, text: str) -> tuple[int, ...]:
        """Return what a field names, in order."""
        found: set[int] = set()
        for part in text.split(","):
            span, slash, step_text = part.partition("/")
            step = self._number(expression, step_text, 1, self.high) if slash else 1
            if span == "*":
                found.update(range(self.low, self.high + 1, step))
                continue
            first_text, dash, last_text = span.partition("-")
            first = self.value(expression, first_text)
            end = self.high if slash else first
            last = self.value(expression, last_text) if dash else end
            if first <= last:
                found.update(range(first, last + 1, step))
            else:  # over the end, as in 20-2
                size = self.high - self.low + 1
                reach = range(first, last + size + 1, step)
                found.update((one - self.low) % size + self.low for one in reach)
        return tuple(sorted(found))

    def value(self, expression: str, text: str) -> int:
        """Return a value by its number or name."""
        named = self.names.get(text.upper())
        return self._number(expression, text, self.low, self.high) if named is None else named

    def _number(self, expression: str, text: str, low: int, high: int) -> int:
        if not re.fullmatch(r"[0-9]{1,4}", text) or not low <= int(text) <= high:
            _refuse(expression, f"{text!r} in {self.name} is not a number from {low} to {high}")
        return int(text)


_MINUTES = _Field("minutes", 0, 59, {})
_HOURS = _Field("hours", 0, 23, {})
_DAY_OF_MONTH = _Field("day-of-month", 1, 31, {})
_MONTH = _Field("month", 1, 12, _MONTHS)
_DAY_OF_WEEK = _Field("day-of-week", 1, 7, _DAYS)
_YEAR = _Field("year", 1970, 2199, {})


@frozen
class _Cron:
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: _DaysOf
    months: tuple[int, ...]
    years: tuple[int, ...]

    @classmethod
    def parse(cls, expression: str, text: str) -> _Cron:
        fields = text.split()
        if len(fields) != 6:  # noqa: PLR2004 - cron's
            _refuse(expression, f"it has {len(fields)} fields, and cron has six")
        minutes, hours, of_month, month, of_week, year = fields
        if (of_month == "?") == (of_week == "?"):
            _refuse(expression, "exactly one of day-of-month and day-of-week is '?'")
        if of_week == "?":
            days = _days_of_month(expression, of_month)
        else:
            days = _days_of_week(expression, of_week)
        return cls(
            minutes=_MINUTES.values(expression, minutes),
            hours=_HOURS.values(expression, hours),
            days=days,
            months=_MONTH.values(expression, month),
            years=_YEAR.values(expression, year),
        )

    def after(self, moment: datetime, zone: ZoneInfo) -> datetime | None:
        """Return the first moment after another; None if there is none."""
        try:
            # A day early: where clocks were put back, an earlier time may come later.
            begin = (moment - _ZONE_HOURS).astimezone(zone).replace(tzinfo=None)
            floor = (moment.astimezone(zone) - timedelta(hours=4)).replace(tzinfo=None)
        except OverflowError:
            begin = floor = datetime(1, 1, 1)  # noqa: DTZ001 - a clock's, of some zone
        for day in self._dates(begin):
            for hour in self.hours:
                if day.date() == floor.date() and hour < floor.hour:
                    continue
                for minute in self.minutes:
                    local = day.replace(hour=hour, minute=minute)
                    if local < floor:
                        continue
                    fires = _in_utc(local, zone)
                    if fires is not None and fires > moment:
                        return fires
        return None

    def _dates(self, begin: datetime) -> Iterator[datetime]:
        for year in self.years:
            if year < begin.year:
                continue
            for month in self.months:
                if (year, month) < (begin.year, begin.month):
                    continue
                for day in sorted(self.days(year, month)):
                    date = datetime(year, month, day)  # noqa: DTZ001 - a clock's, of some zone
                    if date.date() >= begin.date():
                        yield date


def _days_of_month(expression: str, text: str) -> _DaysOf:
    if text == "L":
        return lambda year, month: {_length(year, month)}
    if found := re.fullmatch(r"([0-9]{1,2})W", text):
        wanted = _DAY_OF_MONTH.value(expression, found[1])
        return lambda year, month: _weekday_nearest(year, month, wanted)
    days = set(_DAY_OF_MONTH.values(expression, text))
    return lambda year, month: {day for day in days if day <= _length(year, month)}


def _days_of_week(expression: str, text: str) -> _DaysOf:
    if text == "L":
        text = "SAT"  # the week's last day
    if found := re.fullmatch(r"(\w+)#([0-9])", text):
        day = _DAY_OF_WEEK.value(expression, found[1])
        nth = int(found[2])
        if not 1 <= nth <= 5:  # noqa: PLR2004 - of the weeks in a month
            _refuse(expression, f"{text!r} in day-of-week: '#' is followed by 1 to 5")
        return lambda year, month: set(_those(year, month, day)[nth - 1 : nth])
    if found := re.fullmatch(r"(\w+)L", text):
        day = _DAY_OF_WEEK.value(expression, found[1])
        return lambda year, month: set(_those(year, month, day)[-1:])
    days = _DAY_OF_WEEK.values(expression, text)
    return lambda year, month: {one for day in days for one in _those(year, month, day)}


def _length(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1]


def _those(year: int, month: int, day_of_week: int) -> list[int]:
    """Return the days of a month that are of one day of the week, 1 being Sunday."""
    first = calendar.monthrange(year, month)[0]  # of the month's first day; 0 is Monday
    start = 1 + (day_of_week - 2 - first) % 7
    return list(range(start, _length(year, month) + 1, 7))


def _weekday_nearest(year: int, month: int, wanted: int) -> set[int]:
    """Return the Monday to Friday nearest to a day, within its month."""
    length = _length(year, month)
    if wanted > length:
        return set()
    of_week = calendar.weekday(year, month, wanted)
    if of_week == calendar.SATURDAY:
        return {wanted - 1 if wanted > 1 else wanted + 2}
    if of_week == calendar.SUNDAY:
        return {wanted + 1 if wanted < length else wanted - 2}
    return {wanted}
