"""SQS's operations on the state folder."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from service_bench import ME, Bench

from faaskit.exceptions import DefinitionError, ServiceError
from faaskit.gate.service import Refusal
from faaskit.names import queue_arn
from faaskit.resources.sqs.receipts import Receipt

_URL = "https://sqs.us-east-1.amazonaws.com/123456789012/jobs"
_FIFO = "https://sqs.us-east-1.amazonaws.com/123456789012/line.fifo"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A service with a queue of each kind."""
    made = Bench(tmp_path, "sqs")
    made.app.queue("jobs")
    made.app.queue("line.fifo")
    yield made
    made.app.close()


def _send(bench: Bench, body: str, url: str = _URL, **parameters: Any) -> Any:
    return bench.call("SendMessage", QueueUrl=url, MessageBody=body, **parameters)


def _receive(bench: Bench, url: str = _URL, **parameters: Any) -> list[Any]:
    parameters = {"MaxNumberOfMessages": 10, **parameters}
    found: list[Any] = bench.call("ReceiveMessage", QueueUrl=url, **parameters).get("Messages", [])
    return found


def _bodies(bench: Bench, url: str = _URL, **parameters: Any) -> list[str]:
    return [message["Body"] for message in _receive(bench, url, **parameters)]


def test_message_comes_as_it_was_sent(bench: Bench) -> None:
    """With AWS's members, digests and system attributes."""
    sent = _send(
        bench,
        "Grüße",
        MessageAttributes={"a": {"DataType": "Number.int", "StringValue": "7"}},
        MessageSystemAttributes={"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1"}},
    )
    assert sent["MD5OfMessageBody"] == hashlib.md5("Grüße".encode()).hexdigest()
    assert sent.keys() == {
        "MD5OfMessageBody",
        "MD5OfMessageAttributes",
        "MD5OfMessageSystemAttributes",
        "MessageId",
    }
    bench.clock.advance(seconds=2)
    (message,) = _receive(bench, AttributeNames=["All"], MessageAttributeNames=["a"])
    assert message.pop("ReceiptHandle")
    assert message == {
        "MessageId": sent["MessageId"],
        "Body": "Grüße",
        "MD5OfBody": sent["MD5OfMessageBody"],
        "MessageAttributes": {"a": {"DataType": "Number.int", "StringValue": "7"}},
        "MD5OfMessageAttributes": sent["MD5OfMessageAttributes"],
        "Attributes": {
            "SenderId": ME.user_id,
            "SentTimestamp": "1767225600000",
            "ApproximateReceiveCount": "1",
            "ApproximateFirstReceiveTimestamp": "1767225602000",
            "AWSTraceHeader": "Root=1",
        },
    }


def test_digest_of_attributes_that_aws_computed(bench: Bench) -> None:
    """Recorded from SQS: three strings, and what a filter leaves of them."""
    attributes = {
        name: {"DataType": "String", "StringValue": value}
        for name, value in {"General": "Kenobi", "Hello": "There", "Help.Me": "Me"}.items()
    }
    sent = _send(bench, "msg", MessageAttributes=attributes)
    assert sent["MD5OfMessageBody"] == "6e2baaf3b97dbeef01c0043275f9a0e7"
    assert sent["MD5OfMessageAttributes"] == "4c360f3fdafd970e05fae2f149d997f5"
    for names, digest in (
        (["All"], "4c360f3fdafd970e05fae2f149d997f5"),
        ([".*"], "4c360f3fdafd970e05fae2f149d997f5"),
        (["General", "Hello"], "fca026605781cb4126a1e9044df24232"),
        (["Hello", "nothing"], "a311262e065454b75da111d535b8dacd"),
        (["Hel.*"], "83fee93c1bcd8b9a5a923ffacdc636c7"),
        (["nothing"], None),
    ):
        (message,) = _receive(bench, MessageAttributeNames=names, VisibilityTimeout=0)
        assert message.get("MD5OfMessageAttributes") == digest


