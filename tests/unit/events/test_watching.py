"""What is seen of an app's events and invocations: from the program, and from the command."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from inline_app import InlineApp, fail

from faaskit.app import App
from faaskit.cli import main
from faaskit.invoke import Invocation
from faaskit.resources.history import History
from faaskit.testing import FakeClock


@pytest.fixture
def app(tmp_path: Path) -> Iterator[InlineApp]:
    """An app whose functions are called in this process."""
    with InlineApp(tmp_path / "state") as app:
        yield app


def _seen(app: App) -> list[tuple[str, str, int, str]]:
    return [(one.state, one.function, one.attempts, one.reason) for one in app.events]


def test_events(app: InlineApp) -> None:
    """Queued, tried again with what was wrong, and dead with the reason."""
    function = app.calls(fail, retry_attempts=1)
    function.send(1)
    assert _seen(app) == [("queued", "reader", 0, "")]
    app.drain()
    function.send(2)
    assert _seen(app) == [("queued", "reader", 0, ""), ("retrying", "reader", 1, "")]
    assert '"errorType": "ValueError"' in app.events[1].detail
    app.drain()
    app.pass_time(minutes=1)
    assert _seen(app) == [("dead", "reader", 2, "RetriesExhausted")] * 2
    assert app.events[0].due == app.clock.now()


def test_what_is_under_way(app: InlineApp) -> None:
    """Seen from within."""
    seen: list[str] = []
    function = app.calls(lambda _: seen.extend(one.state for one in app.events))
    function.send(1)
    app.drain()
    assert seen == ["in flight"]


def test_batches_that_are_tried_again(app: InlineApp) -> None:
    """With their source, and where they begin."""
    stream = app.stream("clicks")
    stream.on_records()(app.calls(fail))
    placed = stream.put("a", "k")
    app.drain()
    (one,) = app.events
    assert (one.state, one.what, one.attempts) == ("retrying", stream.arn, 1)
    assert one.id.startswith("shardId-000000000000 from ")
    assert placed.shard_id in one.id


# --- history ----------------------------------------------------------------------------


def _invocation(app: App, name: str = "f", text: str = "hello") -> Invocation:
    @app.function(name=name)
    def function(event: Any, context: Any) -> None:
        print(text, context.log_stream_name)

    return function.invoke()


def test_invocations_are_kept(tmp_path: Path) -> None:
    """Over programs, with log, figures and AWS's names; failures, too."""
    clock = FakeClock("2026-01-01T00:00:00Z")
    with App("kept", state=tmp_path, clock=clock) as app:
        first = _invocation(app)
        clock.advance(seconds=5)

        @app.function
        def fails(event: Any, context: Any) -> None:
            raise ValueError(event)

        fails.invoke()
    with App("kept", state=tmp_path, clock=clock) as app:
        one, other = app.invocations
    assert (one.function_name, one.request_id, one.status) == ("f", first.request_id, "ok")
    assert one.logs == first.logs
    assert one.log_group_name == "/aws/lambda/f"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", one.log_stream_name)
    assert one.log_stream_name == first.log_stream_name
    assert f"hello {one.log_stream_name}" in one.logs
    assert one.cost_usd == first.meter.cost_usd
    assert (one.duration_ms, one.memory_size) == (first.meter.duration_ms, 128)
    assert (other.function_name, other.status) == ("fails", "error")
    assert (other.ended - one.ended).total_seconds() == 5


def test_a_temporary_app_keeps_none() -> None:
    """Nor does it open anything for it."""
    with App("short") as app:
        _invocation(app)
        assert not app._state.opened
        assert app.invocations == []


def test_what_is_kept_is_bounded(tmp_path: Path) -> None:
    """By size, and by age: what is over a week old goes when a new file is begun."""
    clock = FakeClock("2026-01-01T00:00:00Z")
    with App("bounded", state=tmp_path, clock=clock) as app:
        invocation = _invocation(app)
        history = History(app._state, clock, file_bytes=2_000, all_bytes=10_000)
        for _ in range(60):
            clock.advance(seconds=1)
            history.note(invocation)
        kept = list(history.read())
        files = list((tmp_path / "logs").iterdir())
        assert sum(file.stat().st_size for file in files) <= 14_000
        assert 5 <= len(kept) < 60
        assert kept[-1].ended == clock.now()
        clock.advance(days=9)
        history.note(invocation)
        assert len(list(history.read())) == 1
        history.close()


