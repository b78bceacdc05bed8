"""A week of schedules, retries and windows in some seconds, the same each time."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from inline_app import InlineApp

_DAYS = 7


def _week(folder: Path) -> list[tuple[str, str, Any]]:
    """Return what happened in a week: when, to which function, with which outcome."""
    with InlineApp(folder) as app:
        told: list[tuple[str, str, Any]] = []
        clicks, jobs = app.stream("clicks", shards=2), app.queue("jobs")
        flaky = {"count": 0}

        def tell(name: str, what: Any) -> Any:
            told.append((app.clock.now().isoformat(), name, what))
            return what

        def hourly(event: Any) -> None:
            tell("hourly", event["time"])
            for number in range(5):
                clicks.put(f"{event['time']} {number}", f"visitor {number}")
            jobs.send(event["time"])

        def window(event: Any) -> Any:
            count = event["state"].get("count", 0) + len(event["Records"])
            if event["isFinalInvokeForWindow"]:
                tell("window", (event["window"]["start"], event["shardId"], count))
            return {"state": {"count": count}}

        def sometimes(event: Any) -> Any:
            flaky["count"] += 1
            tell("sometimes", flaky["count"])
            if flaky["count"] % 3:
                msg = "not yet"
                raise ValueError(msg)

        def work(event: Any) -> Any:
            tell("work", [one["body"] for one in event["Records"]])
            bad = event["Records"][0]
            first = bad["attributes"]["ApproximateReceiveCount"] == "1"
            named = [{"itemIdentifier": bad["messageId"]}] if first else []
            return {"batchItemFailures": named}

        app.schedule("cron(0 * * * ? *)")(app.calls(hourly, "hourly"))
        app.schedule("rate(1 day)")(app.calls(sometimes, "sometimes", retry_attempts=2))
        clicks.on_records(tumbling_window=900, parallelization_factor=1)(
            app.calls(window, "window")
        )
        jobs.on_messages(report_batch_item_failures=True)(app.calls(work, "work"))
        app.drain()
        for _ in range(_DAYS * 24 * 6 + 5):  # and on, until the last window is over
            app.pass_time(minutes=10)
        assert app.dead() == []
        assert all(base64.b64decode(one["kinesis"]["data"]) for one in _records(app))
        return told


def _records(app: InlineApp) -> list[Any]:
    return [
        one
        for event in app.received
        if isinstance(event, dict) and "state" in event
        for one in event["Records"]
    ]


def test_a_week(tmp_path: Path) -> None:
    """Each hour's schedule, each window's sum, each message after its failure, each retry."""
    told = _week(tmp_path / "one")
    of = {name: [what for _, one, what in told if one == name] for _, name, _ in told}
    assert len(of["hourly"]) == _DAYS * 24
    assert sum(count for _, _, count in of["window"]) == 5 * len(of["hourly"])
    assert len(of["work"]) == 2 * len(of["hourly"])  # each message fails once
    assert len(of["sometimes"]) == 3 * _DAYS  # each day's third attempt succeeds
    assert _week(tmp_path / "other") == told
