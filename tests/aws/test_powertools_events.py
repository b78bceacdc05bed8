"""AWS Lambda Powertools reads every event that faaskit makes, and its batch processors work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    SqsFifoPartialProcessor,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes import (
    DynamoDBStreamEvent,
    EventBridgeEvent,
    KinesisStreamEvent,
    S3Event,
    SQSEvent,
)
from aws_lambda_powertools.utilities.data_classes.dynamo_db_stream_event import (
    DynamoDBRecordEventName,
    StreamViewType,
)
from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.parser.models import (
    DynamoDBStreamModel,
    EventBridgeModel,
    KinesisDataStreamModel,
    S3Model,
    SqsModel,
)
from inline_app import InlineApp, nothing


@pytest.fixture
def app(tmp_path: Path) -> Iterator[InlineApp]:
    """An app that records the events that its functions get."""
    with InlineApp(tmp_path / "state") as app:
        yield app


def test_kinesis(app: InlineApp) -> None:
    """Of a stream's records."""
    stream = app.stream("clicks")
    stream.on_records()(app.calls(nothing))
    stream.put('{"page": "/"}', "ann")
    app.drain()
    (event,) = app.received
    (record,) = KinesisStreamEvent(event).records
    assert record.kinesis.data_as_json() == {"page": "/"}
    assert record.kinesis.partition_key == "ann"
    assert record.event_source == "aws:kinesis"
    data: Any = parse(event=event, model=KinesisDataStreamModel).Records[0].kinesis.data
    assert json.loads(data) == {"page": "/"}


def test_dynamodb(app: InlineApp) -> None:
    """Of a table's changes, with values of every type."""
    table = app.table("orders", partition_key="id", stream="NEW_AND_OLD_IMAGES")
    table.on_change()(app.calls(nothing))
    item = {
        "id": "1",
        "n": 5,
        "raw": b"\x00",
        "tags": {"a"},
        "list": [1, None, True],
        "m": {"x": 1},
    }
    table.put(item)
    table.delete(id="1")
    app.drain()
    (event,) = app.received
    insert, remove = DynamoDBStreamEvent(event).records
    assert insert.event_name is DynamoDBRecordEventName.INSERT
    assert remove.event_name is DynamoDBRecordEventName.REMOVE
    assert insert.dynamodb is not None
    assert insert.dynamodb.stream_view_type is StreamViewType.NEW_AND_OLD_IMAGES
    assert insert.dynamodb.new_image == {**item, "raw": "AA=="}  # as Powertools leaves it
    model = parse(event=event, model=DynamoDBStreamModel)
    assert [record.eventName for record in model.Records] == ["INSERT", "REMOVE"]


def test_sqs(app: InlineApp) -> None:
    """Of a queue's messages, standard and FIFO."""
    for name in ("jobs", "jobs.fifo"):
        queue = app.queue(name)
        queue.on_messages()(app.calls(nothing, name.replace(".", "-")))
        group: dict[str, Any] = (
            {"group_id": "g", "deduplication_id": "d"} if name.endswith("fifo") else {}
        )
        queue.send('{"n": 1}', attributes={"kind": "small"}, **group)
    app.drain()
    for event in app.received:
        (record,) = SQSEvent(event).records
        assert record.json_body == {"n": 1}
        kind = record.message_attributes["kind"]
        assert kind is not None
        assert kind.string_value == "small"
        assert record.attributes.approximate_receive_count == "1"
        assert parse(event=event, model=SqsModel).Records[0].body == '{"n": 1}'
    assert SQSEvent(app.received[1]).raw_event["Records"][0]["attributes"]["MessageGroupId"] == "g"


def test_s3(app: InlineApp) -> None:
    """Of a bucket's objects."""
    bucket = app.bucket("uploads")
    bucket.on("s3:ObjectCreated:*", "s3:ObjectRemoved:*")(app.calls(nothing))
    bucket.put("a b.txt", b"hello")
    bucket.delete("a b.txt")
    app.drain()
    created, removed = (S3Event(event) for event in app.received)
    assert (created.bucket_name, created.object_key) == ("uploads", "a b.txt")
    assert created.record.s3.get_object.size == 5
    assert removed.record.event_name.startswith("ObjectRemoved")
    for event in app.received:
        parse(event=event, model=S3Model)


