"""Destinations and dead letters: AWS's records, under the role, lost by no crash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faaskit.app import App
from faaskit.exceptions import DefinitionError, FaaskitError
from faaskit.gate.lineage import MAX_DEPTH
from faaskit.iam.statements import allow, deny
from faaskit.testing import FakeClock


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """An app whose time is moved by hand."""
    with App("shop", state=tmp_path / "state", clock=FakeClock("2026-01-01T00:00:00Z")) as app:
        yield app


def _pass_time(app: App, **duration: float) -> list[Any]:
    app._clock.advance(**duration)  # type: ignore[attr-defined]
    return app.drain()


def _messages(app: App, name: str) -> list[Any]:
    return app.queue(name).receive(10)


def test_the_record_of_a_success(app: App) -> None:
    """It is AWS's, of the qualified function, with the event and the result."""
    results = app.queue("results")

    @app.function(on_success=results)
    def double(event: Any, context: Any) -> Any:
        return {"n": event["n"] * 2}

    request_id = double.send({"n": 21})
    assert [one.payload for one in app.drain()] == [{"n": 42}]
    (message,) = _messages(app, "results")
    assert json.loads(message.body) == {
        "version": "1.0",
        "timestamp": "2026-01-01T00:00:00.000Z",
        "requestContext": {
            "requestId": request_id,
            "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:double:$LATEST",
            "condition": "Success",
            "approximateInvokeCount": 1,
        },
        "requestPayload": {"n": 21},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST"},
        "responsePayload": {"n": 42},
    }
    assert (app.pending(), app.dead()) == ([], [])


def test_the_record_of_a_failure_and_the_dead_letter(app: App) -> None:
    """After the last retry: the record to one queue, the event itself to the other."""
    failures, letters = app.queue("failures"), app.queue("letters")

    @app.function(on_failure=failures, dead_letter=letters, retry_attempts=1)
    def fails(event: Any, context: Any) -> None:
        raise ValueError(event)

    request_id = fails.send("x")
    app.drain()
    assert _messages(app, "failures") == []
    assert len(_pass_time(app, minutes=1)) == 1
    (record,) = (json.loads(one.body) for one in _messages(app, "failures"))
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["responseContext"]["functionError"] == "Unhandled"
    assert record["responsePayload"]["errorType"] == "ValueError"
    (letter,) = _messages(app, "letters")
    assert letter.body == '"x"'
    assert letter.attributes["RequestID"] == request_id
    assert letter.attributes["ErrorCode"] == 200
    assert "ValueError" in letter.attributes["ErrorMessage"]
    assert [one.reason for one in app.dead()] == ["RetriesExhausted"]


def test_no_concurrency_is_no_attempt(app: App) -> None:
    """What is never invoked has no response in its record."""
    failures = app.queue("failures")

    @app.function(on_failure=failures, reserved_concurrency=0)
    def closed(event: Any, context: Any) -> None:
        pass

    closed.send(1)
    assert app.drain() == []
    (record,) = (json.loads(one.body) for one in _messages(app, "failures"))
    assert record["requestContext"]["condition"] == "ZeroReservedConcurrency"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert "responsePayload" not in record


def test_a_function_a_bus_and_a_bucket(app: App) -> None:
    """Each gets the record in its own form."""
    bucket, bus = app.bucket("kept-failures"), app.bus("default")

    @app.function
    def hears(event: Any, context: Any) -> Any:
        return event["requestContext"]["condition"]

    @app.function(on_success=hears)
    def well(event: Any, context: Any) -> None:
        pass

    @app.function(on_success=bus, on_failure=bucket, retry_attempts=0)
    def either(event: Any, context: Any) -> None:
        if event:
            raise ValueError

    well.send()
    either.send(0)
    either.send(1)
    payloads = [one.payload for one in app.drain() if one.function_name == "hears"]
    assert payloads == ["Success"]
    (entry,) = bucket.list()
    assert entry.key.startswith("aws/lambda/async/either/2026/01/01/2026-01-01T00.00.00-")
    body = bucket.get(entry.key).body
    assert json.loads(body or b"")["requestContext"]["condition"] == "RetriesExhausted"
    with app._state.reading() as connection:
        (text,) = connection.execute("SELECT event FROM bus_events").fetchone()
    event = json.loads(text)
    assert event["source"] == "lambda"
    assert event["detail-type"] == "Lambda Function Invocation Result - Success"
    assert event["resources"] == [bus.arn, f"{either.arn}:$LATEST"]
    assert event["detail"]["requestContext"]["condition"] == "Success"


