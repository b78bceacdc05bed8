"""What SQS's operations take, checked and understood as far as the request alone tells. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from attrs import field, frozen

from faaskit.gate.service import Refusal, excerpt
from faaskit.resources.members import Members, refuse_operation
from faaskit.resources.sqs.attributes import message_attributes, trace_header
from faaskit.resources.sqs.digests import Attribute
from faaskit.resources.sqs.refusals import (
    missing_parameter,
    refuse,
    refuse_missing,
    refuse_parameter,
)
from faaskit.resources.sqs.settings import MAX_MESSAGE_BYTES, RANGES
from faaskit.runtimes.contract import ServiceCall

__all__ = [
    "OPERATIONS",
    "ChangeVisibility",
    "DeleteMessages",
    "Entry",
    "GetAttributes",
    "GetUrl",
    "ListQueues",
    "Outgoing",
    "Purge",
    "Receive",
    "SendMessages",
    "SetAttributes",
    "SqsRequest",
    "named_queue",
    "queue_of_url",
    "understand",
]

MAX_BATCH = 10
MAX_RECEIVED = 10
MAX_LISTED = 1000
MAX_ID_CHARACTERS = 128

_ENTRY_ID = re.compile(r"[a-zA-Z0-9_-]{1,80}")
# Of MessageGroupId and MessageDeduplicationId: letters, digits and punctuation of ASCII.
_FIFO_ID = re.compile(r"[\x21-\x7e]{1,128}")
_INVALID_CHARACTERS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HOST = re.compile(
    r"(?:sqs\.([a-z0-9-]+)\.amazonaws\.com|(?:([a-z0-9-]+)\.)?queue\.amazonaws\.com)"
)
_ACCOUNT = re.compile(r"[0-9]{12}")


@frozen
class Outgoing:
    """
    A message to send.

    Attributes:
        delay_seconds: None is the queue's.
        trace_header: The system attribute AWSTraceHeader.
    """

    body: str = field(repr=False)
    delay_seconds: int | None = None
    attributes: Mapping[str, Attribute] = field(factory=dict)
    trace_header: Attribute | None = None
    group_id: str | None = None
    deduplication_id: str | None = None


@frozen
class Entry:
    """
    One of a batch.

    Attributes:
        id: The caller's name for it; empty where there is no batch.
        problem: Why this one is not carried out.
    """

    id: str
    message: Outgoing | None = None
    handle: str = ""
    visibility_timeout: int = 0
    problem: Refusal | None = None


@frozen
class SendMessages:
    """SendMessage, or SendMessageBatch."""

    queue: str
    entries: Sequence[Entry]
    batch: bool


@frozen
class Receive:
    """
    ReceiveMessage.

    Attributes:
        visibility_timeout: Seconds; None is the queue's.
        wait_seconds: None is the queue's.
        system_names: Of the attributes that SQS keeps itself; ``All`` is all.
        attribute_names: Of message attributes; ``All`` and ``.*`` are all, ``x.*`` a prefix.
    """

    queue: str
    max_messages: int
    visibility_timeout: int | None
    wait_seconds: int | None
    system_names: frozenset[str]
    attribute_names: frozenset[str]


@frozen
class DeleteMessages:
    """DeleteMessage, or DeleteMessageBatch."""

    queue: str
    entries: Sequence[Entry]
    batch: bool


@frozen
class ChangeVisibility:
    """ChangeMessageVisibility, or ChangeMessageVisibilityBatch."""

    queue: str
    entries: Sequence[Entry]
    batch: bool


@frozen
class GetUrl:
    """GetQueueUrl."""

    queue: str


@frozen
class GetAttributes:
    """GetQueueAttributes."""

    queue: str
    names: frozenset[str]


@frozen
class SetAttributes:
    """SetQueueAttributes, with what came in."""

    queue: str
    attributes: Mapping[str, str]


@frozen
class Purge:
    """PurgeQueue."""

    queue: str


@frozen
class ListQueues:
    """
    ListQueues.

    Attributes:
        after: The name behind which the page begins.
        max_results: None: up to 1,000, and no token.
    """

    prefix: str
    after: str
    max_results: int | None


SqsRequest = (
    SendMessages
    | Receive
    | DeleteMessages
    | ChangeVisibility
    | GetUrl
    | GetAttributes
    | SetAttributes
    | Purge
    | ListQueues
)


def understand(call: ServiceCall, *, region: str, account: str) -> SqsRequest:
    """
    Return the request that a call makes.

    Args:
        call: Not trusted.
        region: The app's; a queue of another one is not there.
        account: The app's, too.

    Raises:
        Refusal: With SQS's code: it is not one that is taken here. Nothing is ignored.
    """
    make = OPERATIONS.get(call.operation)
    if make is None:
        refuse_operation("SQS", call.operation, OPERATIONS)
    members = Members(call.operation, call.parameters, missing_parameter)
    return make(members, lambda: _queue(members, call, region=region, account=account))


def named_queue(call: ServiceCall, *, region: str, account: str) -> str | None:
    """Return the name of the app's queue that a call is about, if it names one at all."""
    name: object
    if call.operation == "GetQueueUrl":
        name = call.parameters.get("QueueName")
        owner = call.parameters.get("QueueOwnerAWSAccountId")
        if owner is not None and owner != account:
            return None
    else:
        url = call.parameters.get("QueueUrl")
        if not isinstance(url, str):
            return None
        name = queue_of_url(url, region=region, account=account)
    if not isinstance(name, str) or call.region not in {"", region}:
        return None
    return name