def test_a_line_that_was_cut_off(tmp_path: Path) -> None:
    """Is passed over; what is written after it is read."""
    with App("cut", state=tmp_path) as app:
        _invocation(app)
        (file,) = (tmp_path / "logs").iterdir()
        with file.open("ab") as end:
            end.write(b'{"ended_ms": 1, "func\n')
        _invocation(app)
        assert [one.status for one in app.invocations] == ["ok", "ok"]


def test_a_folder_that_cannot_be_written_to(tmp_path: Path, caplog: Any) -> None:
    """No call fails for its history."""
    with App("full", state=tmp_path) as app:
        (tmp_path / "logs").write_text("in the way")
        assert _invocation(app).ok
        assert "could not be written down" in caplog.text


# --- the command ------------------------------------------------------------------------

_MODULE = """
from faaskit import App

app = App("watched", state={state!r})


@app.function(retry_attempts=0)
def greet(event, context):
    print("hello", event["name"])


@app.function
def other(event, context):
    print("other")
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module with an App, on the way of imports; imported anew by each command."""
    (tmp_path / "watched.py").write_text(_MODULE.format(state=str(tmp_path / "state")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "watched:app"
    sys.modules.pop("watched", None)


def _run(*arguments: str) -> int:
    sys.modules.pop("watched", None)
    return main(arguments)


def _with_app(module: str, deed: Any) -> None:
    sys.modules.pop("watched", None)
    watched = __import__(module.partition(":")[0])
    with watched.app as app:
        deed(watched, app)


def test_the_logs_command(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    """All, one function's, the last few, as JSON."""

    def calls(watched: Any, app: App) -> None:
        for name in ("ann", "bob"):
            watched.greet.invoke({"name": name})
        watched.other.invoke()

    _with_app(module, calls)
    assert _run("logs", module) == 0
    said = capsys.readouterr().out
    assert said.count("START RequestId") == 3
    assert "/aws/lambda/greet " in said
    assert _run("logs", module, "greet", "--limit", "1") == 0
    said = capsys.readouterr().out
    assert "hello bob" in said
    assert "hello ann" not in said
    assert _run("logs", module, "other", "--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["log_group_name"] == "/aws/lambda/other"


def test_following_logs(module: str, tmp_path: Path) -> None:
    """What ends in another process is shown as it comes."""
    follower = subprocess.Popen(
        [sys.executable, "-m", "faaskit", "logs", module, "--follow"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        _with_app(module, lambda watched, _: watched.greet.invoke({"name": "ann"}))
        assert follower.stdout is not None
        lines = iter(follower.stdout.readline, "")
        assert any("hello ann" in line for line in lines)
    finally:
        follower.kill()
        follower.wait()
        assert follower.stdout is not None
        follower.stdout.close()


def test_the_events_command(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A line each; and dead ones are delivered again."""
    assert _run("events", module) == 0
    assert "nothing waits" in capsys.readouterr().out

    def sends(watched: Any, app: App) -> None:
        watched.greet.send({})
        app.drain()
        watched.greet.send({"name": "ann"})

    _with_app(module, sends)
    assert _run("events", module) == 0
    queued, dead = capsys.readouterr().out.splitlines()
    assert queued.startswith("queued")
    assert dead.startswith("dead")
    assert "RetriesExhausted" in dead
    assert "KeyError" in dead
    assert _run("events", module, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["state"] for one in told] == ["queued", "dead"]
    assert _run("events", module, "--redrive", told[1]["id"]) == 0
    assert "is queued again, as" in capsys.readouterr().out
    assert _run("events", module, "--redrive", "nobody") == 2
    assert "has no dead event nobody" in capsys.readouterr().err
    assert _run("events", module, "--redrive", "all") == 0
    assert _run("events", module) == 0
    assert capsys.readouterr().out.count("queued ") == 2
