"""When schedules fire, against an oracle that looks at every minute of the clock."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faaskit import DefinitionError
from faaskit.events.schedules import next_fire

_UTC = timezone.utc
_Shows = Callable[[datetime], bool]
_ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]


def _plain(values: list[int], low: int, high: int) -> st.SearchStrategy[tuple[str, set[int]]]:
    """Return texts of a field, with what they name."""
    whole = set(range(low, high + 1))
    single = st.sampled_from(values).map(lambda one: (str(one), {one}))
    spans = st.tuples(st.sampled_from(values), st.sampled_from(values)).map(
        lambda two: (
            f"{two[0]}-{two[1]}",
            {n for n in whole if two[0] <= n <= two[1]}
            if two[0] <= two[1]
            else {n for n in whole if n >= two[0] or n <= two[1]},
        )
    )
    steps = st.tuples(st.sampled_from(values), st.integers(1, max(high // 2, 1))).map(
        lambda two: (f"{two[0]}/{two[1]}", set(range(two[0], high + 1, two[1])))
    )
    one = st.one_of(single, spans, steps)
    several = st.lists(one, min_size=1, max_size=3).map(
        lambda parts: (",".join(text for text, _ in parts), set().union(*(s for _, s in parts)))
    )
    return st.one_of(st.just(("*", whole)), several)


def _weekday(day: datetime) -> int:
    return day.isoweekday() % 7 + 1


def _last(day: datetime) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _nearest(day: datetime, wanted: int) -> bool:
    """Whether a day is the weekday nearest to another of its month, found by trying all."""
    last = _last(day)
    if wanted > last or day.isoweekday() > 5:
        return False
    weekdays = [n for n in range(1, last + 1) if day.replace(day=n).isoweekday() <= 5]
    return day.day == min(weekdays, key=lambda n: abs(n - wanted))


_minutes = _plain([0, 1, 7, 15, 30, 59], 0, 59)
_hours = _plain([0, 1, 2, 3, 12, 23], 0, 23)
_months = _plain([1, 2, 3, 6, 11, 12], 1, 12)
_of_month = st.one_of(
    _plain([1, 2, 15, 28, 30, 31], 1, 31).map(lambda p: (p[0], lambda day: day.day in p[1])),
    st.just(("L", lambda day: day.day == _last(day))),
    st.sampled_from([1, 2, 15, 30, 31]).map(lambda n: (f"{n}W", lambda day: _nearest(day, n))),
)
_of_week = st.one_of(
    _plain([1, 2, 4, 7], 1, 7).map(lambda p: (p[0], lambda day: _weekday(day) in p[1])),
    st.sampled_from([1, 2, 6, 7]).map(
        lambda n: (f"{n}L", lambda day: _weekday(day) == n and day.day > _last(day) - 7)
    ),
    st.tuples(st.sampled_from([1, 3, 7]), st.integers(1, 5)).map(
        lambda two: (
            f"{two[0]}#{two[1]}",
            lambda day: _weekday(day) == two[0] and (day.day - 1) // 7 + 1 == two[1],
        )
    ),
)


@st.composite
def _crons(draw: st.DrawFn) -> tuple[str, _Shows]:
    minutes, hours, months = draw(_minutes), draw(_hours), draw(_months)
    if draw(st.booleans()):
        days, wanted = draw(_of_month)
        text = f"cron({minutes[0]} {hours[0]} {days} {months[0]} ? *)"
    else:
        days, wanted = draw(_of_week)
        text = f"cron({minutes[0]} {hours[0]} ? {months[0]} {days} *)"

    def shows(local: datetime) -> bool:
        return (
            local.minute in minutes[1]
            and local.hour in hours[1]
            and local.month in months[1]
            and wanted(local)
        )

    return text, shows


def _oracle(shows: _Shows, after: datetime, zone: ZoneInfo, until: datetime) -> datetime | None:
    """Look at the clock minute by minute; a time that it shows a second time does not count."""
    moment = after.replace(second=0, microsecond=0) + timedelta(minutes=1)
    while moment <= until:
        local = moment.astimezone(zone)
        if local.fold == 0 and shows(local.replace(tzinfo=None)):
            return moment
        moment += timedelta(minutes=1)
    return None


@settings(max_examples=150, deadline=None)
@given(
    cron=_crons(),
    # Around the turns of the clocks, of months and of years.
    base=st.sampled_from(
        [
            datetime(2026, 3, 28, 20, tzinfo=_UTC),
            datetime(2026, 10, 24, 20, tzinfo=_UTC),
            datetime(2026, 11, 1, 3, tzinfo=_UTC),
            datetime(2026, 4, 4, 12, tzinfo=_UTC),
            datetime(2027, 12, 31, 20, tzinfo=_UTC),
            datetime(2028, 2, 28, 20, tzinfo=_UTC),
        ]
    ),
    seconds=st.integers(0, 36 * 3600),
    zone=st.sampled_from(_ZONES),
)
def test_cron_fires_when_the_clock_shows_it(
    cron: tuple[str, _Shows], base: datetime, seconds: int, zone: str
) -> None:
    """The next fire is the first minute that fits; within four days nothing is passed over."""
    text, shows = cron
    after = base + timedelta(seconds=seconds)
    until = after + timedelta(days=4)
    expected = _oracle(shows, after, ZoneInfo(zone), until)
    found = next_fire(text, after, zone)
    assert found is not None or expected is None
    if expected is not None:
        assert found == expected
    elif found is not None:
        assert found > until
        local = found.astimezone(ZoneInfo(zone))
        assert shows(local.replace(tzinfo=None))


@pytest.mark.soak
@settings(max_examples=60, deadline=None)
@given(
    cron=_crons(),
    start=st.datetimes(datetime(2025, 1, 1), datetime(2029, 1, 1)),  # noqa: DTZ001 - drawn
    zone=st.sampled_from(_ZONES),
)
def test_cron_over_years(cron: tuple[str, _Shows], start: datetime, zone: str) -> None:
    """The same, over two years."""
    text, shows = cron
    after = start.replace(tzinfo=_UTC)
    until = after + timedelta(days=730)
    expected = _oracle(shows, after, ZoneInfo(zone), until)
    found = next_fire(text, after, zone)
    if expected is None:
        assert found is None or found > until
    else:
        assert found == expected


_FROM = datetime(2026, 1, 1, tzinfo=_UTC)


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("cron(0/15 * * * ? *)", ["01-01T00:15", "01-01T00:30", "01-01T00:45", "01-01T01:00"]),
        ("cron(1/10 * * * ? *)", ["01-01T00:01", "01-01T00:11", "01-01T00:21", "01-01T00:31"]),
        ("cron(0 8 1W * ? *)", ["01-01T08:00", "02-02T08:00", "03-02T08:00", "04-01T08:00"]),
        ("cron(0 0 L * ? *)", ["01-31T00:00", "02-28T00:00", "03-31T00:00", "04-30T00:00"]),
        ("cron(0 10 ? * MON-FRI *)", ["01-01T10:00", "01-02T10:00", "01-05T10:00"]),
        ("cron(15 12 ? * 3#2 *)", ["01-13T12:15", "02-10T12:15"]),
        ("cron(0 0 ? jan sat *)", ["01-03T00:00", "01-10T00:00"]),
        ("rate(90 minutes)", ["01-01T01:30", "01-01T03:00"]),
        ("rate(1 day)", ["01-02T00:00"]),
    ],
)
def test_known_times(expression: str, times: list[str]) -> None:
    """As AWS's documentation and the calendar have them."""
    moment = _FROM
    for expected in times:
        found = next_fire(expression, moment)
        assert found == datetime.fromisoformat(f"2026-{expected}:00+00:00")
        moment = found


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "rate(0 minutes)",
        "rate(1 hours)",
        "rate(5 hour)",
        "rate(5 seconds)",
        "rate( 5 minutes)",
        "rate(-1 minutes)",
        "rate(1.5 hours)",
        "rate(٣ minutes)",
        "cron(* * * * * *)",
        "cron(* * ? * ? *)",
        "cron(0 10 * * ?)",
        "cron(60 * * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 0 32 * ? *)",
        "cron(0 0 0 * ? *)",
        "cron(0 0 ? * 8 *)",
        "cron(0 0 ? * 3#1,6#3 *)",
        "cron(0 0 ? * 3#6 *)",
        "cron(0 0 ? * 3#0 *)",
        "cron(0 0 1 * 1 *)",
        "cron(0 0 * 13 ? *)",
        "cron(0 0 * * ? 1969)",
        "cron(0 0 * * ? 2200)",
        "cron(0/0 * * * ? *)",
        "cron(? * * * ? *)",
        "cron(0 0 1,L * ? *)",
        "cron(0 0 32W * ? *)",
        "cron(a * * * ? *)",
        "cron(1,,2 * * * ? *)",
        "cron(1- * * * ? *)",
        "at(2026-02-30T00:00:00)",
        "at(2026-01-01)",
        "at(2026-01-01T00:00:00Z)",
        "every day",
    ],
)
def test_what_eventbridge_refuses(expression: str) -> None:
    """Is refused, with the reason."""
    with pytest.raises(DefinitionError, match="no schedule that EventBridge takes"):
        next_fire(expression, _FROM)


