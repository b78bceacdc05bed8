"""Event source mappings of queues: batches of messages, and what becomes of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from inline_app import InlineApp, fail, nothing

from faaskit.exceptions import DefinitionError, ThrottledError
from faaskit.gate.lineage import MAX_DEPTH, behind
from faaskit.iam.statements import deny


@pytest.fixture
def app(tmp_path: Path) -> Iterator[InlineApp]:
    """An app whose time is moved by hand."""
    with InlineApp(tmp_path / "state") as app:
        yield app


def _batches(app: InlineApp) -> list[list[str]]:
    """Return the bodies of the batches since the last time."""
    found = [[one["body"] for one in event["Records"]] for event in app.received]
    app.received.clear()
    return found


def _left(app: InlineApp, name: str = "jobs") -> int:
    with app._state.reading() as connection:
        (count,) = connection.execute(
            "SELECT COUNT(*) FROM messages WHERE queue = ?", (name,)
        ).fetchone()
    return int(count)


def _reporting(*bad: str) -> Any:
    def handler(event: Any) -> Any:
        failed = [one["messageId"] for one in event["Records"] if one["body"] in bad]
        return {"batchItemFailures": [{"itemIdentifier": one} for one in failed]}

    return handler


def test_the_event(app: InlineApp) -> None:
    """It is SQS', with the attributes; a batch that was done is deleted."""
    jobs = app.queue("jobs")
    jobs.on_messages()(app.calls(nothing))
    jobs.send("work", attributes={"kind": "small", "raw": b"\x00"})
    app.clock.advance(seconds=1)
    app.drain()
    (event,) = app.received
    (record,) = event["Records"]
    assert len(record.pop("messageId")) == 36
    assert record.pop("receiptHandle")
    assert len(record.pop("md5OfMessageAttributes")) == 32
    sender = record["attributes"].pop("SenderId")
    assert sender
    assert record == {
        "body": "work",
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": "1767225600000",
            "ApproximateFirstReceiveTimestamp": "1767225601000",
        },
        "messageAttributes": {
            "kind": {
                "stringValue": "small",
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "String",
            },
            "raw": {
                "binaryValue": "AA==",
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": "Binary",
            },
        },
        "md5OfBody": "67e92c8765a9bc7fb2d335c459de9eb5",
        "eventSource": "aws:sqs",
        "eventSourceARN": jobs.arn,
        "awsRegion": "us-east-1",
    }
    assert _left(app) == 0


def test_batch_size(app: InlineApp) -> None:
    """Ten by default, at the most; and what there is, at once."""
    jobs = app.queue("jobs")
    jobs.on_messages()(app.calls(nothing))
    for number in range(23):
        jobs.send(str(number))
    app.drain()
    assert [len(batch) for batch in _batches(app)] == [10, 10, 3]


def test_max_batching_window(app: InlineApp) -> None:
    """What is not full waits; a full batch does not; a large one is possible then."""
    jobs = app.queue("jobs")
    jobs.on_messages(batch_size=20, max_batching_window=30)(app.calls(nothing))
    jobs.send("a")
    assert app.pass_time(seconds=29.9) == []
    jobs.send("b")
    app.pass_time(seconds=0.1)
    assert _batches(app) == [["a", "b"]]
    for number in range(21):
        jobs.send(str(number))
    app.drain()
    assert [len(batch) for batch in _batches(app)] == [20]
    app.pass_time(seconds=30)
    assert [len(batch) for batch in _batches(app)] == [1]


def test_a_payload_has_six_megabytes(app: InlineApp) -> None:
    """A batch ends before it would have more."""
    jobs = app.queue("jobs")
    jobs.on_messages()(app.calls(nothing))
    for _ in range(8):
        jobs.send("x" * 1_000_000)
    app.drain()
    assert [len(event["Records"]) for event in app.received] == [6, 2]
    assert all(len(json.dumps(event)) <= 6 * 1024 * 1024 for event in app.received)


def test_a_batch_that_fails_is_seen_again(app: InlineApp) -> None:
    """When its visibility timeout has ended, with its count; not before."""
    jobs = app.queue("jobs", visibility_timeout=30)
    jobs.on_messages()(app.calls(fail))
    jobs.send("a")
    app.drain()
    assert app.pass_time(seconds=29.9) == []
    app.pass_time(seconds=0.1)
    counts = [
        event["Records"][0]["attributes"]["ApproximateReceiveCount"] for event in app.received
    ]
    assert counts == ["1", "2"]
    assert app.mappings[0].last_processing_result == "PROBLEM: Function call failed"


