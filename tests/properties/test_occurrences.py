"""When a schedule was due, against going through all of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from faaskit.events.occurrences import Schedule

_START = datetime(2026, 3, 20, 11, 7, tzinfo=timezone.utc)
_EXPRESSIONS = (
    "rate(7 minutes)",
    "rate(1 hour)",
    "rate(3 days)",
    "cron(0/20 * * * ? *)",
    "cron(30 2 * * ? *)",
    "cron(0 9 ? * MON-FRI *)",
    "cron(0 0 1 * ? *)",
    "at(2026-03-25T12:00:00)",
)
_schedules = st.builds(
    Schedule,
    name=st.just("s"),
    function=st.just("f"),
    definition=st.just(1),
    expression=st.sampled_from(_EXPRESSIONS),
    timezone=st.sampled_from(["UTC", "Europe/Berlin"]),
    start=st.none() | st.integers(-9, 9).map(lambda days: _START + timedelta(days=days, hours=5)),
    end=st.none() | st.integers(10, 20).map(lambda days: _START + timedelta(days=days)),
)
_spans = st.integers(0, 30 * 24 * 60).map(lambda minutes: timedelta(minutes=minutes))


def _all(schedule: Schedule, after: datetime, until: datetime) -> Iterator[datetime]:
    moment = schedule.after(after)
    while moment is not None and moment <= until:
        yield moment
        moment = schedule.after(moment)


@given(_schedules, _spans, st.integers(1, 40))
def test_the_latest(schedule: Schedule, span: timedelta, most: int) -> None:
    """Are the last ones of all, without going through all."""
    until = _START + span
    assert [*schedule.latest(_START, until, most)] == [*_all(schedule, _START, until)][-most:]


@given(_schedules, _spans, _spans)
def test_what_is_passed_over(schedule: Schedule, old: timedelta, more: timedelta) -> None:
    """Is what is too old, and nothing else; a rate keeps in step."""
    oldest = _START + old
    until = oldest + more
    passed = schedule.passed_over(_START, oldest)
    expected = [moment for moment in _all(schedule, _START, until) if moment >= oldest]
    assert [*_all(schedule, passed, until)] == expected
    assert passed >= _START
    # What is passed over can be told apart from what follows.
    assert [*_all(schedule, _START, passed)] == [
        moment for moment in _all(schedule, _START, until) if moment < oldest
    ]