def test_time_zones_and_moments_without_one() -> None:
    """A zone must be IANA's, and the moment aware."""
    with pytest.raises(DefinitionError, match="no time zone 'Mars'"):
        next_fire("rate(1 day)", _FROM, "Mars")
    with pytest.raises(DefinitionError, match="no time zone"):
        next_fire("rate(1 day)", _FROM, "../etc/passwd")
    with pytest.raises(DefinitionError, match="aware"):
        next_fire("rate(1 day)", datetime(2026, 1, 1))  # noqa: DTZ001 - that is the mistake


def test_daylight_saving_time() -> None:
    """Half past two is skipped in spring, and comes once in autumn, the first time."""
    daily = "cron(30 2 * * ? *)"
    spring = next_fire(daily, datetime(2026, 3, 28, 12, tzinfo=_UTC), "Europe/Berlin")
    assert spring == datetime(2026, 3, 30, 0, 30, tzinfo=_UTC)
    autumn = next_fire(daily, datetime(2026, 10, 24, 12, tzinfo=_UTC), "Europe/Berlin")
    assert autumn == datetime(2026, 10, 25, 0, 30, tzinfo=_UTC)
    again = next_fire(daily, autumn, "Europe/Berlin")
    assert again == datetime(2026, 10, 26, 1, 30, tzinfo=_UTC)
    assert next_fire("at(2026-03-29T02:30:00)", _FROM, "Europe/Berlin") is None


def test_never_again() -> None:
    """A year that is over, a day that no month has, and an ``at`` that is past."""
    assert next_fire("cron(0 0 1 1 ? 2020)", _FROM) is None
    assert next_fire("cron(0 0 31 2 ? *)", _FROM) is None
    assert next_fire("at(2026-01-01T00:00:00)", _FROM) is None
    assert next_fire("at(2026-01-01T00:00:01)", _FROM) == _FROM + timedelta(seconds=1)
    assert (
        next_fire("cron(59 23 31 12 ? 2199)", datetime(2199, 12, 31, 23, 59, tzinfo=_UTC)) is None
    )