def test_eventbridge(app: InlineApp) -> None:
    """Of a bus, and of a schedule."""
    app.bus().on({"source": ["shop"]})(app.calls(nothing))
    app.schedule("rate(1 minute)")(app.calls(nothing, "often"))
    app.drain()
    app.bus().put(source="shop", detail_type="sold", detail={"n": 1})
    app.pass_time(minutes=1)
    assert {EventBridgeEvent(event).source for event in app.received} == {"shop", "aws.events"}
    for event in app.received:
        assert parse(event=event, model=EventBridgeModel).region == "us-east-1"


class _RefusedError(Exception):
    """A record that can't be."""


def _batched(kind: EventType, data: Any) -> Any:
    """Return a handler that does each record of a batch, and tells which failed."""
    seen: list[Any] = []

    def one(record: Any) -> None:
        seen.append(data(record))
        if seen[-1] == "bad":
            raise _RefusedError

    def handler(event: Any) -> Any:
        processor = BatchProcessor(event_type=kind, raise_on_entire_batch_failure=False)
        return process_partial_response(event, one, processor)

    handler.seen = seen  # type: ignore[attr-defined]
    return handler


def test_batches_of_a_stream(app: InlineApp) -> None:
    """What failed is tried again, with what is behind it."""
    handler = _batched(EventType.KinesisDataStreams, lambda record: record.kinesis.data_as_text())
    stream = app.stream("clicks")
    stream.on_records(report_batch_item_failures=True, retry_attempts=1)(app.calls(handler))
    stream.put_many((text, "k") for text in ("a", "bad", "c"))
    app.drain()
    app.pass_time(seconds=1)
    assert handler.seen == ["a", "bad", "c", "bad", "c"]
    assert len(app.dead()) == 1


def test_batches_of_a_table(app: InlineApp) -> None:
    """The same, of changes."""
    handler = _batched(EventType.DynamoDBStreams, lambda one: one.dynamodb.keys["id"])
    table = app.table("orders", partition_key="id", stream="KEYS_ONLY")
    table.on_change(report_batch_item_failures=True, bisect_batch_on_error=True, retry_attempts=0)(
        app.calls(handler)
    )
    for key in ("a", "bad", "c"):
        table.put({"id": key})
    app.drain()
    assert handler.seen == ["a", "bad", "c", "bad", "c", "bad", "c"]
    assert len(app.dead()) == 1


def test_batches_of_a_queue(app: InlineApp) -> None:
    """What was done is deleted, and what failed is seen again."""
    handler = _batched(EventType.SQS, lambda record: record.body)
    queue = app.queue("jobs")
    queue.on_messages(report_batch_item_failures=True)(app.calls(handler))
    for body in ("a", "bad", "c"):
        queue.send(body)
    app.drain()
    app.pass_time(seconds=30)
    assert handler.seen == ["a", "bad", "c", "bad"]


def test_batches_of_a_fifo_queue(app: InlineApp) -> None:
    """After the first that failed nothing of the batch is done, and all of that comes again."""
    seen: list[str] = []

    def one(record: Any) -> None:
        seen.append(record.body)
        if record.body == "bad" and seen.count("bad") == 1:
            raise _RefusedError

    def handler(event: Any) -> Any:
        processor = SqsFifoPartialProcessor()
        return process_partial_response(event, one, processor)

    queue = app.queue("jobs.fifo", content_based_deduplication=True)
    queue.on_messages(report_batch_item_failures=True)(app.calls(handler))
    for body in ("a", "bad", "c"):
        queue.send(body, group_id="g")
    app.drain()
    app.pass_time(seconds=30)
    assert seen == ["a", "bad", "bad", "c"]
