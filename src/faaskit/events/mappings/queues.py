"""A queue of the app, as a source: its messages in SQS' event shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faaskit.events.mappings.settings import Kind
from faaskit.resources.sqs.requests import Receive
from faaskit.resources.sqs.settings import DeclaredQueue

__all__ = ["QueueSource", "record"]

ALL = frozenset({"All"})


class QueueSource:
    """
    A queue of the app.

    Args:
        queue: Declared.
        name: Its name.
        arn: Its ARN.
        region: The app's.
    """

    kind: Kind = "queue"

    def __init__(self, queue: DeclaredQueue, *, name: str, arn: str, region: str) -> None:
        self.key = arn
        self.queue = queue
        self.name = name
        self.region = region

    def receive(self, most: int) -> Receive:
        """Return the request for so many messages, with all that is known of them."""
        return Receive(self.name, most, None, 0, ALL, ALL)


def record(message: Mapping[str, Any], *, arn: str, region: str) -> dict[str, Any]:
    """
    Return a message as it is in an event.

    Args:
        message: As ReceiveMessage returns it.
        arn: The queue's.
        region: The queue's.
    """
    made: dict[str, Any] = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {
            name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()
        },
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": region,
    }
    if "MD5OfMessageAttributes" in message:
        made["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return made


def _attribute(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message attribute as it is in an event."""
    made: dict[str, Any] = {}
    if "StringValue" in value:
        made["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        made["binaryValue"] = value["BinaryValue"]
    return {
        **made,
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": value["DataType"],
    }
