"""Queues that are not the app's own, on moto's server: the same delivery, through boto3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from inline_app import InlineApp, fail, nothing

from faaskit.app import App
from faaskit.exceptions import DefinitionError

_ARN = "arn:aws:sqs:us-east-1:123456789012:"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[InlineApp]:
    """An app with a place that has queues."""
    with InlineApp(tmp_path / "state", aws="moto") as app:
        yield app


class _Away:
    """A queue on moto's server."""

    def __init__(self, app: InlineApp, name: str = "away", **attributes: str) -> None:
        self._client = app.client("sqs")
        self.url = self._client.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.queue = app.remote_queue(_ARN + name)

    def send(self, *bodies: str, **more: Any) -> None:
        for body in bodies:
            self._client.send_message(QueueUrl=self.url, MessageBody=body, **more)

    def counts(self) -> tuple[int, int]:
        """Return how many can be received, and how many were."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = self._client.get_queue_attributes(QueueUrl=self.url, AttributeNames=[*names])
        one, other = (int(found["Attributes"][name]) for name in names)
        return one, other


def _bodies(app: InlineApp) -> list[list[str]]:
    found = [[one["body"] for one in event["Records"]] for event in app.received]
    app.received.clear()
    return found


def test_messages_are_delivered_and_deleted(app: InlineApp) -> None:
    """In SQS' event, in batches, until the queue is empty."""
    away = _Away(app)
    away.queue.on_messages(batch_size=4)(app.calls(nothing))
    away.send(*"abcde", MessageAttributes={"kind": {"DataType": "String", "StringValue": "x"}})
    assert len(app.drain()) == 2
    first = app.received[0]["Records"][0]
    assert first["eventSourceARN"] == _ARN + "away"
    assert first["attributes"]["ApproximateReceiveCount"] == "1"
    assert first["messageAttributes"]["kind"]["stringValue"] == "x"
    assert first["awsRegion"] == "us-east-1"
    assert sorted(body for batch in _bodies(app) for body in batch) == [*"abcde"]
    assert away.counts() == (0, 0)
    assert app.mappings[0].last_processing_result == "OK"


def test_polling_goes_on(app: InlineApp) -> None:
    """A second after a poll that found nothing."""
    away = _Away(app)
    away.queue.on_messages()(app.calls(nothing))
    assert app.drain() == []
    away.send("a")
    app.pass_time(seconds=1)
    assert _bodies(app) == [["a"]]


def test_what_fails_is_left(app: InlineApp) -> None:
    """To be seen again, with the queue's own dead-letter queue to end it."""
    away = _Away(app, VisibilityTimeout="60")
    away.queue.on_messages()(app.calls(fail))
    away.send("a")
    app.drain()
    assert away.counts() == (0, 1)
    assert app.mappings[0].last_processing_result == "PROBLEM: Function call failed"


def test_partial_failures(app: InlineApp) -> None:
    """What is named is left, all else deleted."""

    def handler(event: Any) -> Any:
        failed = [one["messageId"] for one in event["Records"] if one["body"] == "bad"]
        return {"batchItemFailures": [{"itemIdentifier": one} for one in failed]}

    away = _Away(app, VisibilityTimeout="60")
    away.queue.on_messages(report_batch_item_failures=True)(app.calls(handler))
    away.send("good", "bad", "fine")
    app.drain()
    assert away.counts() == (0, 1)


def test_filters(app: InlineApp) -> None:
    """What matches none is deleted."""
    away = _Away(app)
    away.queue.on_messages(filters=[{"body": {"kind": ["order"]}}])(app.calls(nothing))
    away.send('{"kind": "order"}', '{"kind": "other"}')
    app.drain()
    assert [body for batch in _bodies(app) for body in batch] == ['{"kind": "order"}']
    assert away.counts() == (0, 0)


def test_a_payload_has_six_megabytes(app: InlineApp) -> None:
    """What an event has no room for is seen at once, and comes in the next."""
    away = _Away(app, MaximumMessageSize="1048576")
    away.queue.on_messages()(app.calls(nothing))
    away.send(*["x" * 1_000_000] * 8)
    app.drain()
    assert all(len(event["Records"]) <= 6 for event in app.received)
    assert sum(len(event["Records"]) for event in app.received) == 8
    assert away.counts() == (0, 0)


def test_a_queue_that_is_not_there(app: InlineApp, caplog: Any) -> None:
    """Is told of, and polled again, later each time."""
    app.remote_queue(_ARN + "gone").on_messages()(app.calls(nothing))
    assert app.drain() == []
    assert "could not be polled" in caplog.text
    assert app.mappings[0].last_processing_result.startswith("PROBLEM: ")
    app.client("sqs").create_queue(QueueName="gone")
    app.client("sqs").send_message(
        QueueUrl=app.client("sqs").get_queue_url(QueueName="gone")["QueueUrl"], MessageBody="a"
    )
    app.pass_time(seconds=2)
    assert _bodies(app) == [["a"]]


def test_a_visibility_timeout_that_is_too_short(app: InlineApp, caplog: Any) -> None:
    """Nothing is received, and the mapping says why."""
    away = _Away(app, VisibilityTimeout="10")
    away.queue.on_messages()(app.calls(nothing, timeout=11))
    away.send("a")
    assert app.drain() == []
    assert "10 seconds is less than Function timeout: 11" in caplog.text
    assert away.counts() == (1, 0)


def test_in_the_background(app: InlineApp) -> None:
    """Several batches at once, each in a thread of its own."""
    away = _Away(app)
    away.queue.on_messages(batch_size=2)(app.calls(nothing))
    away.send(*map(str, range(12)))
    with app.running():
        while sum(len(event["Records"]) for event in list(app.received)) < 12:
            with app._state.changes.condition:
                app._state.changes.condition.wait(0.05)
    assert away.counts() == (0, 0)


def test_at_once_in_real_time(tmp_path: Path) -> None:
    """The first poll is due when delivery begins, by a clock that goes on, too."""
    with App("real", state=tmp_path, aws="moto") as real:
        url = real.client("sqs").create_queue(QueueName="away")["QueueUrl"]
        real.client("sqs").send_message(QueueUrl=url, MessageBody="a")

        @real.remote_queue(_ARN + "away").on_messages()
        @real.function
        def work(event: Any, context: Any) -> int:
            return len(event["Records"])

        for _ in range(2):
            assert [one.payload for one in real.drain()] == [1]
            real.client("sqs").send_message(QueueUrl=url, MessageBody="b")


def test_what_is_refused(app: InlineApp, tmp_path: Path) -> None:
    """No queue's ARN, and an app without a place."""
    with pytest.raises(DefinitionError, match="REGION:ACCOUNT:NAME"):
        app.remote_queue("arn:aws:sns:us-east-1:123456789012:t")
    with pytest.raises(DefinitionError, match="10 at the most"):
        app.remote_queue(_ARN + "q.fifo").on_messages(batch_size=11)
    with InlineApp(tmp_path / "none") as none, pytest.raises(DefinitionError, match="pass aws="):
        none.remote_queue(_ARN + "q")
