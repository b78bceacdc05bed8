"""Queues as they are stored: what was declared, and what SetQueueAttributes made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import asdict, evolve, frozen

from faaskit.gate.service import Refusal, excerpt
from faaskit.resources.sqs.refusals import (
    refuse,
    refuse_attribute,
    refuse_missing,
    refuse_parameter,
)
from faaskit.resources.sqs.settings import RANGES, QueueSettings, redrive_problem

if TYPE_CHECKING:
    import sqlite3

__all__ = ["StoredQueue", "changed_settings", "keep_queue", "load_queue", "store_settings"]

_NUMBERS = {
    "DelaySeconds": "delay_seconds",
    "MaximumMessageSize": "max_message_bytes",
    "MessageRetentionPeriod": "retention_seconds",
    "ReceiveMessageWaitTimeSeconds": "receive_wait_seconds",
    "VisibilityTimeout": "visibility_timeout",
}
# Attributes that SQS would change, and that have no effect here.
_ELSEWHERE = {
    "DeduplicationScope",
    "FifoThroughputLimit",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "Policy",
    "RedriveAllowPolicy",
    "SqsManagedSseEnabled",
}
_MAX_POLICY_CHARACTERS = 2048


@frozen
class StoredQueue:
    """
    A queue as it is now.

    Attributes:
        purged_ms: When it was last; None for never.
    """

    name: str
    settings: QueueSettings
    created_ms: int
    modified_ms: int
    purged_ms: int | None

    @property
    def fifo(self) -> bool:
        """Whether order and deduplication hold."""
        return self.name.endswith(".fifo")

    def attributes(self, arn: str, counts: Mapping[str, int]) -> dict[str, str]:
        """Return AWS's attributes, with how many messages there are of each kind."""
        settings = self.settings
        values = {
            "QueueArn": arn,
            **{name: str(count) for name, count in counts.items()},
            "CreatedTimestamp": str(self.created_ms // 1000),
            "LastModifiedTimestamp": str(self.modified_ms // 1000),
            **{name: str(getattr(settings, field)) for name, field in _NUMBERS.items()},
            # Nothing is encrypted here.
            "SqsManagedSseEnabled": "false",
        }
        if settings.dead_letter is not None:
            policy = {
                "deadLetterTargetArn": settings.dead_letter,
                "maxReceiveCount": settings.max_receive_count,
            }
            values["RedrivePolicy"] = json.dumps(policy)
        if self.fifo:
            values |= {
                "FifoQueue": "true",
                "ContentBasedDeduplication": str(settings.content_based_deduplication).lower(),
                "DeduplicationScope": "queue",
                "FifoThroughputLimit": "perQueue",
            }
        return values


def load_queue(
    connection: sqlite3.Connection, name: str, declared: QueueSettings
) -> StoredQueue | None:
    """Return a queue; None if it is not stored yet, or was declared otherwise then."""
    row = connection.execute(
        "SELECT declared, changed, created_ms, modified_ms, purged_ms FROM queues WHERE name = ?",
        (name,),
    ).fetchone()
    if row is None or row[0] != _text(asdict(declared)):
        return None
    settings = evolve(declared, **json.loads(row[1]))
    return StoredQueue(name, settings, row[2], row[3], row[4])


def keep_queue(
    connection: sqlite3.Connection, name: str, declared: QueueSettings, now: int
) -> StoredQueue:
    """Return a queue, in a transaction; what is declared otherwise than before begins anew."""
    queue = load_queue(connection, name, declared)
    if queue is None:
        text = _text(asdict(declared))
        connection.execute(
            "INSERT OR IGNORE INTO queues VALUES (?, ?, '{}', ?, ?, NULL)", (name, text, now, now)
        )
        connection.execute(
            "UPDATE queues SET declared = ?, changed = '{}', modified_ms = ?"
            " WHERE name = ? AND declared <> ?",
            (text, now, name, text),
        )
        queue = load_queue(connection, name, declared)
        assert queue is not None
    return queue


def store_settings(
    connection: sqlite3.Connection,
    queue: StoredQueue,
    declared: QueueSettings,
    settings: QueueSettings,
    now: int,
) -> None:
    """Keep what differs from what was declared."""
    before, after = asdict(declared), asdict(settings)
    changed = {name: value for name, value in after.items() if value != before[name]}
    connection.execute(
        "UPDATE queues SET changed = ?, modified_ms = ? WHERE name = ?",
        (_text(changed), now, queue.name),
    )


def changed_settings(
    queue: StoredQueue, attributes: Mapping[str, str], targets: Mapping[str, object]
) -> QueueSettings:
    """
    Return settings with attributes set as SetQueueAttributes does.

    Args:
        queue: Before.
        attributes: Not trusted.
        targets: ARNs of the queues that there are.

    Raises:
        Refusal: An attribute that there is not, or a value that SQS does not take.
    """
    changes: dict[str, Any] = {}
    for name, value in attributes.items():
        if name in _NUMBERS:
            changes[_NUMBERS[name]] = _number(name, value)
        elif name == "RedrivePolicy":
            changes |= _redrive(queue.name, value, targets)
        elif name == "ContentBasedDeduplication" and queue.fifo:
            if value.lower() not in {"true", "false"}:
                refuse_attribute(name)
            changes["content_based_deduplication"] = value.lower() == "true"
        elif name == "FifoQueue" and queue.fifo:
            if value.lower() != "true":
                refuse_attribute(name, "Modifying queue type is not supported.")
        elif name in _ELSEWHERE:
            msg = (
                f"SetQueueAttributes' {name} has no effect on the app's own queues; "
                'App(aws="moto") has it for what the app does not define itself'
            )
            raise Refusal(msg, code="NotImplemented")
        else:
            refuse("InvalidAttributeName", f"Unknown Attribute {excerpt(name)[1:-1]}.")
    return evolve(queue.settings, **changes)


def _number(name: str, value: str) -> int:
    low, high = RANGES[name]
    if not (value.isascii() and value.isdecimal() and len(value) <= len(str(high))):
        refuse_attribute(name)
    number = int(value)
    if not low <= number <= high:
        refuse_attribute(name)
    return number


def _redrive(name: str, value: str, targets: Mapping[str, object]) -> dict[str, Any]:
    if not value:
        return {"dead_letter": None, "max_receive_count": None}
    policy: Any = None
    if len(value) <= _MAX_POLICY_CHARACTERS:
        try:
            policy = json.loads(value)
        except (ValueError, RecursionError):
            policy = None
    if not isinstance(policy, dict):
        refuse_parameter("RedrivePolicy", value, "Redrive policy is not a valid JSON map.")
    for key in ("deadLetterTargetArn", "maxReceiveCount"):
        if policy.get(key) is None:
            refuse_missing(key)
    target, count = policy["deadLetterTargetArn"], policy["maxReceiveCount"]
    if isinstance(count, str) and count.isascii() and count.isdecimal():
        count = int(count[:5])
    if not isinstance(target, str) or not target.startswith("arn:"):
        refuse_parameter("RedrivePolicy", value, "Invalid value for deadLetterTargetArn.")
    if target not in targets:
        refuse_parameter("RedrivePolicy", value, "Dead letter target does not exist.")
    problem = redrive_problem(name, target, count)
    if problem:
        refuse_parameter("RedrivePolicy", value, problem)
    return {"dead_letter": target, "max_receive_count": count}


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)