def test_a_deny_holds(app: App) -> None:
    """To name a destination allows it; what the role denies stays denied, and is not lost."""
    results = app.queue("results")

    @deny("sqs:*", on=results)
    @app.function(on_success=results)
    def f(event: Any, context: Any) -> None:
        pass

    f.send(1)
    assert len(app.drain()) == 1
    assert _messages(app, "results") == []
    (dead,) = app.dead()
    assert (dead.reason, dead.target) == ("Undeliverable", results.arn)
    assert "explicit deny" in dead.detail


def test_a_destination_that_is_not_there(app: App) -> None:
    """The record is kept, and can be sent again when there is one."""

    @app.function(on_success="arn:aws:sqs:us-east-1:123456789012:later")
    def f(event: Any, context: Any) -> None:
        pass

    f.send(1)
    app.drain()
    (dead,) = app.dead()
    assert "NonExistentQueue" in dead.detail
    app.queue("later")
    app.redrive(dead)
    assert app.drain() == [], "nothing is invoked again"
    assert len(_messages(app, "later")) == 1
    assert app.dead() == []
    with pytest.raises(FaaskitError, match="not among those"):
        app.redrive(dead)


def test_an_event_is_redriven(app: App) -> None:
    """It gets all its attempts anew."""

    @app.function(retry_attempts=0)
    def f(event: Any, context: Any) -> None:
        raise ValueError

    f.send(1)
    app.drain()
    request_id = app.redrive(app.dead()[0])
    (again,) = app.drain()
    assert again.request_id == request_id
    assert len(app.dead()) == 1


def test_a_loop_is_stopped(app: App) -> None:
    """A function that feeds itself by way of a bucket is stopped after 16 invocations."""
    bucket, stopped = app.bucket("loop"), app.queue("stopped")

    @bucket.on("s3:ObjectCreated:*")
    @app.function(on_failure=stopped)
    @allow("s3:PutObject", on=bucket.objects("*"))
    def again(event: Any, context: Any) -> None:
        bucket.put(event["Records"][0]["s3"]["object"]["key"] + "x", b"")

    bucket.put("k", b"")
    assert len(app.drain()) == MAX_DEPTH
    (record,) = (json.loads(one.body) for one in _messages(app, "stopped"))
    assert record["requestContext"]["condition"] == "RecursiveInvocation"
    assert len(list(bucket.list())) == MAX_DEPTH + 1


def test_who_calls_itself_is_stopped(app: App) -> None:
    """Synchronous calls count, too; the caller gets AWS's error."""
    arn = "arn:aws:lambda:us-east-1:123456789012:function:deeper"

    @app.function(timeout=30)
    @allow("lambda:InvokeFunction", on=arn)
    def deeper(event: Any, context: Any) -> Any:
        try:
            return deeper.invoke(event + 1).result()
        except Exception as error:  # noqa: BLE001 - its name is the result
            return [event, getattr(error, "code", repr(error))]

    assert deeper.invoke(1).result() == [MAX_DEPTH, "RecursiveInvocationException"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"on_success": "q"}, "not the ARN"),
        ({"on_success": 7}, "pass a queue, a topic, a function or a bus, or its ARN"),
        ({"on_success": "arn:aws:s3:::some-bucket"}, "is the bucket"),
        ({"dead_letter": "arn:aws:events:us-east-1:123456789012:event-bus/b"}, "is the bus"),
        ({"dead_letter": "arn:aws:sqs:us-east-1:123456789012:q.fifo"}, "standard queue"),
        (
            {"on_failure": "arn:aws:lambda:us-east-1:123456789012:function:f"},
            "as a destination for itself",
        ),
    ],
)
def test_what_aws_does_not_take(app: App, settings: dict[str, Any], message: str) -> None:
    """It is refused where the function is declared."""
    with pytest.raises(DefinitionError, match=message):

        @app.function(**settings)
        def f(event: Any, context: Any) -> None: ...

    assert "f" not in app.functions
