"""What Lambda takes in an event source mapping, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from inline_app import InlineApp, nothing

from faaskit.exceptions import DefinitionError

_NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[InlineApp]:
    """An app, and nothing stored."""
    with InlineApp(tmp_path / "state") as app:
        yield app


_RANGES = [
    ("batch_size", 1, 10_000),
    ("max_batching_window", 0, 300),
    ("parallelization_factor", 1, 10),
    ("max_record_age", 60, 604_800),
    ("retry_attempts", 0, 10_000),
    ("tumbling_window", 0, 900),
]


@pytest.mark.parametrize(("name", "low", "high"), _RANGES)
def test_ranges(app: InlineApp, name: str, low: int, high: int) -> None:
    """Both ends are taken, and what is beyond them is refused by name and range."""
    stream = app.stream("clicks")
    table = app.table("orders", partition_key="id", stream="KEYS_ONLY")
    declares: tuple[Any, ...] = (stream.on_records, table.on_change)
    for declare in declares:
        for value in (low, high):
            declare(**{name: value})
        beyond: list[Any] = [low - 1, high + 1, True, 1.5, "1"]
        if low == 0 and name == "retry_attempts":
            declare(**{name: -1})
            beyond[0] = -2
        for value in beyond:
            with pytest.raises(
                DefinitionError, match=f"{name} is .*: Lambda takes {low} to {high}"
            ):
                declare(**{name: value})


def test_no_limit_of_age(app: InlineApp) -> None:
    """-1 is one; 0 to 59 are none."""
    stream = app.stream("clicks")
    stream.on_records(max_record_age=-1)
    for value in (0, 59, -2):
        with pytest.raises(DefinitionError, match="or -1 for no limit"):
            stream.on_records(max_record_age=value)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"starting_position": "EARLIEST"}, "one of 'TRIM_HORIZON', 'LATEST' or 'AT_TIMESTAMP'"),
        ({"starting_position": "AT_TIMESTAMP"}, "go together"),
        ({"starting_position_timestamp": _NOW}, "go together"),
        (
            {
                "starting_position": "AT_TIMESTAMP",
                "starting_position_timestamp": _NOW + timedelta(seconds=1),
            },
            "in the future",
        ),
        (
            {
                "starting_position": "AT_TIMESTAMP",
                "starting_position_timestamp": datetime(2025, 1, 1),  # noqa: DTZ001
            },
            "with a time zone",
        ),
        ({"tumbling_window": 1, "parallelization_factor": 2}, "wants parallelization_factor 1"),
        ({"bisect_batch_on_error": 1}, "True or False"),
        ({"report_batch_item_failures": "yes"}, "True or False"),
        ({"enabled": None}, ""),
        ({"filters": {"data": ["x"]}}, "pass a list"),
        ({"filters": [{"data": ["plain"]}]}, "plain data"),
        ({"filters": [{"partitionKey": "x"}]}, "must be an object or an array"),
        ({"filters": [{"partitionKey": [{"wildcard": "*"}]}]}, "not for a filter"),
        ({"filters": [{"partitionKey": ["x"]}] * 11}, "11 filters"),
        ({"on_failure": "arn:aws:lambda:us-east-1:123456789012:function:f"}, "a bucket"),
        ({"on_failure": 3}, "pass a queue, a topic or a bucket"),
        ({"on_failure": "arn:aws:sqs:us-east-1:123456789012:q.fifo"}, "a standard queue"),
    ],
)
def test_what_is_refused(app: InlineApp, settings: dict[str, Any], problem: str) -> None:
    """At the declaration, with the reason."""
    stream = app.stream("clicks")
    if not problem:
        stream.on_records(**settings)  # what is not given
        return
    with pytest.raises(DefinitionError, match=problem):
        stream.on_records(**settings)


def test_a_table_has_no_timestamps(app: InlineApp) -> None:
    """DynamoDB's streams begin at either end."""
    table = app.table("orders", partition_key="id", stream="KEYS_ONLY")
    with pytest.raises(DefinitionError, match="one of 'TRIM_HORIZON' or 'LATEST'"):
        table.on_change(starting_position="AT_TIMESTAMP")


@pytest.mark.parametrize(
    ("name", "settings", "problem"),
    [
        ("jobs", {"batch_size": 0}, "1 to 10000"),
        ("jobs", {"batch_size": 11}, "pass max_batching_window=1"),
        ("jobs", {"max_batching_window": 301}, "0 to 300"),
        ("jobs", {"max_concurrency": 1}, "2 to 1000"),
        ("jobs", {"max_concurrency": 1001}, "2 to 1000"),
        ("jobs.fifo", {"batch_size": 11}, "10 at the most"),
        ("jobs.fifo", {"max_batching_window": 1}, "for standard queues"),
    ],
)
def test_queues(app: InlineApp, name: str, settings: dict[str, Any], problem: str) -> None:
    """A large batch wants a window; FIFO queues have neither."""
    queue = app.queue(name)
    queue.on_messages(batch_size=10)
    with pytest.raises(DefinitionError, match=problem):
        queue.on_messages(**settings)
    app.queue("large").on_messages(batch_size=10_000, max_batching_window=1)


def test_what_is_decorated_is_a_function_of_the_app(app: InlineApp) -> None:
    """As for every trigger."""
    with pytest.raises(DefinitionError, match=r"put @app\.function beneath @stream\.on_records"):
        app.stream("clicks").on_records()(nothing)  # type: ignore[type-var]


def test_its_handle(app: InlineApp) -> None:
    """A UUID that stays, and what it was declared with."""
    app.stream("clicks").on_records(batch_size=7)(app.calls(nothing))
    (mapping,) = app.mappings
    assert mapping.uuid == app.mappings[0].uuid
    assert len(mapping.uuid) == 36
    assert mapping.event_source_arn.endswith("stream/clicks")
    assert (mapping.function_name, mapping.settings.batch_size) == ("reader", 7)
    assert "Enabled" in repr(mapping)
