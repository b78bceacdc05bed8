"""Streams and tables that are not the app's own, on moto's server: the same delivery, by boto3."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes import DynamoDBStreamEvent, KinesisStreamEvent
from inline_app import InlineApp, fail, nothing

from faaskit.app import App
from faaskit.exceptions import DefinitionError

_STREAM = "arn:aws:kinesis:us-east-1:123456789012:stream/clicks"
_TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/orders"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[InlineApp]:
    """An app with a place that has a stream of two shards, and a table with a stream."""
    with InlineApp(tmp_path / "state", aws="moto") as app:
        app.client("kinesis").create_stream(StreamName="clicks", ShardCount=2)
        _create_table(app)
        yield app


def _create_table(app: App, name: str = "orders", *, stream: bool = True) -> None:
    keys = (("id", "HASH"), ("at", "RANGE"))
    given: dict[str, Any] = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    app.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _ in keys],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification=given if stream else {"StreamEnabled": False},
    )


def _put(app: App, *texts: str) -> None:
    for text in texts:
        app.client("kinesis").put_record(StreamName="clicks", Data=text, PartitionKey=text)


def _put_items(app: App, *keys: str) -> None:
    for key in keys:
        item = {"id": {"S": key}, "at": {"S": "now"}, "raw": {"B": b"\xff\x00"}}
        app.client("dynamodb").put_item(TableName="orders", Item=item)


def _texts(app: InlineApp) -> list[str]:
    records = [one for event in app.received for one in event["Records"]]
    app.received.clear()
    return [base64.b64decode(one["kinesis"]["data"]).decode() for one in records]


def test_records_are_delivered(app: InlineApp) -> None:
    """In batches of one shard each, in order, as Powertools reads them."""
    app.remote_stream(_STREAM).on_records(batch_size=4)(app.calls(nothing))
    _put(app, *"abcdefghij")
    app.drain()
    assert max(len(event["Records"]) for event in app.received) == 4
    for event in app.received:
        read = [*KinesisStreamEvent(event).records]
        assert {one.event_source_arn for one in read} == {_STREAM}
        numbers = [int(one.kinesis.sequence_number) for one in read]
        assert numbers == sorted(numbers)
    assert sorted(_texts(app)) == [*"abcdefghij"]
    _put(app, "k")
    assert len(app.drain()) == 1
    assert _texts(app) == ["k"]


def test_a_shard_is_split(app: InlineApp) -> None:
    """What it became is read after it."""
    app.remote_stream(_STREAM).on_records()(app.calls(nothing))
    _put(app, *"abcdefghij")
    app.drain()
    _texts(app)
    kinesis = app.client("kinesis")
    first = kinesis.list_shards(StreamName="clicks")["Shards"][0]
    middle = int(first["HashKeyRange"]["EndingHashKey"]) // 2
    kinesis.split_shard(
        StreamName="clicks", ShardToSplit=first["ShardId"], NewStartingHashKey=str(middle)
    )
    _put(app, *"klmnopqrst")
    app.drain()
    app.drain()
    # moto moves what was in the shard to its children, with other numbers.
    assert {*"klmnopqrst"} <= set(_texts(app))


def test_changes_are_delivered(app: InlineApp) -> None:
    """As Powertools reads them; of a table's ARN it is the latest stream."""
    app.remote_table(_TABLE).on_change(filters=[{"eventName": ["INSERT", "REMOVE"]}])(
        app.calls(nothing)
    )
    _put_items(app, "one", "two", "one")
    app.client("dynamodb").delete_item(
        TableName="orders", Key={"id": {"S": "two"}, "at": {"S": "now"}}
    )
    app.drain()
    [event] = app.received
    changes = [*DynamoDBStreamEvent(event).records]
    names = [one.event_name.name for one in changes if one.event_name]
    assert names == ["INSERT", "INSERT", "REMOVE"]
    first = changes[0].dynamodb
    assert first is not None
    assert first.keys == {"id": "one", "at": "now"}
    assert first.new_image == {"id": "one", "at": "now", "raw": "/wA="}
    [found] = app.client("dynamodbstreams").list_streams(TableName="orders")["Streams"]
    assert changes[0].event_source_arn == found["StreamArn"]


def test_a_stream_of_a_table_by_its_own_name(app: InlineApp) -> None:
    """And keys stay in order in parts of its shard."""
    [found] = app.client("dynamodbstreams").list_streams(TableName="orders")["Streams"]
    table = app.remote_table(found["StreamArn"])
    assert table.name == "orders"
    table.on_change(batch_size=1, parallelization_factor=3)(app.calls(nothing))
    _put_items(app, *"abcabcabc")
    app.drain()
    for key in "abc":
        names = [
            one["eventName"]
            for event in app.received
            for one in event["Records"]
            if one["dynamodb"]["Keys"]["id"]["S"] == key
        ]
        assert len(names) in {1, 3}  # moto tells of no change where nothing changed
        assert names[0] == "INSERT"