def queue_of_url(url: str, *, region: str, account: str) -> str | None:
    """
    Return the queue that a URL names in this region and account; None for another's.

    Args:
        url: ``https://sqs.REGION.amazonaws.com/ACCOUNT/NAME``; ``http://HOST/ACCOUNT/NAME`` of
            an emulator; or a name alone, which SQS takes, too.
        region: A URL of AWS that names another one is of another queue.
        account: A URL with another one is, too.
    """
    scheme, found, rest = url.partition("://")
    if not found:
        return url if "/" not in url else None
    if scheme not in {"http", "https"}:
        return None
    host, *path = rest.split("/")
    at = _HOST.fullmatch(host)
    if at is not None and region != (at[1] or at[2] or "us-east-1"):
        return None
    if len(path) != 2 or path[0] != account:  # noqa: PLR2004 - account and name
        return None
    return path[1]


def _queue(members: Members, call: ServiceCall, *, region: str, account: str) -> str:
    url = members.required("QueueUrl", members.text("QueueUrl"))
    name = queue_of_url(url, region=region, account=account)
    # Never the name of a queue: it is refused as one that is not there.
    return "" if name is None or call.region not in {"", region} else name


def _send(members: Members, queue: Callable[[], str]) -> SendMessages:
    members.only("QueueUrl", *_OUTGOING)
    return SendMessages(queue(), [Entry("", message=_outgoing(members))], batch=False)


def _send_batch(members: Members, queue: Callable[[], str]) -> SendMessages:
    members.only("QueueUrl", "Entries")
    name = queue()
    entries, size = [], 0
    for entry_id, entry in _entries(members, "SendMessageBatchRequestEntry"):
        entry.only("Id", *_OUTGOING)
        size += len((entry.text("MessageBody") or "").encode())
        try:
            message = _outgoing(entry)
        except Refusal as problem:
            entries.append(Entry(entry_id, problem=problem))
            continue
        size += sum(
            len(key.encode()) + len(value.data_type) + len(value.data)
            for key, value in message.attributes.items()
        )
        entries.append(Entry(entry_id, message=message))
    if size > MAX_MESSAGE_BYTES:
        msg = (
            f"Batch requests cannot be longer than {MAX_MESSAGE_BYTES} bytes. "
            f"You have sent {size} bytes."
        )
        refuse("AWS.SimpleQueueService.BatchRequestTooLong", msg)
    return SendMessages(name, entries, batch=True)


_OUTGOING = (
    "MessageBody",
    "DelaySeconds",
    "MessageAttributes",
    "MessageSystemAttributes",
    "MessageGroupId",
    "MessageDeduplicationId",
)


def _outgoing(members: Members) -> Outgoing:
    body = members.text("MessageBody")
    if not body:
        refuse_missing("MessageBody")
    if _INVALID_CHARACTERS.search(body):
        msg = (
            "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | "
            "#x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
        )
        refuse("InvalidMessageContents", msg)
    delay = members.integer("DelaySeconds")
    low, high = RANGES["DelaySeconds"]
    if delay is not None and not low <= delay <= high:
        reason = f"DelaySeconds must be >= {low} and <= {high}."
        refuse_parameter("DelaySeconds", delay, reason)
    return Outgoing(
        body=body,
        delay_seconds=delay,
        attributes=message_attributes(members),
        trace_header=trace_header(members),
        group_id=_fifo_id(members, "MessageGroupId"),
        deduplication_id=_fifo_id(members, "MessageDeduplicationId"),
    )


