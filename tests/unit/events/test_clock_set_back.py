"""The host's clock is set back by an hour: what waited does not wait an hour more."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from inline_app import InlineApp, nothing

from faaskit.testing import FakeClock

_START = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


class HostClock(FakeClock):
    """A clock that somebody sets."""

    def __init__(self, now: datetime = _START) -> None:
        super().__init__(now)

    def set(self, now: datetime) -> None:
        """Set it, forward or back."""
        with self._lock:
            self._now = now

    def wait(self, condition: threading.Condition, until: datetime | None) -> None:  # noqa: ARG002
        """Wait for a moment of real time, as a clock that runs does."""
        condition.wait(0.01)


@pytest.fixture(params=["running", "started again"])
def reopened(request: pytest.FixtureRequest) -> bool:
    """Return whether the program is started again after the clock was set back."""
    return bool(request.param == "started again")


def _set_back(
    app: InlineApp, clock: HostClock, folder: Path, define: Callable[[InlineApp], Any], *, new: bool
) -> InlineApp:
    """Set the clock back by an hour; return the App that goes on."""
    clock.set(clock.now() - timedelta(hours=1))
    if not new:
        return app
    app.close()
    again = InlineApp(folder, clock)
    define(again)
    return again


def test_events_are_delivered_at_once(tmp_path: Path, reopened: bool) -> None:
    """What was sent before, in its order, and what is sent after."""

    def define(app: InlineApp) -> Any:
        return app.calls(nothing)

    clock = HostClock()
    app = InlineApp(tmp_path, clock)
    reader = define(app)
    app.drain()
    for number in range(3):
        reader.send(number)
        clock.advance(seconds=5)
    app = _set_back(app, clock, tmp_path, define, new=reopened)
    app.functions["reader"].send("after")
    app.drain()
    assert app.received == [0, 1, 2, "after"]
    app.close()


def test_retry_waits_no_longer_than_the_event_has_waited(tmp_path: Path, reopened: bool) -> None:
    """Not an hour; and not no time at all."""

    def fail(_: Any) -> None:
        raise ValueError

    def define(app: InlineApp) -> Any:
        return app.calls(fail)

    clock = HostClock()
    app = InlineApp(tmp_path, clock)
    define(app).send("x")
    app.drain()  # due again in a minute
    clock.advance(seconds=10)
    app = _set_back(app, clock, tmp_path, define, new=reopened)
    app.received.clear()
    app.drain()
    assert app.received == []
    app.pass_time(seconds=61)
    assert app.received == ["x"]
    app.close()


def test_age_of_event_starts_anew(tmp_path: Path) -> None:
    """Set back and forward again, an event is not too old for that."""
    clock = HostClock()
    with InlineApp(tmp_path, clock) as app:
        reader = app.calls(nothing, max_event_age=60)
        app.drain()
        reader.send("x")
        clock.set(_START - timedelta(hours=1))
        app.drain()
        assert app.received == ["x"]


def test_messages_are_received_at_once(tmp_path: Path, reopened: bool) -> None:
    """Those that wait at once, those that are delayed after their delay."""

    def define(app: InlineApp) -> Any:
        return app.queue("jobs")

    clock = HostClock()
    app = InlineApp(tmp_path, clock)
    jobs = define(app)
    assert jobs.receive() == []
    jobs.send("now")
    jobs.send("later", delay_seconds=60)
    app = _set_back(app, clock, tmp_path, define, new=reopened)
    jobs = app.queue("jobs")
    assert [one.body for one in jobs.receive(max_messages=10)] == ["now"]
    clock.advance(seconds=29)
    assert jobs.receive(max_messages=10) == []
    clock.advance(seconds=32)
    assert "later" in [one.body for one in jobs.receive(max_messages=10)]
    app.close()


def test_batches_of_messages_are_delivered(tmp_path: Path, reopened: bool) -> None:
    """A mapping finds what the queue holds."""

    def define(app: InlineApp) -> Any:
        jobs = app.queue("jobs")
        jobs.on_messages()(app.calls(nothing))
        return jobs

    clock = HostClock()
    app = InlineApp(tmp_path, clock)
    jobs = define(app)
    app.drain()
    jobs.send("x")
    app = _set_back(app, clock, tmp_path, define, new=reopened)
    app.drain()
    assert [one["body"] for batch in app.received for one in batch["Records"]] == ["x"]
    app.close()


@pytest.mark.parametrize("fails", [False, True])
def test_records_of_a_stream_are_delivered(tmp_path: Path, reopened: bool, fails: bool) -> None:
    """Also those that were to be tried again."""
    failures = [1] if fails else []

    def handle(_: Any) -> None:
        if failures:
            failures.pop()
            raise ValueError

    def define(app: InlineApp) -> Any:
        clicks = app.stream("clicks")
        clicks.on_records(starting_position="TRIM_HORIZON")(app.calls(handle))
        return clicks

    clock = HostClock()
    app = InlineApp(tmp_path, clock)
    clicks = define(app)
    app.drain()
    clicks.put(b"x", partition_key="p")
    if fails:
        app.drain()
        assert len(app.received) == 1
        app.received.clear()
    app = _set_back(app, clock, tmp_path, define, new=reopened)
    app.drain()
    for _ in range(2):
        app.pass_time(seconds=1)
    assert len(app.received) == 1
    app.close()


def test_background_notices_that_the_clock_went_back(tmp_path: Path) -> None:
    """While it waits for what is due later."""
    clock = HostClock()
    delivered = threading.Event()
    with InlineApp(tmp_path, clock) as app:
        reader = app.calls(lambda _: delivered.set())
        with app._state.writing():
            pass
        reader.send("x")
        clock.set(_START - timedelta(hours=1))
        with app.running():
            assert delivered.wait(20)


def test_clock_that_was_not_set_changes_nothing(tmp_path: Path) -> None:
    """What is due later is due later, and no write is made for looking."""
    clock = HostClock()
    with InlineApp(tmp_path, clock) as app:
        jobs = app.queue("jobs")
        jobs.send("later", delay_seconds=60)
        app.drain()
        commits = app._state.changes.count
        for _ in range(5):
            app.drain()
            clock.advance(seconds=1)
            clock.set(clock.now() - timedelta(milliseconds=500))
        assert app._state.changes.count == commits
        assert jobs.receive() == []