def test_hidden_until_its_timeout_ends(bench: Bench) -> None:
    """Thirty seconds, what the call says, or what ChangeMessageVisibility says."""
    _send(bench, "one")
    assert _bodies(bench) == ["one"]
    bench.clock.advance(seconds=29.999)
    assert _bodies(bench) == []
    bench.clock.advance(seconds=0.001)
    (message,) = _receive(bench, VisibilityTimeout=5)
    bench.clock.advance(seconds=4)
    where = {"QueueUrl": _URL, "ReceiptHandle": message["ReceiptHandle"]}
    bench.call("ChangeMessageVisibility", **where, VisibilityTimeout=10)
    bench.clock.advance(seconds=9)
    assert _bodies(bench) == []
    bench.call("ChangeMessageVisibility", **where, VisibilityTimeout=0)
    assert _bodies(bench) == ["one"]


def test_visibility_ends_after_twelve_hours_in_all(bench: Bench) -> None:
    """Counted from the receive."""
    _send(bench, "one")
    (message,) = _receive(bench, VisibilityTimeout=43_200)
    bench.clock.advance(seconds=10)
    where = {"QueueUrl": _URL, "ReceiptHandle": message["ReceiptHandle"]}
    bench.call("ChangeMessageVisibility", **where, VisibilityTimeout=43_190)
    failure = bench.failure("ChangeMessageVisibility", **where, VisibilityTimeout=43_191)
    assert failure.code == "InvalidParameterValue"
    assert "beyond the limit [43200 seconds]" in failure.message


def test_delays(bench: Bench) -> None:
    """The message's, or the queue's."""
    _send(bench, "late", DelaySeconds=900)
    bench.app.queue("slow", delay_seconds=5)
    slow = _URL.replace("jobs", "slow")
    _send(bench, "queue's", slow)
    _send(bench, "own", slow, DelaySeconds=0)
    assert _bodies(bench) == []
    assert _bodies(bench, slow) == ["own"]
    bench.clock.advance(seconds=5)
    assert _bodies(bench, slow) == ["queue's"]
    bench.clock.advance(seconds=895)
    assert _bodies(bench) == ["late"]


def test_deleted_stays_deleted(bench: Bench) -> None:
    """A second time is no error; an old handle is taken, and deletes nothing."""
    _send(bench, "one")
    (old,) = _receive(bench, VisibilityTimeout=0)
    (new,) = _receive(bench, VisibilityTimeout=0)
    bench.call("DeleteMessage", QueueUrl=_URL, ReceiptHandle=old["ReceiptHandle"])
    assert _bodies(bench, VisibilityTimeout=0) == ["one"]
    (new,) = _receive(bench, VisibilityTimeout=0)
    for _ in range(2):
        bench.call("DeleteMessage", QueueUrl=_URL, ReceiptHandle=new["ReceiptHandle"])
    assert _bodies(bench) == []


def test_handles_that_are_none(bench: Bench) -> None:
    """Garbage, another queue's, one that was made up, and one of a message that is gone."""
    _send(bench, "one")
    (message,) = _receive(bench)
    where = {"QueueUrl": _URL}
    for garbage in ("", "x", "AAAA", "é", base64.b64encode(b"faaskit-1\njobs\n-1\nx").decode()):
        code = bench.code("DeleteMessage", **where, ReceiptHandle=garbage)
        assert code == "ReceiptHandleIsInvalid"
    other = {"QueueUrl": _FIFO, "ReceiptHandle": message["ReceiptHandle"]}
    assert bench.code("DeleteMessage", **other) == "ReceiptHandleIsInvalid"
    made_up = Receipt("jobs", 1, "0" * 32).handle
    bench.call("DeleteMessage", **where, ReceiptHandle=made_up)
    bench.clock.advance(seconds=30)
    assert _bodies(bench) == ["one"]
    failure = bench.failure(
        "ChangeMessageVisibility", **where, ReceiptHandle=made_up, VisibilityTimeout=1
    )
    assert failure.code == "InvalidParameterValue"
    assert failure.message.endswith("not available for visibility timeout change.")


def test_thrown_away_when_too_old(bench: Bench) -> None:
    """After four days, or what the queue says; in flight or not."""
    _send(bench, "old")
    bench.app.queue("brief", retention_seconds=60)
    brief = _URL.replace("jobs", "brief")
    _send(bench, "brief", brief)
    bench.clock.advance(seconds=59)
    assert _bodies(bench, brief, VisibilityTimeout=0) == ["brief"]
    bench.clock.advance(seconds=1)
    assert _bodies(bench, brief) == []
    bench.clock.advance(days=4, seconds=-60, milliseconds=-1)
    assert _bodies(bench, VisibilityTimeout=0) == ["old"]
    bench.clock.advance(milliseconds=1)
    assert _bodies(bench) == []