def test_the_queues_dead_letters(app: InlineApp) -> None:
    """What was received too often goes where the queue says."""
    dead = app.queue("dead")
    jobs = app.queue("jobs", visibility_timeout=30, dead_letter=dead, max_receive_count=2)
    jobs.on_messages()(app.calls(fail))
    jobs.send("a")
    app.drain()
    app.pass_time(seconds=30)
    app.pass_time(seconds=30)
    assert len(_batches(app)) == 2
    assert [message.body for message in dead.receive()] == ["a"]
    assert _left(app) == 0


def test_report_batch_item_failures(app: InlineApp) -> None:
    """What is named is seen again, and all else is deleted."""
    jobs = app.queue("jobs")
    jobs.on_messages(report_batch_item_failures=True)(app.calls(_reporting("b", "d")))
    for body in "abcd":
        jobs.send(body)
    app.drain()
    assert _left(app) == 2
    app.pass_time(seconds=30)
    assert _batches(app) == [[*"abcd"], [*"bd"]]


@pytest.mark.parametrize(
    "answer",
    [
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        {"batchItemFailures": [{"itemIdentifier": None}]},
        {"batchItemFailures": [{"id": "x"}]},
        {"batchItemFailures": [{"itemIdentifier": "of no message"}]},
        {"batchItemFailures": "x"},
        "text",
        [1],
    ],
)
def test_answers_that_fail_the_batch(app: InlineApp, answer: Any) -> None:
    """What can't be understood is no success: nothing is deleted."""
    jobs = app.queue("jobs")
    jobs.on_messages(report_batch_item_failures=True)(app.calls(lambda _: answer))
    jobs.send("a")
    app.drain()
    assert _left(app) == 1


@pytest.mark.parametrize(
    "answer",
    [None, {}, [], {"batchItemFailures": []}, {"batchItemFailures": None}, {"other": 1}],
)
def test_answers_that_name_no_failure(app: InlineApp, answer: Any) -> None:
    """All of the batch was done."""
    jobs = app.queue("jobs")
    jobs.on_messages(report_batch_item_failures=True)(app.calls(lambda _: answer))
    jobs.send("a")
    app.drain()
    assert _left(app) == 0


def test_filters(app: InlineApp) -> None:
    """What matches none is deleted; JSON and plain text are each matched by their kind."""
    jobs = app.queue("jobs")
    jobs.on_messages(filters=[{"body": {"kind": ["order"]}}, {"body": ["plain"]}])(
        app.calls(nothing)
    )
    for body in ('{"kind": "order"}', '{"kind": "other"}', "plain", "other", '"plain"', "[1]"):
        jobs.send(body)
    app.drain()
    assert _batches(app) == [['{"kind": "order"}', "plain"]]
    assert _left(app) == 0


def test_filters_on_what_sqs_adds(app: InlineApp) -> None:
    """Without a pattern for the body, any body passes."""
    jobs = app.queue("jobs")
    kind = {"messageAttributes": {"kind": {"stringValue": [{"prefix": "sm"}]}}}
    jobs.on_messages(filters=[kind])(app.calls(nothing))
    jobs.send("a", attributes={"kind": "small"})
    jobs.send("b", attributes={"kind": "large"})
    assert len(app.drain()) == 1
    assert _batches(app) == [["a"]]


def test_a_batch_of_which_nothing_is_left(app: InlineApp) -> None:
    """Invokes nothing, and what comes after it is delivered in the same drain."""
    jobs = app.queue("jobs")
    jobs.on_messages(batch_size=2, filters=[{"body": ["yes"]}])(app.calls(nothing))
    for body in ("no", "no", "no", "yes"):
        jobs.send(body)
    app.drain()
    assert _batches(app) == [["yes"]]


def test_fifo_order(app: InlineApp) -> None:
    """Of a group nothing is delivered before what comes before it was done."""
    jobs = app.queue("jobs.fifo", content_based_deduplication=True)
    jobs.on_messages(batch_size=2)(app.calls(nothing))
    for body in ("a1", "a2", "b1", "a3", "b2"):
        jobs.send(body, group_id=body[0])
    app.drain()
    done = [body for batch in _batches(app) for body in batch]
    assert [body for body in done if body[0] == "a"] == ["a1", "a2", "a3"]
    assert [body for body in done if body[0] == "b"] == ["b1", "b2"]


def test_a_fifo_group_that_fails_holds_up_itself_only(app: InlineApp) -> None:
    """Other groups go on; the group goes on from what failed."""

    def handler(event: Any) -> None:
        if event["Records"][0]["body"] == "a1":
            fail(event)

    jobs = app.queue("jobs.fifo", content_based_deduplication=True)
    jobs.on_messages(batch_size=1)(app.calls(handler))
    for body in ("a1", "a2", "b1"):
        jobs.send(body, group_id=body[0])
    app.drain()
    assert _batches(app) == [["a1"], ["b1"]]
    app.handlers["reader"] = nothing
    app.pass_time(seconds=30)
    assert _batches(app) == [["a1"], ["a2"]]


