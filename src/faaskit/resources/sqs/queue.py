"""A queue, as users hold it: the same in the app and inside a function."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from attrs import field, frozen

from faaskit.clock import from_epoch_ms
from faaskit.functions import Function
from faaskit.gate.ask import Performer, ask
from faaskit.names import queue_arn
from faaskit.resources.sqs.settings import QueueSettings, validate_queue_name

__all__ = ["Message", "Queue", "QueueOwner"]

_F = TypeVar("_F", bound=Function)

Attribute = str | int | float | Decimal | bytes


@frozen
class Message:
    """
    A message that was received.

    Attributes:
        body: Text.
        message_id: The one that ``send`` returned.
        receipt_handle: Of this receive; for ``delete`` and ``change_visibility``.
        attributes: What the sender added: text, bytes, or a Decimal.
        receive_count: How often it was received by now, this time included.
        sent: When; aware, in UTC, to the millisecond.
        group_id: Of a FIFO queue's message; else empty.
        deduplication_id: Of a FIFO queue's message; else empty.
        sequence_number: Of a FIFO queue's message; else empty. Grows.
    """

    body: str
    message_id: str
    receipt_handle: str = field(repr=False)
    attributes: Mapping[str, str | bytes | Decimal]
    receive_count: int
    sent: datetime
    group_id: str = ""
    deduplication_id: str = ""
    sequence_number: str = ""


class QueueOwner(Performer, Protocol):
    """What a queue needs of its app."""

    @property
    def region(self) -> str:
        """In ARNs."""

    @property
    def account(self) -> str:
        """In ARNs."""

    def queue(self, name: str) -> Queue:
        """Return the queue of that name."""

    def mapped(self, resource: Any, **settings: Any) -> Callable[[_F], _F]:
        """Return a decorator that makes an event source mapping."""


class Queue:
    """
    A queue of an app: SQS's operations, embedded and durable.

    Make one with ``app.queue(name)``. In the app every operation is carried out as the
    owner; inside a function it goes through the gate under the function's role, and may
    raise AccessDeniedError. Making a Queue opens nothing.

    A name that ends in ``.fifo`` is a FIFO queue's.

    Attributes:
        name: Unique in its app.
        settings: What it was declared with.
    """

    def __init__(self, name: str, owner: QueueOwner, settings: QueueSettings) -> None:
        self.name = validate_queue_name(name)
        settings.check(name)
        self.settings = settings
        self._owner = owner

    def __repr__(self) -> str:
        return f"Queue({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # By name: a queue that travels is looked up again where it arrives.
        return _queue_of, (self._owner, self.name)

    @property
    def arn(self) -> str:
        """``arn:aws:sqs:REGION:ACCOUNT:NAME``: what a role allows actions on."""
        return queue_arn(self.name, region=self._owner.region, account=self._owner.account)

    @property
    def url(self) -> str:
        """What boto3 takes as QueueUrl."""
        owner = self._owner
        return f"https://sqs.{owner.region}.amazonaws.com/{owner.account}/{self.name}"

    def send(
        self,
        body: str,
        *,
        delay_seconds: int | None = None,
        attributes: Mapping[str, Attribute] | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
    ) -> str:
        """
        Send a message (sqs:SendMessage). It is on the disk when this returns.

        Args:
            body: 1 byte to 1 MiB of text, attributes included.
            delay_seconds: 0 to 900; None is the queue's. Not for a single message of a FIFO
                queue.
            attributes: Up to 10, by name.
            group_id: A FIFO queue's messages are in order within their group; required there.
            deduplication_id: A FIFO queue takes one in five minutes only once; required there
                unless the queue has ``content_based_deduplication``.

        Returns:
            The message's id.

        Raises:
            AccessDeniedError: Inside a function whose role does not allow it.
            ServiceError: SQS does not take such a message.
            TypeError: An attribute is none of str, int, float, Decimal and bytes.
        """
        parameters: dict[str, Any] = {"MessageBody": body}
        if delay_seconds is not None:
            parameters["DelaySeconds"] = delay_seconds
        if attributes:
            parameters["MessageAttributes"] = {
                name: _attribute(name, value) for name, value in attributes.items()
            }
        if group_id is not None:
            parameters["MessageGroupId"] = group_id
        if deduplication_id is not None:
            parameters["MessageDeduplicationId"] = deduplication_id
        return str(self._ask("SendMessage", parameters)["MessageId"])

    def receive(
        self,
        max_messages: int = 1,
        *,
        wait_seconds: int | None = None,
        visibility_timeout: int | None = None,
    ) -> list[Message]:
        """
        Receive messages, and hide them from others for a while (sqs:ReceiveMessage).

        Delete what is done; what is not comes again when it is visible.

        Args:
            max_messages: 1 to 10.
            wait_seconds: For a message to come, 0 to 20; None is the queue's.
            visibility_timeout: For how long they are hidden, 0 to 43200; None is the queue's.

        Raises:
            AccessDeniedError: Inside a function whose role does not allow it.
            ServiceError: A number is out of its range.
        """
        parameters: dict[str, Any] = {
            "MaxNumberOfMessages": max_messages,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        if wait_seconds is not None:
            parameters["WaitTimeSeconds"] = wait_seconds
        if visibility_timeout is not None:
            parameters["VisibilityTimeout"] = visibility_timeout
        output = self._ask("ReceiveMessage", parameters)
        return [_message(entry) for entry in output.get("Messages", ())]

    def delete(self, message: Message | str) -> None:
        """
        Delete a message that was received; one that is deleted already is no error.

        Needs sqs:DeleteMessage.

        Args:
            message: It, or its receipt handle; that of the last receive.

        Raises:
            AccessDeniedError: Inside a function whose role does not allow it.
            ServiceError: It is no receipt handle of this queue; or, in a FIFO queue, the
                message is visible again.
        """
        self._ask("DeleteMessage", {"ReceiptHandle": _handle(message)})

    def change_visibility(self, message: Message | str, visibility_timeout: int) -> None:
        """
        Hide a message that was received for so long from now on; 0 shows it at once.

        Needs sqs:ChangeMessageVisibility.

        Args:
            message: It, or its receipt handle; that of the last receive.
            visibility_timeout: 0 to 43200 seconds, the time since it was received included.

        Raises:
            AccessDeniedError: Inside a function whose role does not allow it.
            ServiceError: The message is gone, was received again, or that is too long.
        """
        parameters = {"ReceiptHandle": _handle(message), "VisibilityTimeout": visibility_timeout}
        self._ask("ChangeMessageVisibility", parameters)

    def purge(self) -> None:
        """
        Delete every message; once in 60 seconds (sqs:PurgeQueue).

        Raises:
            AccessDeniedError: Inside a function whose role does not allow it.
            ServiceError: It was purged a moment ago.
        """
        self._ask("PurgeQueue", {})

    def on_messages(
        self,
        *,
        batch_size: int = 10,
        max_batching_window: int = 0,
        report_batch_item_failures: bool = False,
        filters: Sequence[Any] = (),
        max_concurrency: int | None = None,
        enabled: bool = True,
    ) -> Callable[[_F], _F]:
        """
        Have a function invoked for this queue's messages, in batches: an event source mapping.

        A decorator that goes on top of ``@app.function``, and returns the function, which gets
        SQS' event. A batch that was done is deleted; one that failed is seen again when its
        visibility timeout has ended.

        Args:
            batch_size: How many messages one invocation gets, at the most: 1 to 10000, and over
                10 with a window; 1 to 10 of a FIFO queue.
            max_batching_window: Seconds for which a batch that is not full is waited for: 0 to
                300. Not of a FIFO queue.
            report_batch_item_failures: The function returns what of its batch failed:
                ``{"batchItemFailures": [{"itemIdentifier": "MESSAGE ID"}]}``; the rest is
                deleted.
            filters: Up to 10 patterns, as EventBridge has them, of which one must match; what
                matches none is deleted.
            max_concurrency: How many batches are under way at once: 2 to 1000. None: as many
                as the app delivers at once.
            enabled: Whether it reads; ``app.mappings`` have a switch.

        Raises:
            DefinitionError: Lambda does not take one of these; what is decorated is not a
                function of this app, or its timeout is longer than the queue's visibility
                timeout; or there is a mapping of the two already.
        """
        return self._owner.mapped(
            self,
            batch_size=batch_size,
            max_batching_window=max_batching_window,
            report_batch_item_failures=report_batch_item_failures,
            filters=filters,
            max_concurrency=max_concurrency,
            enabled=enabled,
        )

    def _ask(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        return ask(self._owner, "sqs", operation, {"QueueUrl": self.url, **parameters}).output


def _queue_of(owner: QueueOwner, name: str) -> Queue:
    return owner.queue(name)


def _attribute(name: str, value: object) -> dict[str, str]:
    if isinstance(value, str):
        return {"DataType": "String", "StringValue": value}
    if isinstance(value, (bytes, bytearray)):
        return {"DataType": "Binary", "BinaryValue": base64.b64encode(value).decode()}
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return {"DataType": "Number", "StringValue": str(value)}
    msg = (
        f"attribute {name!r} of a message is {type(value).__name__}: pass str, int, float, "
        "Decimal or bytes"
    )
    raise TypeError(msg)


def _handle(message: Message | str) -> str:
    return message.receipt_handle if isinstance(message, Message) else message


def _message(entry: Mapping[str, Any]) -> Message:
    system = entry["Attributes"]
    return Message(
        body=entry["Body"],
        message_id=entry["MessageId"],
        receipt_handle=entry["ReceiptHandle"],
        attributes={
            name: _value(value) for name, value in entry.get("MessageAttributes", {}).items()
        },
        receive_count=int(system["ApproximateReceiveCount"]),
        sent=from_epoch_ms(int(system["SentTimestamp"])),
        group_id=system.get("MessageGroupId", ""),
        deduplication_id=system.get("MessageDeduplicationId", ""),
        sequence_number=system.get("SequenceNumber", ""),
    )


def _value(value: Mapping[str, str]) -> str | bytes | Decimal:
    kind = value["DataType"].partition(".")[0]
    if kind == "Binary":
        return base64.b64decode(value["BinaryValue"])
    text = value["StringValue"]
    return Decimal(text) if kind == "Number" else text