def test_received_too_often_goes_to_the_dead_letter_queue(bench: Bench) -> None:
    """With its count, when it was sent, and where it is from; its old handle is void."""
    dead = bench.app.queue("dead")
    bench.app.queue("work", dead_letter=dead, max_receive_count=2)
    work, grave = _URL.replace("jobs", "work"), _URL.replace("jobs", "dead")
    _send(bench, "bad", work)
    _send(bench, "good", work)
    for _ in range(2):
        (message, good) = _receive(bench, work, VisibilityTimeout=1)
        bench.clock.advance(seconds=1)
    bench.call("DeleteMessage", QueueUrl=work, ReceiptHandle=good["ReceiptHandle"])
    assert _bodies(bench, grave) == []
    assert _bodies(bench, work) == []
    (moved,) = _receive(bench, grave, AttributeNames=["All"])
    assert moved["Body"] == "bad"
    assert moved["Attributes"]["ApproximateReceiveCount"] == "3"
    assert moved["Attributes"]["SentTimestamp"] == "1767225600000"
    assert moved["Attributes"]["DeadLetterQueueSourceArn"] == queue_arn("work")
    bench.call("DeleteMessage", QueueUrl=work, ReceiptHandle=message["ReceiptHandle"])
    bench.clock.advance(seconds=30)
    assert _bodies(bench, grave) == ["bad"]


# --- FIFO queues ------------------------------------------------------------------------


def _line(bench: Bench, body: str, group: str = "g", unique: str | None = None) -> Any:
    parameters = {"MessageGroupId": group, "MessageDeduplicationId": unique or body}
    return _send(bench, body, _FIFO, **parameters)


def test_group_is_in_order_and_one_at_a_time(bench: Bench) -> None:
    """Several in one receive, none more until they are deleted or visible again."""
    for body in ("a1", "a2", "a3"):
        _line(bench, body, "a")
    _line(bench, "b1", "b")
    first = _receive(bench, _FIFO, MaxNumberOfMessages=2)
    assert [message["Body"] for message in first] == ["a1", "a2"]
    assert _bodies(bench, _FIFO) == ["b1"]
    bench.call("DeleteMessage", QueueUrl=_FIFO, ReceiptHandle=first[0]["ReceiptHandle"])
    assert _bodies(bench, _FIFO) == []  # a2 is in flight
    bench.clock.advance(seconds=30)
    assert _bodies(bench, _FIFO) == ["a2", "a3", "b1"]


def test_group_waits_for_a_message_before_it(bench: Bench) -> None:
    """One that was shown again holds up those behind it no less than one in flight."""
    for body in ("a1", "a2"):
        _line(bench, body)
    one, two = _receive(bench, _FIFO)
    where: dict[str, Any] = {"QueueUrl": _FIFO, "VisibilityTimeout": 0}
    bench.call("ChangeMessageVisibility", ReceiptHandle=one["ReceiptHandle"], **where)
    assert _bodies(bench, _FIFO) == []
    bench.call("ChangeMessageVisibility", ReceiptHandle=two["ReceiptHandle"], **where)
    assert _bodies(bench, _FIFO) == ["a1", "a2"]


def test_duplicates_within_five_minutes(bench: Bench) -> None:
    """Taken, told the first one's id, and not delivered: not even after it was deleted."""
    first = _line(bench, "one", unique="u")
    assert _line(bench, "two", "other", unique="u") == {
        **first,
        "MD5OfMessageBody": "b8a9f715dbb64fd5c56e7783c6820a61",
    }
    (message,) = _receive(bench, _FIFO)
    bench.call("DeleteMessage", QueueUrl=_FIFO, ReceiptHandle=message["ReceiptHandle"])
    bench.clock.advance(seconds=299.999)
    _line(bench, "three", unique="u")
    assert _bodies(bench, _FIFO) == []
    bench.clock.advance(milliseconds=1)
    again = _line(bench, "four", unique="u")
    assert int(again["SequenceNumber"]) > int(first["SequenceNumber"])
    assert len(again["SequenceNumber"]) == 20
    assert _bodies(bench, _FIFO) == ["four"]