def test_after_a_restart(tmp_path: Path, app: InlineApp) -> None:
    """It goes on where it was, with what was put meanwhile."""
    app.remote_stream(_STREAM).on_records()(app.calls(nothing))
    app.remote_table(_TABLE).on_change()(app.calls(nothing, "changes"))
    _put(app, "a", "b")
    _put_items(app, "one")
    app.drain()
    app.received.clear()
    _put(app, "c")
    _put_items(app, "two")
    with InlineApp(tmp_path / "state", app.clock, aws="moto") as other:
        other._gate = app._gate  # the same server of moto's
        other.remote_stream(_STREAM).on_records()(other.calls(nothing))
        other.remote_table(_TABLE).on_change()(other.calls(nothing, "changes"))
        other.drain()
        assert sorted(
            one.get("eventName") for event in other.received for one in event["Records"]
        ) == ["INSERT", "aws:kinesis:record"]


def test_what_was_given_up(app: InlineApp) -> None:
    """Its destination is told the place on AWS: the shard, and the numbers."""
    letters = app.queue("letters")
    app.remote_stream(_STREAM).on_records(retry_attempts=0, on_failure=letters)(app.calls(fail))
    _put(app, "a")
    app.drain()
    [told] = letters.receive()
    assert _STREAM in told.body
    assert '"batchSize": 1' in told.body
    assert app.dead()[0].reason == "RetryAttemptsExhausted"


def test_what_is_not_there(app: InlineApp, caplog: Any) -> None:
    """Is told of, and read as soon as it is."""
    app.remote_stream(f"{_STREAM}-too").on_records()(app.calls(nothing))
    _create_table(app, "plain", stream=False)
    app.remote_table(_TABLE.replace("orders", "plain")).on_change()(app.calls(nothing, "changes"))
    app.drain()
    results = [one.last_processing_result for one in app.mappings]
    assert all(one.startswith("PROBLEM: ") for one in results)
    assert "has no stream: enable one" in results[1]
    assert caplog.text.count("could not be read") == 2
    app.client("kinesis").create_stream(StreamName="clicks-too", ShardCount=1)
    app.client("kinesis").put_record(StreamName="clicks-too", Data="a", PartitionKey="k")
    app.drain()
    assert _texts(app) == ["a"]
    assert app.mappings[0].last_processing_result == "OK"


def test_in_the_background(app: InlineApp) -> None:
    """While a program runs, in real time."""
    app.remote_stream(_STREAM).on_records(batch_size=2)(app.calls(nothing))
    _put(app, *"abcdef")
    with app.running():
        while sum(len(event["Records"]) for event in list(app.received)) < 6:
            with app._state.changes.condition:
                app._state.changes.condition.wait(0.05)
    assert sorted(_texts(app)) == [*"abcdef"]


def test_real_functions_in_real_time(tmp_path: Path) -> None:
    """LATEST is what comes after the folder was opened."""
    with App("real", state=tmp_path, aws="moto") as real:
        real.client("kinesis").create_stream(StreamName="clicks", ShardCount=1)
        _put(real, "before")

        @real.remote_stream(_STREAM).on_records(starting_position="LATEST")
        @real.function
        def work(event: Any, context: Any) -> int:
            return len(event["Records"])

        assert real.mappings[0].uuid
        _put(real, "after", "that")
        assert [one.payload for one in real.drain()] == [2]


def test_a_deny_holds(app: InlineApp, caplog: Any) -> None:
    """Nothing is read."""
    from faaskit import deny

    function = deny("kinesis:GetRecords", on="*")(app.calls(nothing))
    app.remote_stream(_STREAM).on_records()(function)
    _put(app, "a")
    assert app.drain() == []
    assert "its role denies it" in caplog.text


def test_what_is_refused(app: InlineApp, tmp_path: Path) -> None:
    """Other ARNs, settings that are not theirs, and an app without a place."""
    with pytest.raises(DefinitionError, match="stream/NAME"):
        app.remote_stream(_TABLE)
    with pytest.raises(DefinitionError, match="table/NAME"):
        app.remote_table(_STREAM)
    with pytest.raises(DefinitionError, match="starting_position"):
        app.remote_table(_TABLE).on_change(starting_position="AT_TIMESTAMP")
    with pytest.raises(DefinitionError, match="is not a function of"):
        app.remote_stream(_STREAM).on_records()(nothing)
    with InlineApp(tmp_path / "none") as none, pytest.raises(DefinitionError, match="pass aws="):
        none.remote_stream(_STREAM)
