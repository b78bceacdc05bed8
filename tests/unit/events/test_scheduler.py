"""When schedules fire, over restarts and gaps, with what event."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from faaskit import App, DefinitionError
from faaskit.testing import FakeClock

_START = "2026-01-01T00:00:00Z"


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands at the year's first moment."""
    return FakeClock(_START)


@pytest.fixture
def app(tmp_path: Path, clock: FakeClock) -> Iterator[App]:
    """An App on a folder of the test."""
    with App("timed", state=tmp_path / "state", clock=clock) as made:
        yield made


def _echo(event: Any, context: Any) -> Any:
    return event


def _times(app: App) -> list[str]:
    return [one.result()["time"] for one in app.drain()]


def _declare(app: App, *schedules: dict[str, Any]) -> Any:
    function = app.function(name="tick")(_echo)
    for schedule in schedules:
        app.schedule(**schedule)(function)
    return function


def test_rate_counts_from_its_declaration(app: App, clock: FakeClock) -> None:
    """Each fire comes once, in order, with the time that it was meant for."""
    _declare(app, {"expression": "rate(5 minutes)"})
    assert app.drain() == []
    clock.advance(minutes=12)
    assert _times(app) == ["2026-01-01T00:05:00Z", "2026-01-01T00:10:00Z"]
    assert app.drain() == []
    clock.advance(minutes=3)
    assert _times(app) == ["2026-01-01T00:15:00Z"]


def test_the_event_is_eventbridges(app: App, clock: FakeClock) -> None:
    """A "Scheduled Event" of the rule of the schedule's name."""
    _declare(app, {"expression": "at(2026-01-01T00:01:00)", "name": "wake-up"})
    clock.advance(minutes=1)
    (event,) = (one.result() for one in app.drain())
    assert event.pop("id")
    assert event == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": app.account,
        "time": "2026-01-01T00:01:00Z",
        "region": app.region,
        "resources": [f"arn:aws:events:{app.region}:{app.account}:rule/wake-up"],
        "detail": {},
    }


def test_an_input_of_its_own(app: App, clock: FakeClock) -> None:
    """Scheduler's words in it are replaced."""
    given = {"at": "<aws.scheduler.scheduled-time>", "of": "<aws.scheduler.schedule-arn>", "n": 1}
    _declare(app, {"expression": "rate(1 hour)", "name": "hourly", "input": given})
    clock.advance(hours=1)
    (event,) = (one.result() for one in app.drain())
    arn = f"arn:aws:scheduler:{app.region}:{app.account}:schedule/default/hourly"
    assert event == {"at": "2026-01-01T01:00:00Z", "of": arn, "n": 1}


def test_several_schedules_fire_in_the_order_of_time(app: App, clock: FakeClock) -> None:
    """Whoever is due first comes first, whatever was declared first."""
    _declare(
        app,
        {"expression": "rate(3 minutes)", "input": "three"},
        {"expression": "rate(2 minutes)", "input": "two"},
    )
    clock.advance(minutes=6)
    results = [one.result() for one in app.drain()]
    assert results[:3] == ["two", "three", "two"]
    assert sorted(results[3:]) == ["three", "two"]


def test_time_zones(app: App, clock: FakeClock) -> None:
    """Eight in the morning, there."""
    _declare(app, {"expression": "cron(0 8 * * ? *)", "timezone": "America/New_York"})
    clock.advance(hours=24)
    assert _times(app) == ["2026-01-01T13:00:00Z"]


def test_start_and_end(app: App, clock: FakeClock) -> None:
    """A rate begins at the start itself; nothing fires after the end."""
    begin = datetime(2026, 1, 1, 6, tzinfo=timezone.utc)
    _declare(
        app,
        {
            "expression": "rate(1 hour)",
            "start": begin,
            "end": begin + timedelta(hours=2, minutes=1),
        },
    )
    clock.advance(hours=24)
    assert _times(app) == [f"2026-01-01T{hour:02}:00:00Z" for hour in (6, 7, 8)]


