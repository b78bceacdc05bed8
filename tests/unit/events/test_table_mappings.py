"""Event source mappings of tables: what was done to their items, as DynamoDB Streams tells it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from inline_app import InlineApp, fail, nothing

from faaskit.exceptions import DefinitionError


@pytest.fixture
def app(tmp_path: Path) -> Iterator[InlineApp]:
    """An app whose time is moved by hand."""
    with InlineApp(tmp_path / "state") as app:
        yield app


def _told(app: InlineApp) -> list[tuple[str, Any, Any]]:
    """Return the changes since the last time, with their images."""
    found = [
        (one["eventName"], one["dynamodb"].get("OldImage"), one["dynamodb"].get("NewImage"))
        for event in app.received
        for one in event["Records"]
    ]
    app.received.clear()
    return found


def test_the_event(app: InlineApp) -> None:
    """It is DynamoDB Streams', with the key and the images."""
    orders = app.table("orders", partition_key="id", stream="NEW_AND_OLD_IMAGES")
    orders.on_change()(app.calls(nothing))
    orders.put({"id": "1", "total": 5})
    orders.put({"id": "1", "total": 7, "raw": b"\x00"})
    orders.delete(id="1")
    app.drain()
    (event,) = app.received
    insert, modify, remove = event["Records"]
    arn = insert.pop("eventSourceARN")
    assert re.fullmatch(re.escape(orders.arn) + r"/stream/2026-01-01T00:00:00\.000", arn)
    assert re.fullmatch("[0-9a-f]{32}", insert.pop("eventID"))
    assert re.fullmatch("[0-9]{21,40}", insert["dynamodb"].pop("SequenceNumber"))
    assert insert == {
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1767225600.0,
            "Keys": {"id": {"S": "1"}},
            "NewImage": {"id": {"S": "1"}, "total": {"N": "5"}},
            "SizeBytes": 3 + 3 + 7,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }
    assert modify["dynamodb"]["OldImage"] == {"id": {"S": "1"}, "total": {"N": "5"}}
    assert modify["dynamodb"]["NewImage"]["raw"] == {"B": "AA=="}
    assert (remove["eventName"], "NewImage" in remove["dynamodb"]) == ("REMOVE", False)
    numbers = [one["dynamodb"]["SequenceNumber"] for one in (modify, remove)]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    ("view", "old", "new"),
    [
        ("KEYS_ONLY", False, False),
        ("NEW_IMAGE", False, True),
        ("OLD_IMAGE", True, False),
        ("NEW_AND_OLD_IMAGES", True, True),
    ],
)
def test_view_types(app: InlineApp, view: Any, *, old: bool, new: bool) -> None:
    """Each shows what it is named for, and the key always."""
    orders = app.table("orders", partition_key="id", stream=view)
    orders.on_change()(app.calls(nothing))
    orders.put({"id": "1", "n": 1})
    orders.put({"id": "1", "n": 2})
    app.drain()
    change = app.received[0]["Records"][1]["dynamodb"]
    assert ("OldImage" in change, "NewImage" in change) == (old, new)
    assert change["Keys"] == {"id": {"S": "1"}}
    assert change["StreamViewType"] == view


def test_what_changes_nothing_is_not_told(app: InlineApp) -> None:
    """Nor what is undone by a condition; a transaction's writes are, together."""
    orders = app.table("orders", partition_key="id", stream="NEW_IMAGE")
    orders.on_change()(app.calls(nothing))
    orders.put({"id": "1", "n": 1})
    orders.put({"id": "1", "n": 1})
    orders.delete(id="2")
    with pytest.raises(Exception, match="conditional"):
        orders.put({"id": "1"}, condition="attribute_not_exists(id)")
    app.drain()
    assert [name for name, _, _ in _told(app)] == ["INSERT"]


def test_latest(app: InlineApp) -> None:
    """What was done before the declaration is not told of."""
    orders = app.table("orders", partition_key="id", stream="NEW_IMAGE")
    orders.put({"id": "before"})
    orders.on_change(starting_position="LATEST")(app.calls(nothing))
    orders.put({"id": "after"})
    app.drain()
    assert [new["id"]["S"] for _, _, new in _told(app)] == ["after"]


def test_two_tables_are_two_sources(app: InlineApp) -> None:
    """Each function gets its own table's changes, one function both."""
    first = app.table("first", partition_key="id", stream="NEW_IMAGE")
    second = app.table("second", partition_key="id", stream="NEW_IMAGE")
    reader = app.calls(nothing)
    first.on_change()(reader)
    second.on_change()(reader)
    for number in range(3):
        first.put({"id": f"first {number}"})
        second.put({"id": f"second {number}"})
    app.drain()
    assert sorted(len(event["Records"]) for event in app.received) == [3, 3]


def test_order_of_a_key(app: InlineApp) -> None:
    """With batches in parallel, what was done to one item is still in order."""
    orders = app.table("orders", partition_key="id", sort_key=("n", "N"), stream="NEW_IMAGE")
    orders.on_change(parallelization_factor=5)(app.calls(nothing))
    for number in range(60):
        orders.put({"id": f"order {number % 12}", "n": number})
    app.drain()
    assert 1 < len(app.received) <= 5
    seen: dict[str, list[int]] = {}
    for event in app.received:
        for one in event["Records"]:
            keys = one["dynamodb"]["Keys"]
            seen.setdefault(keys["id"]["S"], []).append(int(keys["n"]["N"]))
    assert len(seen) == 12
    assert all(numbers == sorted(numbers) and len(numbers) == 5 for numbers in seen.values())


def test_filters(app: InlineApp) -> None:
    """On the name of the event, and on images as DynamoDB writes them, where numbers are text."""
    orders = app.table("orders", partition_key="id", stream="NEW_IMAGE")
    orders.on_change(
        filters=[{"eventName": ["INSERT"], "dynamodb": {"NewImage": {"n": {"N": ["101"]}}}}]
    )(app.calls(nothing))
    orders.put({"id": "1", "n": 101})
    orders.put({"id": "2", "n": 102})
    orders.put({"id": "2", "n": 101})
    app.drain()
    assert [new["id"]["S"] for _, _, new in _told(app)] == ["1"]


def test_the_record_of_what_was_given_up(app: InlineApp) -> None:
    """It is told as DynamoDB's, to the second."""
    orders = app.table("orders", partition_key="id", stream="KEYS_ONLY")
    orders.on_change(retry_attempts=0, on_failure=app.queue("failures"))(app.calls(fail))
    orders.put({"id": "1"})
    app.drain()
    (message,) = app.queue("failures").receive(10)
    assert '"DDBStreamBatchInfo"' in message.body
    assert '"approximateArrivalOfFirstRecord": "2026-01-01T00:00:00Z"' in message.body


def test_changes_are_kept_for_a_day(app: InlineApp) -> None:
    """What nobody read in that time is not told of any more."""
    orders = app.table("orders", partition_key="id", stream="NEW_IMAGE")
    orders.on_change()(app.calls(nothing))
    orders.put({"id": "old"})
    app.clock.advance(hours=24, seconds=1)
    orders.put({"id": "new"})
    app.drain()
    assert [new["id"]["S"] for _, _, new in _told(app)] == ["new"]


def test_a_table_without_a_stream(app: InlineApp) -> None:
    """Tells of nothing, so it can't invoke anything."""
    orders = app.table("orders", partition_key="id")
    with pytest.raises(DefinitionError, match="declare it with stream="):
        orders.on_change()(app.calls(nothing))