def test_max_concurrency(app: InlineApp) -> None:
    """No more batches at once than that."""
    jobs = app.queue("jobs")
    lock, at_once, most = threading.Lock(), [0], [0]
    release = threading.Event()

    def handler(_: Any) -> None:
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
            if at_once[0] == 2:
                release.set()
        release.wait(10)
        with lock:
            at_once[0] -= 1

    jobs.on_messages(batch_size=1, max_concurrency=2)(app.calls(handler))
    for number in range(8):
        jobs.send(str(number))
    with app.running(concurrency=8):
        while _left(app):
            with app._state.changes.condition:
                app._state.changes.condition.wait(0.05)
    assert (len(app.received), most[0]) == (8, 2)


def test_throttles(app: InlineApp) -> None:
    """Messages are seen again when their visibility timeout has ended."""

    def throttled(_: Any) -> None:
        msg = "no room"
        raise ThrottledError(msg, reason="ConcurrentInvocationLimitExceeded")

    jobs = app.queue("jobs")
    jobs.on_messages()(app.calls(throttled))
    jobs.send("a")
    assert app.drain() == []
    app.handlers["reader"] = nothing
    assert len(app.pass_time(seconds=30)) == 1


def test_a_function_that_cannot_run(app: InlineApp) -> None:
    """Its messages are as if they had not been received."""

    def impossible(_: Any) -> None:
        msg = "its code can't travel"
        raise DefinitionError(msg)

    jobs = app.queue("jobs")
    jobs.on_messages()(app.calls(impossible))
    jobs.send("a")
    with pytest.raises(DefinitionError):
        app.drain()
    app.handlers["reader"] = nothing
    app.drain()
    attributes = app.received[-1]["Records"][0]["attributes"]
    assert attributes["ApproximateReceiveCount"] == "1"


def test_a_recursive_loop_is_stopped(app: InlineApp) -> None:
    """A message that sixteen invocations stand behind goes to the dead-letter queue."""
    dead = app.queue("dead")
    jobs = app.queue("jobs", dead_letter=dead, max_receive_count=5)
    jobs.on_messages()(app.calls(nothing))
    with behind(MAX_DEPTH):
        jobs.send("again")
    jobs.send("first")
    app.drain()
    assert _batches(app) == [["first"]]
    assert [message.body for message in dead.receive()] == ["again"]
    assert [one.reason for one in app.dead()] == ["RecursiveInvocation"]


def test_a_function_that_feeds_its_own_queue(app: InlineApp) -> None:
    """Is stopped after sixteen invocations, as on AWS."""
    jobs = app.queue("jobs")

    def handler(_: Any) -> None:
        jobs.send("again")

    jobs.on_messages()(app.calls(handler))
    jobs.send("first")
    app.drain()
    assert len(app.received) == MAX_DEPTH
    assert [one.reason for one in app.dead()] == ["RecursiveInvocation"]


def test_the_visibility_timeout_is_no_shorter_than_the_functions(app: InlineApp) -> None:
    """Lambda refuses it at creation."""
    jobs = app.queue("jobs", visibility_timeout=30)
    with pytest.raises(DefinitionError, match="30 seconds is less than Function timeout: 31"):
        jobs.on_messages()(app.calls(nothing, timeout=31))


def test_a_deny_holds(app: InlineApp) -> None:
    """To declare a mapping allows it to receive; a Deny of the function's is stronger."""
    jobs = app.queue("jobs")
    jobs.on_messages()(deny("sqs:ReceiveMessage", on=jobs)(app.calls(nothing)))
    jobs.send("a")
    assert app.drain() == []


def test_disabled(app: InlineApp) -> None:
    """Nothing is received until it is enabled."""
    jobs = app.queue("jobs")
    jobs.on_messages(enabled=False)(app.calls(nothing))
    jobs.send("a")
    assert app.drain() == []
    app.mappings[0].enable()
    app.drain()
    assert _batches(app) == [["a"]]


def test_two_apps_of_one_folder(tmp_path: Path) -> None:
    """No message is under way twice."""
    with InlineApp(tmp_path) as one, InlineApp(tmp_path) as other:
        for app in (one, other):
            app.queue("jobs").on_messages(batch_size=1)(app.calls(nothing))
        for number in range(40):
            one.queue("jobs").send(str(number))
        with one.running(), other.running():
            while _left(one):
                with one._state.changes.condition:
                    one._state.changes.condition.wait(0.05)
        done = [batch[0] for app in (one, other) for batch in _batches(app)]
    assert sorted(done, key=int) == [str(number) for number in range(40)]