def test_a_flexible_window(app: App, clock: FakeClock) -> None:
    """The event comes within the window, spread, and tells the scheduled time."""
    _declare(app, {"expression": "rate(1 hour)", "flexible_window": 30})
    clock.advance(hours=1)
    assert app.drain() == []  # no digest of these is exactly 0
    (waiting,) = app.pending()
    assert timedelta(0) < waiting.due - clock.now() < timedelta(minutes=30)
    clock.advance(minutes=30)
    assert _times(app) == ["2026-01-01T01:00:00Z"]


def test_what_was_missed_comes_at_the_next_start(tmp_path: Path) -> None:
    """When no process was up: late, but all of it, once."""
    clock = FakeClock(_START)
    with App("timed", state=tmp_path / "state", clock=clock) as first:
        _declare(first, {"expression": "rate(1 hour)"})
        clock.advance(hours=1)
        assert _times(first) == ["2026-01-01T01:00:00Z"]
    clock.advance(hours=3)
    with App("timed", state=tmp_path / "state", clock=clock) as second:
        _declare(second, {"expression": "rate(1 hour)"})
        assert _times(second) == [f"2026-01-01T{hour:02}:00:00Z" for hour in (2, 3, 4)]


@pytest.mark.parametrize("expression", ["rate(7 minutes)", "cron(0/7 * * * ? *)"])
def test_what_is_too_old_is_not_delivered(
    expression: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """After AWS's day of retries, or less; the log says so, and a year costs no more than a day."""
    clock = FakeClock(_START)
    with App("timed", state=tmp_path / "state", clock=clock) as first:
        _declare(first, {"expression": expression, "max_event_age": 600})
        first.drain()
    clock.advance(days=365)
    with App("timed", state=tmp_path / "state", clock=clock) as second:
        _declare(second, {"expression": expression, "max_event_age": 600})
        with caplog.at_level(logging.ERROR):
            times = _times(second)
        assert 1 <= len(times) <= 2
        oldest = clock.now() - timedelta(seconds=600)
        assert all(datetime.fromisoformat(time.replace("Z", "+00:00")) >= oldest for time in times)
        assert "max_event_age" in caplog.text
        year = datetime(2026, 1, 1, tzinfo=timezone.utc)
        for time in times:
            since = datetime.fromisoformat(time.replace("Z", "+00:00")) - year
            of_the_hour = since % timedelta(hours=1)
            in_step = since if expression.startswith("rate") else of_the_hour
            assert in_step % timedelta(minutes=7) == timedelta(0)
        assert second.drain() == []
        assert caplog.text.count("max_event_age") == 1


@pytest.mark.parametrize(
    ("expression", "days", "wanted"),
    [
        ("rate(7 minutes)", 365, 500),
        ("rate(1 day)", 30, 29),
        ("cron(0 5 1 * ? *)", 365, 12),
        ("rate(1 hour)", 1, 23),
    ],
)
def test_what_is_too_old_goes_to_the_dead_letter_queue(
    expression: str, days: int, wanted: int, tmp_path: Path
) -> None:
    """Each event that was missed, the latest ones; none of them twice."""
    clock = FakeClock(_START)
    letters: list[str] = []
    for _ in range(2):
        with App("timed", state=tmp_path / "state", clock=clock) as app:
            queue = app.queue("letters")
            _declare(app, {"expression": expression, "max_event_age": 60, "dead_letter": queue})
            app.drain()
            app.drain()
            while found := queue.receive(10):
                for one in found:
                    letters.append(json.loads(one.body)["time"])
                    assert str(one.attributes["TARGET_ARN"]).endswith(":function:tick")
                    queue.delete(one)
        if not letters:
            clock.advance(days=days)
    assert len(letters) == wanted
    assert letters == sorted(set(letters))
    assert max(letters) < clock.now().isoformat()


def test_another_timing_begins_anew(tmp_path: Path) -> None:
    """A changed expression does not deliver what it would have, had it always been so."""
    clock = FakeClock(_START)
    with App("timed", state=tmp_path / "state", clock=clock) as first:
        _declare(first, {"expression": "rate(1 hour)"})
        first.drain()
    clock.advance(hours=3)
    with App("timed", state=tmp_path / "state", clock=clock) as second:
        _declare(second, {"expression": "rate(1 minute)"})
        assert second.drain() == []
        clock.advance(minutes=1)
        assert _times(second) == ["2026-01-01T03:01:00Z"]


_DRAIN = """
import sys
from faaskit import App
from faaskit.testing import FakeClock

def tick(event, context):
    return None

clock = FakeClock("2026-01-01T00:00:00Z")
with App("timed", state=sys.argv[1], clock=clock) as app:
    app.schedule("rate(1 hour)")(app.function(tick))
    clock.advance(hours=20)
    print("ready", flush=True)
    sys.stdin.readline()
    print(len(app.drain()), flush=True)
"""


def test_two_processes_fire_each_once(tmp_path: Path) -> None:
    """Together they deliver each fire exactly once."""
    with App("timed", state=tmp_path / "state", clock=FakeClock(_START)) as app:
        _declare(app, {"expression": "rate(1 hour)"})
        app.drain()
    both = [
        subprocess.Popen(
            [sys.executable, "-c", _DRAIN, str(tmp_path / "state")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in "12"
    ]
    for one in both:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in both:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    counts = [int(one.communicate(timeout=50)[0]) for one in both]
    assert sum(counts) == 20


def test_in_the_background(tmp_path: Path) -> None:
    """``running`` wakes for a schedule by itself."""
    seen = threading.Event()
    clock = FakeClock(_START)
    with App("timed", state=tmp_path / "state", clock=clock) as app:
        _declare(app, {"expression": "rate(1 minute)"})
        with app.running(on_delivery=lambda _: seen.set()):
            clock.advance(minutes=1)
            assert seen.wait(20)


def test_a_function_that_is_defined_again_keeps_its_schedule(app: App, clock: FakeClock) -> None:
    """A notebook's cell that runs twice has one schedule, not two."""
    for _ in range(2):
        _declare(app, {"expression": "rate(1 hour)"})
    clock.advance(hours=1)
    assert len(app.drain()) == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"expression": "rate(1 hours)"}, "rate"),
        ({"expression": "cron(* * * * * *)"}, "cron"),
        ({"timezone": "Mars/Olympus"}, "Mars"),
        ({"name": "a b"}, "0-9"),
        ({"name": "x" * 65}, "64"),
        ({"flexible_window": 0}, "1 to 1440"),
        ({"flexible_window": True}, "1 to 1440"),
        ({"max_event_age": 59}, "60 to 86400"),
        ({"start": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001 - that is the mistake
        (
            {
                "start": datetime(2026, 1, 2, tzinfo=timezone.utc),
                "end": datetime(2026, 1, 1, tzinfo=timezone.utc),
            },
            "is not after",
        ),
        ({"input": "x" * 1_048_577}, "1048576"),
    ],
)
def test_what_is_refused(app: App, changes: dict[str, Any], said: str) -> None:
    """At the declaration, with the reason."""
    given: dict[str, Any] = {"expression": "rate(1 hour)", **changes}
    function = app.function(name="tick")(_echo)
    with pytest.raises(DefinitionError, match=said):
        app.schedule(**given)(function)


def test_names_are_unique(app: App) -> None:
    """Another function can't take the name, under which it is kept when it fired."""
    _declare(app, {"expression": "rate(1 hour)", "name": "mine"})
    other = app.function(name="other")(lambda _event, _context: None)
    with pytest.raises(DefinitionError, match="'mine' already"):
        app.schedule("rate(2 hours)", name="mine")(other)
    with pytest.raises(DefinitionError, match="not a function of App"):
        app.schedule("rate(2 hours)")(_echo)