def test_deduplication_by_content(bench: Bench) -> None:
    """The body's SHA-256, unless the sender says otherwise; attributes don't count."""
    bench.app.queue("hashed.fifo", content_based_deduplication=True)
    url = _URL.replace("jobs", "hashed.fifo")
    _send(bench, "one", url, MessageGroupId="g")
    attributes = {"a": {"DataType": "String", "StringValue": "x"}}
    _send(bench, "one", url, MessageGroupId="h", MessageAttributes=attributes)
    _send(bench, "one", url, MessageGroupId="g", MessageDeduplicationId="own")
    messages = _receive(bench, url, AttributeNames=["MessageDeduplicationId"])
    assert [message["Attributes"]["MessageDeduplicationId"] for message in messages] == [
        "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
        "own",
    ]


def test_what_a_fifo_queue_refuses(bench: Bench) -> None:
    """A message of no group or id, a delay of its own; a handle of what is visible again."""
    where = {"QueueUrl": _FIFO, "MessageBody": "b"}
    assert bench.code("SendMessage", **where) == "MissingParameter"
    assert bench.code("SendMessage", **where, MessageGroupId="g") == "InvalidParameterValue"
    ids = {"MessageGroupId": "g", "MessageDeduplicationId": "u"}
    assert bench.code("SendMessage", **where, **ids, DelaySeconds=1) == "InvalidParameterValue"
    assert bench.code("SendMessage", **where, **{**ids, "MessageGroupId": "ä"}) == (
        "InvalidParameterValue"
    )
    entries = [{"Id": "a", "MessageBody": "b"}]
    assert bench.code("SendMessageBatch", QueueUrl=_FIFO, Entries=entries) == (
        "InvalidParameterValue"
    )
    _line(bench, "one")
    (message,) = _receive(bench, _FIFO, VisibilityTimeout=1)
    bench.clock.advance(seconds=1)
    failure = bench.failure("DeleteMessage", QueueUrl=_FIFO, ReceiptHandle=message["ReceiptHandle"])
    assert failure.message.endswith("Reason: The receipt handle has expired.")
    assert bench.code(
        "SendMessage", QueueUrl=_URL, MessageBody="b", MessageDeduplicationId="u"
    ) == ("InvalidParameterValue")


def test_fair_queue_keeps_the_group(bench: Bench) -> None:
    """A group in a standard queue is told, and holds nothing up."""
    for body in ("one", "two"):
        _send(bench, body, MessageGroupId="tenant")
    assert _bodies(bench, MaxNumberOfMessages=1) == ["one"]
    (message,) = _receive(bench, AttributeNames=["MessageGroupId"])
    assert message["Attributes"] == {"MessageGroupId": "tenant"}


# --- batches ----------------------------------------------------------------------------


def test_batch_entry_that_fails_leaves_the_others(bench: Bench) -> None:
    """Each with its id; what fails has AWS's code."""
    entries = [
        {"Id": "good", "MessageBody": "good"},
        {"Id": "late", "MessageBody": "b", "DelaySeconds": 901},
        {"Id": "empty", "MessageBody": ""},
        {"Id": "bad", "MessageBody": "\x00"},
    ]
    output = bench.call("SendMessageBatch", QueueUrl=_URL, Entries=entries)
    assert [entry["Id"] for entry in output["Successful"]] == ["good"]
    assert {entry["Id"]: entry["Code"] for entry in output["Failed"]} == {
        "late": "InvalidParameterValue",
        "empty": "MissingParameter",
        "bad": "InvalidMessageContents",
    }
    (message,) = _receive(bench)
    handles = [message["ReceiptHandle"], "nothing"]
    deleting = [{"Id": str(i), "ReceiptHandle": handle} for i, handle in enumerate(handles)]
    hiding = [{**entry, "VisibilityTimeout": 0} for entry in deleting]
    hiding.append({"Id": "2", "ReceiptHandle": handles[0], "VisibilityTimeout": 43_201})
    output = bench.call("ChangeMessageVisibilityBatch", QueueUrl=_URL, Entries=hiding)
    assert output["Successful"] == [{"Id": "0"}]
    assert [entry["Code"] for entry in output["Failed"]] == [
        "ReceiptHandleIsInvalid",
        "InvalidParameterValue",
    ]
    assert _bodies(bench, VisibilityTimeout=0) == ["good"]
    (message,) = _receive(bench)
    deleting[0]["ReceiptHandle"] = message["ReceiptHandle"]
    output = bench.call("DeleteMessageBatch", QueueUrl=_URL, Entries=deleting)
    assert output["Successful"] == [{"Id": "0"}]
    assert output["Failed"][0]["Message"] == (
        'The input receipt handle "nothing" is not a valid receipt handle.'
    )
    bench.clock.advance(seconds=60)
    assert _bodies(bench) == []


