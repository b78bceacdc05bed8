"""
Where a record, a dead letter or a rule's event goes, and the service call that takes it there.

Pure: a target is a value, stored as JSON beside what is sent, and the call is made of both.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attrs import asdict, field, frozen

from faaskit.exceptions import DefinitionError
from faaskit.runtimes.contract import ServiceCall

__all__ = ["Parcel", "Target", "kind_of", "target_arn"]

# As EventBridge has them: a day, 185 tries. Lambda's own destinations say nothing of it.
MAX_RETRIES = 185
MAX_AGE_SECONDS = 86_400

_KINDS = {
    "queue": re.compile(r"arn:aws:sqs:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,80}(?:\.fifo)?"),
    "topic": re.compile(r"arn:aws:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}"),
    "function": re.compile(r"arn:aws:lambda:[a-z0-9-]+:\d{12}:function:[A-Za-z0-9_$:-]{1,130}"),
    "bus": re.compile(r"arn:aws:events:[a-z0-9-]+:\d{12}:event-bus/[/.A-Za-z0-9_-]{1,256}"),
    "stream": re.compile(r"arn:aws:kinesis:[a-z0-9-]+:\d{12}:stream/[A-Za-z0-9_.-]{1,128}"),
    "bucket": re.compile(r"arn:aws:s3:::[a-z0-9.-]{3,63}"),
}


@frozen
class Parcel:
    """
    A service call, and what a role must allow for it.

    Attributes:
        action: The IAM action.
        resource: The ARN that it is about.
    """

    call: ServiceCall
    action: str
    resource: str


@frozen
class Target:
    """
    Where something goes.

    Attributes:
        arn: Of a queue, topic, function, bus, stream or bucket.
        attributes: Of an SQS or SNS message: name to type and text.
        key: Of the object, in a bucket.
        detail_type: Of the event, on a bus.
        resources: Of the event, on a bus.
        group_id: Of the message, in a FIFO queue.
        partition_key: Of the record, in a stream.
        rule: The ARN of the rule that sends it; empty for a destination of a function.
        retries: How often it is tried again.
        max_age: Seconds after which it is not.
        dead_letter: The ARN of the queue for what could not be sent; empty for none.
    """

    arn: str
    attributes: Mapping[str, tuple[str, str]] = field(factory=dict)
    key: str = ""
    detail_type: str = ""
    resources: Sequence[str] = ()
    group_id: str = ""
    partition_key: str = ""
    rule: str = ""
    retries: int = MAX_RETRIES
    max_age: int = MAX_AGE_SECONDS
    dead_letter: str = ""

    @property
    def text(self) -> str:
        """It, as JSON."""
        return json.dumps({name: value for name, value in asdict(self).items() if value != ""})

    @classmethod
    def parse(cls, text: str) -> Target:
        """Return the target that a text is of."""
        return cls(**json.loads(text))

    def parcel(self, content: bytes) -> Parcel:
        """
        Return the call that sends something there.

        Args:
            content: JSON, as UTF-8.
        """
        return _PARCELS[kind_of(self.arn)](self, content)


def kind_of(arn: str) -> str:
    """
    Return what an ARN is of: ``queue``, ``topic``, ``function``, ``bus``, ``stream``, ``bucket``.

    Raises:
        DefinitionError: None of these.
    """
    for kind, pattern in _KINDS.items():
        if pattern.fullmatch(arn):
            return kind
    msg = f"{arn!r} is not the ARN of a queue, topic, function, bus, stream or bucket"
    raise DefinitionError(msg)


def target_arn(value: Any, what: str, kinds: Collection[str], *, own: str = "") -> str:
    """
    Return the ARN of what a user named as a target.

    Args:
        value: A resource or function of an App, or an ARN.
        what: What it is given as, for messages, such as ``on_failure of function 'f'``.
        kinds: What may be named.
        own: The ARN of the function that it is a destination of.

    Raises:
        DefinitionError: Nothing that AWS takes there.
    """
    arn = value if isinstance(value, str) else getattr(value, "arn", None)
    if not isinstance(arn, str):
        msg = f"{what} is {value!r}: pass {_among(kinds)}, or its ARN"
        raise DefinitionError(msg)
    kind = kind_of(arn)
    if kind not in kinds:
        msg = f"{what} is the {kind} {arn}: AWS takes {_among(kinds)} there"
        raise DefinitionError(msg)
    if kind == "queue" and arn.endswith(".fifo") and "fifo" not in kinds:
        msg = f"{what} is the FIFO queue {arn}: AWS takes a standard queue there"
        raise DefinitionError(msg)
    if own and arn == own:
        msg = f"{what}: You can't specify the function as a destination for itself."
        raise DefinitionError(msg)
    return arn


def _among(kinds: Collection[str]) -> str:
    names = [f"a {kind}" for kind in _KINDS if kind in kinds]
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _queue(target: Target, content: bytes) -> Parcel:
    _, _, _, region, account, name = target.arn.split(":")
    parameters: dict[str, Any] = {
        "QueueUrl": f"https://sqs.{region}.amazonaws.com/{account}/{name}",
        "MessageBody": content.decode(),
    }
    if target.attributes:
        parameters["MessageAttributes"] = _attributes(target)
    if target.group_id:
        parameters["MessageGroupId"] = target.group_id
    return Parcel(
        ServiceCall("sqs", "SendMessage", parameters, region=region), "sqs:SendMessage", target.arn
    )


def _topic(target: Target, content: bytes) -> Parcel:
    parameters: dict[str, Any] = {"TopicArn": target.arn, "Message": content.decode()}
    if target.attributes:
        parameters["MessageAttributes"] = _attributes(target)
    return Parcel(ServiceCall("sns", "Publish", parameters), "sns:Publish", target.arn)


def _function(target: Target, content: bytes) -> Parcel:
    parameters = {"FunctionName": target.arn, "InvocationType": "Event"}
    return Parcel(
        ServiceCall("lambda", "Invoke", parameters, content), "lambda:InvokeFunction", target.arn
    )


def _bus(target: Target, content: bytes) -> Parcel:
    if target.rule:
        return _event_of_another_bus(target, content)
    entry = {
        "EventBusName": target.arn,
        "Source": "lambda",
        "DetailType": target.detail_type,
        "Resources": list(target.resources),
        "Detail": content.decode(),
    }
    return Parcel(
        ServiceCall("events", "PutEvents", {"Entries": [entry]}), "events:PutEvents", target.arn
    )


def _event_of_another_bus(target: Target, content: bytes) -> Parcel:
    event = json.loads(content)
    entry = {
        "EventBusName": target.arn,
        "Source": event["source"],
        "DetailType": event["detail-type"],
        "Resources": event["resources"],
        "Detail": json.dumps(event["detail"]),
        "Time": event["time"],
    }
    return Parcel(
        ServiceCall("events", "PutEvents", {"Entries": [entry]}), "events:PutEvents", target.arn
    )


def _stream(target: Target, content: bytes) -> Parcel:
    parameters = {
        "StreamARN": target.arn,
        "PartitionKey": target.partition_key,
        "Data": base64.b64encode(content).decode(),
    }
    return Parcel(ServiceCall("kinesis", "PutRecord", parameters), "kinesis:PutRecord", target.arn)


def _bucket(target: Target, content: bytes) -> Parcel:
    parameters = {
        "Bucket": target.arn.rpartition(":")[2],
        "Key": target.key,
        "ContentType": "application/json",
    }
    return Parcel(
        ServiceCall("s3", "PutObject", parameters, content),
        "s3:PutObject",
        f"{target.arn}/{target.key}",
    )


def _attributes(target: Target) -> dict[str, dict[str, str]]:
    return {
        name: {"DataType": kind, "StringValue": text}
        for name, (kind, text) in target.attributes.items()
    }


_PARCELS = {
    "bucket": _bucket,
    "bus": _bus,
    "function": _function,
    "queue": _queue,
    "stream": _stream,
    "topic": _topic,
}