def _fifo_id(members: Members, name: str) -> str | None:
    value = members.text(name)
    if value is not None and not _FIFO_ID.fullmatch(value):
        reason = (
            f"{name} can only include alphanumeric and punctuation characters. 1 to "
            f"{MAX_ID_CHARACTERS} in length."
        )
        refuse_parameter(name, value, reason)
    return value


def _receive(members: Members, queue: Callable[[], str]) -> Receive:
    members.only(
        "QueueUrl",
        "AttributeNames",
        "MessageSystemAttributeNames",
        "MessageAttributeNames",
        "MaxNumberOfMessages",
        "VisibilityTimeout",
        "WaitTimeSeconds",
    )
    most = _within(members, "MaxNumberOfMessages", 1, MAX_RECEIVED)
    names = {*members.texts("AttributeNames"), *members.texts("MessageSystemAttributeNames")}
    for name in names:
        if name not in _SYSTEM_ATTRIBUTES:
            _unknown_attribute(name)
    return Receive(
        queue=queue(),
        max_messages=1 if most is None else most,
        visibility_timeout=_within(members, "VisibilityTimeout", *RANGES["VisibilityTimeout"]),
        wait_seconds=_within(members, "WaitTimeSeconds", *RANGES["ReceiveMessageWaitTimeSeconds"]),
        system_names=frozenset(names),
        attribute_names=frozenset(members.texts("MessageAttributeNames")),
    )


_SYSTEM_ATTRIBUTES = frozenset(
    {
        "All",
        "AWSTraceHeader",
        "ApproximateFirstReceiveTimestamp",
        "ApproximateReceiveCount",
        "DeadLetterQueueSourceArn",
        "MessageDeduplicationId",
        "MessageGroupId",
        "SenderId",
        "SentTimestamp",
        "SequenceNumber",
    }
)


def _delete(members: Members, queue: Callable[[], str]) -> DeleteMessages:
    members.only("QueueUrl", "ReceiptHandle")
    handle = members.required("ReceiptHandle", members.text("ReceiptHandle"))
    return DeleteMessages(queue(), [Entry("", handle=handle)], batch=False)


def _delete_batch(members: Members, queue: Callable[[], str]) -> DeleteMessages:
    members.only("QueueUrl", "Entries")
    name = queue()
    entries = []
    for entry_id, entry in _entries(members, "DeleteMessageBatchRequestEntry"):
        entry.only("Id", "ReceiptHandle")
        handle = entry.required("ReceiptHandle", entry.text("ReceiptHandle"))
        entries.append(Entry(entry_id, handle=handle))
    return DeleteMessages(name, entries, batch=True)


def _visibility(members: Members, queue: Callable[[], str]) -> ChangeVisibility:
    members.only("QueueUrl", "ReceiptHandle", "VisibilityTimeout")
    name = queue()
    return ChangeVisibility(name, [_visibility_entry("", members)], batch=False)


def _visibility_batch(members: Members, queue: Callable[[], str]) -> ChangeVisibility:
    members.only("QueueUrl", "Entries")
    name = queue()
    entries = []
    for entry_id, entry in _entries(members, "ChangeMessageVisibilityBatchRequestEntry"):
        entry.only("Id", "ReceiptHandle", "VisibilityTimeout")
        try:
            entries.append(_visibility_entry(entry_id, entry))
        except Refusal as problem:
            entries.append(Entry(entry_id, problem=problem))
    return ChangeVisibility(name, entries, batch=True)


def _visibility_entry(entry_id: str, members: Members) -> Entry:
    handle = members.required("ReceiptHandle", members.text("ReceiptHandle"))
    timeout = _within(members, "VisibilityTimeout", *RANGES["VisibilityTimeout"])
    return Entry(
        entry_id,
        handle=handle,
        visibility_timeout=members.required("VisibilityTimeout", timeout),
    )