@pytest.mark.parametrize(
    "operation", ["SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"]
)
def test_batches_as_a_whole(bench: Bench, operation: str) -> None:
    """Empty, too many, ids that repeat or are none: with both of AWS's codes."""
    good = {"MessageBody": "b", "ReceiptHandle": "r", "VisibilityTimeout": 1}
    for ids, modelled in (
        ([], "EmptyBatchRequest"),
        ([str(i) for i in range(11)], "TooManyEntriesInBatchRequest"),
        (["a", "a"], "BatchEntryIdsNotDistinct"),
        (["a b"], "InvalidBatchEntryId"),
        (["a" * 81], "InvalidBatchEntryId"),
    ):
        entries = [{"Id": one, **good} for one in ids]
        failure = bench.failure(operation, QueueUrl=_URL, Entries=entries)
        assert failure.code == f"AWS.SimpleQueueService.{modelled}"
        assert failure.details["QueryErrorCode"] == modelled


def test_size_of_messages(bench: Bench) -> None:
    """Bytes of body and attributes: 1 MiB, alone or in a batch, or what the queue says."""
    most = 1 << 20
    attributes = {"n": {"DataType": "String", "StringValue": "v" * 10}}
    _send(bench, "é" * (most // 2))
    assert bench.code("SendMessage", QueueUrl=_URL, MessageBody="é" * (most // 2) + "a") == (
        "InvalidParameterValue"
    )
    room = most - 1 - 6 - 10
    _send(bench, "a" * room, MessageAttributes=attributes)
    assert bench.code(
        "SendMessage", QueueUrl=_URL, MessageBody="a" * (room + 1), MessageAttributes=attributes
    ) == ("InvalidParameterValue")
    entries = [{"Id": str(i), "MessageBody": "a" * (most // 2)} for i in range(2)]
    bench.call("SendMessageBatch", QueueUrl=_URL, Entries=entries)
    entries[0]["MessageBody"] += "a"
    failure = bench.failure("SendMessageBatch", QueueUrl=_URL, Entries=entries)
    assert failure.code == "AWS.SimpleQueueService.BatchRequestTooLong"
    assert failure.message.endswith("You have sent 1048577 bytes.")


# --- queues -----------------------------------------------------------------------------


def test_attributes_of_a_queue(bench: Bench) -> None:
    """All of them, those that were asked for, and what SetQueueAttributes makes of them."""
    for body in ("one", "two", "three"):
        _send(bench, body)
    _send(bench, "late", DelaySeconds=60)
    _receive(bench, MaxNumberOfMessages=1)
    attributes = bench.call("GetQueueAttributes", QueueUrl=_URL, AttributeNames=["All"])
    assert attributes["Attributes"] == {
        "QueueArn": queue_arn("jobs"),
        "ApproximateNumberOfMessages": "2",
        "ApproximateNumberOfMessagesNotVisible": "1",
        "ApproximateNumberOfMessagesDelayed": "1",
        "CreatedTimestamp": "1767225600",
        "LastModifiedTimestamp": "1767225600",
        "DelaySeconds": "0",
        "MaximumMessageSize": "1048576",
        "MessageRetentionPeriod": "345600",
        "ReceiveMessageWaitTimeSeconds": "0",
        "VisibilityTimeout": "30",
        "SqsManagedSseEnabled": "false",
    }
    bench.clock.advance(seconds=5)
    changes = {"VisibilityTimeout": "7", "MaximumMessageSize": "1024"}
    bench.call("SetQueueAttributes", QueueUrl=_URL, Attributes=changes)
    names = [*changes, "LastModifiedTimestamp", "RedrivePolicy"]
    changed = bench.call("GetQueueAttributes", QueueUrl=_URL, AttributeNames=names)
    assert changed["Attributes"] == {**changes, "LastModifiedTimestamp": "1767225605"}
    assert bench.code("SendMessage", QueueUrl=_URL, MessageBody="a" * 1025) == (
        "InvalidParameterValue"
    )
    assert bench.call("GetQueueAttributes", QueueUrl=_URL) == {}


def test_what_was_set_outlives_the_app_until_it_is_declared_otherwise(tmp_path: Path) -> None:
    """A new declaration wins over what was set by hand before it."""
    for declared, expected in ((20, "7"), (20, "7"), (40, "40"), (20, "20")):
        bench = Bench(tmp_path, "sqs")
        with bench.app:
            bench.app.queue("jobs", visibility_timeout=declared)
            names = ["VisibilityTimeout"]
            if declared == 20 and expected == "7":
                bench.call(
                    "SetQueueAttributes", QueueUrl=_URL, Attributes={"VisibilityTimeout": "7"}
                )
            found = bench.call("GetQueueAttributes", QueueUrl=_URL, AttributeNames=names)
            assert found["Attributes"] == {"VisibilityTimeout": expected}


def test_redrive_policy_by_attribute(bench: Bench) -> None:
    """Set, shown, followed and taken away."""
    bench.app.queue("dead")
    policy = json.dumps({"deadLetterTargetArn": queue_arn("dead"), "maxReceiveCount": "1"})
    bench.call("SetQueueAttributes", QueueUrl=_URL, Attributes={"RedrivePolicy": policy})
    names = ["RedrivePolicy"]
    found = bench.call("GetQueueAttributes", QueueUrl=_URL, AttributeNames=names)
    assert json.loads(found["Attributes"]["RedrivePolicy"])["maxReceiveCount"] == 1
    _send(bench, "bad")
    _receive(bench, VisibilityTimeout=0)
    assert _bodies(bench) == []
    assert _bodies(bench, _URL.replace("jobs", "dead")) == ["bad"]
    bench.call("SetQueueAttributes", QueueUrl=_URL, Attributes={"RedrivePolicy": ""})
    assert bench.call("GetQueueAttributes", QueueUrl=_URL, AttributeNames=names) == {}


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("VisibilityTimeout", "43201", "InvalidAttributeValue"),
        ("VisibilityTimeout", "-1", "InvalidAttributeValue"),
        ("VisibilityTimeout", "²", "InvalidAttributeValue"),
        ("VisibilityTimeout", "9" * 5000, "InvalidAttributeValue"),
        ("Colour", "red", "InvalidAttributeName"),
        ("FifoQueue", "true", "InvalidAttributeName"),
        ("QueueArn", "x", "InvalidAttributeName"),
        ("ContentBasedDeduplication", "true", "InvalidAttributeName"),
        ("Policy", "{}", "NotImplemented"),
        ("RedrivePolicy", "[" * 2000, "InvalidParameterValue"),
        ("RedrivePolicy", "[]", "InvalidParameterValue"),
        ("RedrivePolicy", "{}", "MissingParameter"),
        (
            "RedrivePolicy",
            '{"deadLetterTargetArn": "dummy", "maxReceiveCount": 42}',
            "InvalidParameterValue",
        ),
        (
            "RedrivePolicy",
            json.dumps({"deadLetterTargetArn": queue_arn("none"), "maxReceiveCount": 42}),
            "InvalidParameterValue",
        ),
        (
            "RedrivePolicy",
            json.dumps({"deadLetterTargetArn": queue_arn("line.fifo"), "maxReceiveCount": 42}),
            "InvalidParameterValue",
        ),
    ],
)
def test_attributes_that_are_refused(bench: Bench, name: str, value: str, code: str) -> None:
    """With AWS's codes."""
    assert bench.code("SetQueueAttributes", QueueUrl=_URL, Attributes={name: value}) == code


def test_queue_stays_the_kind_it_is(bench: Bench) -> None:
    """A FIFO queue can't be made a standard one; what it is may be said."""
    bench.call("SetQueueAttributes", QueueUrl=_FIFO, Attributes={"FifoQueue": "true"})
    where: dict[str, Any] = {"QueueUrl": _FIFO, "Attributes": {"FifoQueue": "false"}}
    assert bench.failure("SetQueueAttributes", **where).message == (
        "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported."
    )
    where = {"QueueUrl": _FIFO, "Attributes": {"ContentBasedDeduplication": "true"}}
    bench.call("SetQueueAttributes", **where)
    _send(bench, "b", _FIFO, MessageGroupId="g")


def test_purge_once_in_a_minute(bench: Bench) -> None:
    """All messages of this queue, in flight or not."""
    _send(bench, "one")
    _send(bench, "two")
    _line(bench, "kept")
    _receive(bench, MaxNumberOfMessages=1)
    bench.call("PurgeQueue", QueueUrl=_URL)
    bench.clock.advance(seconds=59)
    assert _bodies(bench) == []
    assert bench.failure("PurgeQueue", QueueUrl=_URL).details["QueryErrorCode"] == (
        "PurgeQueueInProgress"
    )
    bench.clock.advance(seconds=1)
    bench.call("PurgeQueue", QueueUrl=_URL)
    assert _bodies(bench, _FIFO) == ["kept"]


def test_queues_are_listed_a_page_at_a_time(bench: Bench) -> None:
    """By prefix; a token only where the caller asked for pages."""
    bench.app.queue("jam")
    assert bench.call("ListQueues", QueueNamePrefix="j") == {
        "QueueUrls": [_URL.replace("jobs", "jam"), _URL]
    }
    page = bench.call("ListQueues", MaxResults=2)
    rest = bench.call("ListQueues", MaxResults=2, NextToken=page["NextToken"])
    assert [*page["QueueUrls"], *rest["QueueUrls"]] == [_URL.replace("jobs", "jam"), _URL, _FIFO]
    assert "NextToken" not in rest
    assert bench.call("ListQueues", QueueNamePrefix="none") == {}


def test_whose_a_queue_is(bench: Bench) -> None:
    """By name, account and region, as URLs tell them; another's is not there."""
    for url, mine in (
        (_URL, True),
        ("jobs", True),
        ("http://127.0.0.1:5000/123456789012/jobs", True),
        ("https://us-east-1.queue.amazonaws.com/123456789012/jobs", True),
        ("https://queue.amazonaws.com/123456789012/jobs", True),
        (_URL.replace("us-east-1", "eu-west-1"), False),
        (_URL.replace("123456789012", "210987654321"), False),
        (_URL.replace("jobs", "others"), False),
        (f"{_URL}/more", False),
        ("ftp://x/123456789012/jobs", False),
        ("", False),
    ):
        assert bench.owns("SendMessage", QueueUrl=url, MessageBody="b") is mine
        if mine:
            bench.call("SendMessage", QueueUrl=url, MessageBody="b")
        else:
            failure = bench.failure("SendMessage", QueueUrl=url, MessageBody="b")
            assert failure.code == "AWS.SimpleQueueService.NonExistentQueue"
            assert failure.details["QueryErrorCode"] == "QueueDoesNotExist"
    assert not bench.owns("SendMessage", "eu-west-1", QueueUrl=_URL)
    assert bench.failure("PurgeQueue", "eu-west-1", QueueUrl=_URL).code.endswith("Queue")
    assert bench.owns("GetQueueUrl", QueueName="jobs")
    assert not bench.owns("GetQueueUrl", QueueName="jobs", QueueOwnerAWSAccountId="2" * 12)
    assert not bench.owns("ListQueues")


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("CreateQueue", {"QueueName": "x"}),
        ("SendMessage", {"QueueUrl": _URL, "MessageBody": "b", "Priority": 1}),
        ("ReceiveMessage", {"QueueUrl": _URL, "ReceiveRequestAttemptId": "x"}),
    ],
)
def test_what_is_not_carried_out_says_where_it_is(
    bench: Bench, operation: str, parameters: dict[str, Any]
) -> None:
    """Never ignored: the message names moto."""
    failure = bench.failure(operation, **parameters)
    assert failure.code == "NotImplemented"
    assert 'aws="moto"' in failure.message


_STRANGE: list[Any] = [7, True, 1.5, [], {}, "\ud800", ["x"], {"x": "y"}, [[[]]], "x" * 100_000]


@pytest.mark.parametrize("value", _STRANGE, ids=repr)
@pytest.mark.parametrize(
    ("operation", "name"),
    [
        ("SendMessage", "QueueUrl"),
        ("SendMessage", "MessageAttributes"),
        ("SendMessage", "DelaySeconds"),
        ("SendMessage", "MessageGroupId"),
        ("SendMessageBatch", "Entries"),
        ("ReceiveMessage", "MaxNumberOfMessages"),
        ("ReceiveMessage", "MessageAttributeNames"),
        ("ReceiveMessage", "AttributeNames"),
        ("DeleteMessage", "ReceiptHandle"),
        ("ChangeMessageVisibility", "VisibilityTimeout"),
        ("SetQueueAttributes", "Attributes"),
        ("GetQueueUrl", "QueueName"),
        ("ListQueues", "MaxResults"),
        ("ListQueues", "NextToken"),
    ],
)
def test_nothing_that_comes_in_is_more_than_refused(
    bench: Bench, operation: str, name: str, value: Any
) -> None:
    """Of any type: an answer or a refusal, never an exception of another kind."""
    base = {
        "SendMessage": {"QueueUrl": _URL, "MessageBody": "b"},
        "DeleteMessage": {"QueueUrl": _URL, "ReceiptHandle": "x"},
        "ChangeMessageVisibility": {"QueueUrl": _URL, "ReceiptHandle": "x"},
    }.get(operation, {} if operation in {"GetQueueUrl", "ListQueues"} else {"QueueUrl": _URL})
    bench.owns(operation, **{**base, name: value})
    with contextlib.suppress(Refusal):
        bench.call(operation, **{**base, name: value})


# --- long polling -----------------------------------------------------------------------


def test_long_poll_is_woken_by_a_send(bench: Bench) -> None:
    """Without the clock being moved; nothing is held meanwhile."""
    got: list[str] = []
    thread = threading.Thread(
        target=lambda: got.extend(_bodies(bench, WaitTimeSeconds=20)), daemon=True
    )
    thread.start()
    while not bench.clock._waiting:  # it looks, then waits
        thread.join(0.001)
    _send(bench, "one")
    thread.join(30)
    assert got == ["one"]


def test_long_poll_sees_what_becomes_visible_and_then_gives_up(bench: Bench) -> None:
    """A delay that ends while it waits; else it ends with its time."""
    _send(bench, "late", DelaySeconds=3)
    for seconds, expected in ((3, ["late"]), (20, [])):
        got: list[list[str]] = []
        thread = threading.Thread(
            target=lambda got=got: got.append(_bodies(bench, WaitTimeSeconds=20)), daemon=True
        )
        thread.start()
        while not bench.clock._waiting:
            thread.join(0.001)
        bench.clock.advance(seconds=seconds)
        thread.join(30)
        assert got == [expected]


# --- the handle -------------------------------------------------------------------------


def test_handle(bench: Bench) -> None:
    """Sends, receives, hides and deletes; attributes come back as what they were."""
    queue = bench.app.queue("jobs")
    assert queue.arn == queue_arn("jobs")
    assert queue.url == _URL
    sent = queue.send("body", attributes={"s": "x", "n": 1.5, "b": b"\x00"}, group_id="g")
    (message,) = queue.receive(10)
    assert (message.message_id, message.body, message.group_id) == (sent, "body", "g")
    assert message.attributes == {"s": "x", "n": 1.5, "b": b"\x00"}
    assert message.receive_count == 1
    assert message.sent == bench.clock.now()
    queue.change_visibility(message, 0)
    (message,) = queue.receive(visibility_timeout=0)
    queue.delete(message)
    assert queue.receive(wait_seconds=0) == []
    queue.send("again")
    queue.purge()
    assert queue.receive() == []
    with pytest.raises(ServiceError) as caught:
        queue.delete("nothing")
    assert caught.value.code == "ReceiptHandleIsInvalid"
    with pytest.raises(TypeError, match="attribute 'a' of a message is list"):
        queue.send("x", attributes={"a": []})  # type: ignore[dict-item]


def test_declared_once(bench: Bench) -> None:
    """The same each time; other settings, or ones that SQS does not take, are refused."""
    app = bench.app
    queue = app.queue("q", visibility_timeout=5)
    assert app.queue("q") is queue
    assert app.queue("q", visibility_timeout=5) is queue
    assert app.queues["q"] is queue
    with pytest.raises(DefinitionError, match="other settings already"):
        app.queue("q", visibility_timeout=6)
    with pytest.raises(DefinitionError, match="SQS takes 0 to 43200"):
        app.queue("r", visibility_timeout=43_201)
    with pytest.raises(DefinitionError, match="is for FIFO queues"):
        app.queue("r", content_based_deduplication=True)
    with pytest.raises(DefinitionError, match="together"):
        app.queue("r", max_receive_count=3)
    with pytest.raises(DefinitionError, match="same type"):
        app.queue("r.fifo", dead_letter=queue, max_receive_count=3)
    with pytest.raises(DefinitionError, match="1 to 80 characters"):
        app.queue("r r")
    assert "r" not in app.queues
