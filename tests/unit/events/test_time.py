"""Time as the queue has it, the clock that is moved by hand, and sample events."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone
from urllib.parse import unquote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faaskit.clock import SystemClock, epoch_ms, from_epoch_ms, iso8601
from faaskit.exceptions import DefinitionError
from faaskit.testing import FakeClock, s3_event

_MOMENTS = st.datetimes(
    min_value=datetime(1970, 1, 2),  # noqa: DTZ001 - hypothesis wants naive bounds
    max_value=datetime(9999, 1, 1),  # noqa: DTZ001
    timezones=st.timezones(),
)


@given(moment=_MOMENTS)
def test_milliseconds_there_and_back(moment: datetime) -> None:
    """A stored moment is the moment, rounded down to the millisecond, in UTC."""
    again = from_epoch_ms(epoch_ms(moment))
    assert timedelta(0) <= moment - again < timedelta(milliseconds=1)
    assert again.utcoffset() == timedelta(0)
    text = iso8601(moment)
    assert len(text) == len("2026-01-01T00:00:00.000Z")
    assert datetime.fromisoformat(text.replace("Z", "+00:00")) == again


def test_system_clock_waits_until_it_is_time_or_told() -> None:
    """A moment that is over is not waited for; a notification ends the wait."""
    clock, condition = SystemClock(), threading.Condition()
    with condition:
        clock.wait(condition, clock.now() - timedelta(hours=1))
    waiting, woken = threading.Event(), threading.Event()

    def wait() -> None:
        with condition:
            waiting.set()
            clock.wait(condition, None)
            clock.wait(condition, clock.now() + timedelta(hours=1))
        woken.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert waiting.wait(20)
    while not woken.is_set():
        with condition:
            condition.notify_all()
    thread.join()


def test_fake_clock_stands_still() -> None:
    """It shows what it was set to until it is moved."""
    clock = FakeClock("2026-01-01T02:00:00+02:00")
    assert clock.now() == clock.now() == datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert clock.now().utcoffset() == timedelta(0)
    clock.advance(hours=1, seconds=0.5)
    assert clock.now() == datetime(2026, 1, 1, 1, 0, 0, 500_000, tzinfo=timezone.utc)


def test_fake_clock_can_not_go_back() -> None:
    """Time goes one way, and has a zone."""
    clock = FakeClock()
    with pytest.raises(ValueError, match="go back, by 1:00:00"):
        clock.advance(hours=-1)
    with pytest.raises(ValueError, match="no time zone"):
        FakeClock("2026-01-01T00:00:00")


def test_fake_clock_wakes_who_waits() -> None:
    """Whoever waits for a moment goes on when the clock is moved to it, by however many steps."""
    clock, condition = FakeClock(), threading.Condition()
    moment = clock.now() + timedelta(minutes=2)
    waiting, woken = threading.Event(), threading.Event()

    def wait() -> None:
        with condition:
            waiting.set()
            while clock.now() < moment:
                clock.wait(condition, moment)
        woken.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert waiting.wait(20)
    clock.advance(minutes=1)
    assert not woken.is_set()
    clock.advance(minutes=1)
    assert woken.wait(20)
    thread.join()


def test_fake_clock_moved_before_the_wait() -> None:
    """A moment that has come between the reckoning and the wait is not slept through."""
    clock, condition = FakeClock(), threading.Condition()
    with condition:
        moment = clock.now() + timedelta(minutes=1)
        clock.advance(minutes=1)
        clock.wait(condition, moment)


def test_s3_event_of_a_put() -> None:
    """The event that a function would get, with what was asked for."""
    event = s3_event("uploads", "raw/a b.png", size=3, etag="0123", region="eu-west-1")
    (record,) = event["Records"]
    assert record["eventName"] == "ObjectCreated:Put"
    assert record["awsRegion"] == "eu-west-1"
    assert record["s3"]["bucket"]["name"] == "uploads"
    thing = record["s3"]["object"]
    assert unquote_plus(thing["key"]) == "raw/a b.png"
    assert (thing["size"], thing["eTag"]) == (3, "0123")


def test_s3_event_of_a_delete() -> None:
    """An event of a removed object has neither size nor ETag."""
    for name in ("s3:ObjectRemoved:Delete", "ObjectRemoved:Delete"):
        (record,) = s3_event("uploads", "k", event_name=name)["Records"]
        assert record["eventName"] == "ObjectRemoved:Delete"
        assert record["s3"]["object"].keys() == {"key", "sequencer"}


def test_s3_event_that_there_is_not() -> None:
    """A wrong name is refused, and so is a family, which no event is."""
    with pytest.raises(DefinitionError, match="ObjectMade"):
        s3_event("uploads", "k", event_name="ObjectMade:Put")
    with pytest.raises(ValueError, match="ObjectRemoved:DeleteMarkerCreated"):
        s3_event("uploads", "k", event_name="s3:ObjectRemoved:*")
    with pytest.raises(DefinitionError, match="bucket name"):
        s3_event("Uploads", "k")