def _entries(members: Members, kind: str) -> list[tuple[str, Members]]:
    """Return the entries of a batch with their ids, which are legal, and each is there once."""
    count = members.count("Entries")
    if not count:
        msg = f"There should be at least one {kind} in the request."
        refuse("AWS.SimpleQueueService.EmptyBatchRequest", msg)
    if count > MAX_BATCH:
        msg = f"Maximum number of entries per request are {MAX_BATCH}. You have sent {count}."
        refuse("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", msg)
    entries: dict[str, Members] = {}
    for entry in members.structures("Entries"):
        entry_id = entry.required("Id", entry.text("Id"))
        if not _ENTRY_ID.fullmatch(entry_id):
            msg = (
                "A batch entry id can only contain alphanumeric characters, hyphens and "
                "underscores. It can be at most 80 letters long."
            )
            refuse("AWS.SimpleQueueService.InvalidBatchEntryId", msg)
        if entry_id in entries:
            msg = f"Id {entry_id} repeated."
            refuse("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", msg)
        entries[entry_id] = entry
    return list(entries.items())


def _get_url(members: Members, _queue: Callable[[], str]) -> GetUrl:
    members.only("QueueName", "QueueOwnerAWSAccountId")
    owner = members.text("QueueOwnerAWSAccountId")
    name = members.required("QueueName", members.text("QueueName"))
    if owner is not None and not _ACCOUNT.fullmatch(owner):
        refuse_parameter("QueueOwnerAWSAccountId", owner, "It must be 12 digits.")
    return GetUrl(name)


def _get_attributes(members: Members, queue: Callable[[], str]) -> GetAttributes:
    members.only("QueueUrl", "AttributeNames")
    names = frozenset(members.texts("AttributeNames"))
    for name in names:
        if name not in _QUEUE_ATTRIBUTES:
            _unknown_attribute(name)
    return GetAttributes(queue(), names)


_QUEUE_ATTRIBUTES = frozenset(
    {
        "All",
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesDelayed",
        "ApproximateNumberOfMessagesNotVisible",
        "ContentBasedDeduplication",
        "CreatedTimestamp",
        "DeduplicationScope",
        "DelaySeconds",
        "FifoQueue",
        "FifoThroughputLimit",
        "KmsDataKeyReusePeriodSeconds",
        "KmsMasterKeyId",
        "LastModifiedTimestamp",
        "MaximumMessageSize",
        "MessageRetentionPeriod",
        "Policy",
        "QueueArn",
        "ReceiveMessageWaitTimeSeconds",
        "RedriveAllowPolicy",
        "RedrivePolicy",
        "SqsManagedSseEnabled",
        "VisibilityTimeout",
    }
)


def _set_attributes(members: Members, queue: Callable[[], str]) -> SetAttributes:
    members.only("QueueUrl", "Attributes")
    attributes = members.required("Attributes", members.structure("Attributes"))
    values: dict[str, Any] = {}
    for name in attributes.values:
        values[name] = attributes.required(name, attributes.text(name))
    return SetAttributes(queue(), values)


def _purge(members: Members, queue: Callable[[], str]) -> Purge:
    members.only("QueueUrl")
    return Purge(queue())


def _list(members: Members, _queue: Callable[[], str]) -> ListQueues:
    members.only("QueueNamePrefix", "NextToken", "MaxResults")
    return ListQueues(
        prefix=members.text("QueueNamePrefix") or "",
        after=members.text("NextToken") or "",
        max_results=_within(members, "MaxResults", 1, MAX_LISTED),
    )


def _within(members: Members, name: str, low: int, high: int) -> int | None:
    value = members.integer(name)
    if value is not None and not low <= value <= high:
        refuse_parameter(name, value, f"Must be between {low} and {high}, if provided.")
    return value


def _unknown_attribute(name: str) -> NoReturn:
    shown = name if len(name) <= MAX_ID_CHARACTERS else excerpt(name)
    refuse("InvalidAttributeName", f"Unknown Attribute {shown}.")


OPERATIONS: Mapping[str, Callable[[Members, Callable[[], str]], SqsRequest]] = {
    "ChangeMessageVisibility": _visibility,
    "ChangeMessageVisibilityBatch": _visibility_batch,
    "DeleteMessage": _delete,
    "DeleteMessageBatch": _delete_batch,
    "GetQueueAttributes": _get_attributes,
    "GetQueueUrl": _get_url,
    "ListQueues": _list,
    "PurgeQueue": _purge,
    "ReceiveMessage": _receive,
    "SendMessage": _send,
    "SendMessageBatch": _send_batch,
    "SetQueueAttributes": _set_attributes,
}
