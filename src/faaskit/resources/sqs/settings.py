"""What a queue is declared with, and SQS's ranges. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from attrs import frozen

from faaskit.exceptions import DefinitionError

__all__ = [
    "MAX_MESSAGE_BYTES",
    "RANGES",
    "DeclaredQueue",
    "QueueSettings",
    "redrive_problem",
    "validate_queue_name",
]

MAX_MESSAGE_BYTES = 1 << 20
MAX_RECEIVES = 1000

# The attributes that are whole numbers, as AWS names them, with their ranges.
RANGES: Mapping[str, tuple[int, int]] = {
    "DelaySeconds": (0, 900),
    "MaximumMessageSize": (1024, MAX_MESSAGE_BYTES),
    "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, 43_200),
}

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,80}")
_FIFO_NAME = re.compile(r"[a-zA-Z0-9_-]{1,75}\.fifo")


@frozen
class QueueSettings:
    """
    What a queue does with its messages; the defaults are SQS's.

    Attributes:
        delay_seconds: How long a new message can't be received.
        visibility_timeout: Seconds for which a message that was received is hidden.
        retention_seconds: After which a message is thrown away.
        receive_wait_seconds: How long a receive waits that does not say.
        max_message_bytes: Body and attributes.
        content_based_deduplication: Of a FIFO queue: the body's SHA-256 is the id.
        dead_letter: ARN of the queue for what was received too often; None for none.
        max_receive_count: How often is not yet too often.
    """

    delay_seconds: int = 0
    visibility_timeout: int = 30
    retention_seconds: int = 345_600
    receive_wait_seconds: int = 0
    max_message_bytes: int = MAX_MESSAGE_BYTES
    content_based_deduplication: bool = False
    dead_letter: str | None = None
    max_receive_count: int | None = None

    def check(self, name: str) -> None:
        """
        Raise for what SQS would not take.

        Raises:
            DefinitionError: Says which setting, and its range.
        """
        numbers = {
            "delay_seconds": ("DelaySeconds", self.delay_seconds),
            "visibility_timeout": ("VisibilityTimeout", self.visibility_timeout),
            "retention_seconds": ("MessageRetentionPeriod", self.retention_seconds),
            "receive_wait_seconds": ("ReceiveMessageWaitTimeSeconds", self.receive_wait_seconds),
            "max_message_bytes": ("MaximumMessageSize", self.max_message_bytes),
        }
        for setting, (attribute, value) in numbers.items():
            low, high = RANGES[attribute]
            if not _is_within(value, low, high):
                msg = f"queue {name!r}: {setting} is {value!r}: SQS takes {low} to {high}"
                raise DefinitionError(msg)
        if self.content_based_deduplication and not name.endswith(".fifo"):
            msg = (
                f"queue {name!r}: content_based_deduplication is for FIFO queues: end its name "
                "in '.fifo'"
            )
            raise DefinitionError(msg)
        if (self.dead_letter is None) != (self.max_receive_count is None):
            msg = f"queue {name!r}: pass dead_letter and max_receive_count together, or neither"
            raise DefinitionError(msg)
        if self.dead_letter is not None:
            problem = redrive_problem(name, self.dead_letter, self.max_receive_count)
            if problem:
                msg = f"queue {name!r}: {problem}"
                raise DefinitionError(msg)


class DeclaredQueue(Protocol):
    """A queue that an app has."""

    @property
    def settings(self) -> QueueSettings:
        """What it was declared with."""


def redrive_problem(name: str, target: str, max_receive_count: Any) -> str:
    """Return what is wrong with a dead-letter queue and its count; empty for nothing."""
    if not _is_within(max_receive_count, 1, MAX_RECEIVES):
        return (
            f"Invalid value for maxReceiveCount: {max_receive_count!r}, valid values are from 1 "
            f"to {MAX_RECEIVES} both inclusive."
        )
    if name.endswith(".fifo") != target.endswith(".fifo"):
        return "Dead-letter queue must be same type of queue as the source."
    if target.rpartition(":")[2] == name:
        return "Dead letter target owned by the queue itself: choose another queue."
    return ""


def validate_queue_name(name: object) -> str:
    """Return a legal queue name, or raise DefinitionError."""
    if not isinstance(name, str) or not (_NAME.fullmatch(name) or _FIFO_NAME.fullmatch(name)):
        msg = (
            f"queue name {name!r} is not one that SQS takes: 1 to 80 characters of a-z, A-Z, "
            "0-9, '-' and '_'; a FIFO queue's ends in '.fifo'"
        )
        raise DefinitionError(msg)
    return name


def _is_within(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
