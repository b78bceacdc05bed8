"""Resources that are not the app's own, as users hold them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol, TypedDict, TypeVar

from typing_extensions import Unpack

from faaskit.events.mappings.settings import Kind
from faaskit.exceptions import DefinitionError

__all__ = ["ChangeSettings", "RecordSettings", "RemoteQueue", "RemoteStream", "RemoteTable"]

_F = TypeVar("_F")

_REGION = r"[a-z0-9-]+"
_STREAM = re.compile(rf"arn:aws:kinesis:{_REGION}:\d{{12}}:stream/[A-Za-z0-9_.-]{{1,128}}")
_TABLE = re.compile(
    rf"arn:aws:dynamodb:{_REGION}:\d{{12}}:table/[A-Za-z0-9_.-]{{3,255}}(/stream/[0-9T:.-]+)?"
)
_QUEUE = re.compile(rf"arn:aws:sqs:{_REGION}:\d{{12}}:[A-Za-z0-9_-]{{1,80}}(\.fifo)?")


class ChangeSettings(TypedDict, total=False):
    """The parameters of ``table.on_change``."""

    batch_size: int
    max_batching_window: int
    starting_position: str
    parallelization_factor: int
    max_record_age: int
    retry_attempts: int
    bisect_batch_on_error: bool
    tumbling_window: int
    on_failure: Any
    report_batch_item_failures: bool
    filters: Sequence[Any]
    enabled: bool


class RecordSettings(ChangeSettings, total=False):
    """The parameters of ``stream.on_records``."""

    starting_position_timestamp: datetime | None


class RemoteOwner(Protocol):
    """What a resource elsewhere needs of its app."""

    def mapped_remote(
        self, resource: RemoteQueue | RemoteStream | RemoteTable, **settings: Any
    ) -> Callable[[_F], _F]:
        """Return a decorator that makes an event source mapping."""


class RemoteQueue:
    """
    An SQS queue that is not the app's own: made by ``app.remote_queue(arn)``.

    Attributes:
        arn: Its ARN.
        name: The last part of it.
    """

    kind: Kind = "queue"
    decorator = "@remote_queue.on_messages"

    def __init__(self, arn: str, owner: RemoteOwner) -> None:
        self.arn = _checked(arn, _QUEUE, "arn:aws:sqs:REGION:ACCOUNT:NAME")
        self.name = arn.rpartition(":")[2]
        self._owner = owner

    def __repr__(self) -> str:
        return f"RemoteQueue({self.arn!r})"

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
        Have a function invoked for the queue's messages, in batches: as ``queue.on_messages``.

        Args:
            batch_size: How many messages one invocation gets, at the most: 1 to 10000, and over
                10 with a window; 1 to 10 of a FIFO queue.
            max_batching_window: Seconds for which a batch that is not full is waited for, in
                real time: 0 to 300. Not of a FIFO queue.
            report_batch_item_failures: The function returns what of its batch failed.
            filters: Up to 10 patterns, of which one must match; what matches none is deleted.
            max_concurrency: How many batches are under way at once: 2 to 1000. None: 5, with
                which Lambda begins.
            enabled: Whether it is polled; ``app.mappings`` have a switch.

        Raises:
            DefinitionError: Lambda does not take one of these; what is decorated is not a
                function of this app; or there is a mapping of the two already.
        """
        return self._owner.mapped_remote(
            self,
            batch_size=batch_size,
            max_batching_window=max_batching_window,
            report_batch_item_failures=report_batch_item_failures,
            filters=filters,
            max_concurrency=max_concurrency,
            enabled=enabled,
        )


class RemoteStream:
    """
    A Kinesis stream that is not the app's own: made by ``app.remote_stream(arn)``.

    Attributes:
        arn: Its ARN.
        name: The last part of it.
    """

    kind: Kind = "stream"
    decorator = "@remote_stream.on_records"

    def __init__(self, arn: str, owner: RemoteOwner) -> None:
        self.arn = _checked(arn, _STREAM, "arn:aws:kinesis:REGION:ACCOUNT:stream/NAME")
        self.name = arn.rpartition("/")[2]
        self._owner = owner

    def __repr__(self) -> str:
        return f"RemoteStream({self.arn!r})"

    def on_records(self, **settings: Unpack[RecordSettings]) -> Callable[[_F], _F]:
        """
        Have a function invoked for the stream's records, in batches: as ``stream.on_records``.

        What is new in it is copied into the state folder, not far ahead of what is delivered.

        Args:
            settings: The parameters of ``stream.on_records``. ``LATEST`` is what arrives after
                the state folder was first opened with the mapping declared.

        Raises:
            DefinitionError: Lambda does not take one of these; what is decorated is not a
                function of this app; or there is a mapping of the two already.
        """
        return self._owner.mapped_remote(self, **settings)


class RemoteTable:
    """
    A DynamoDB table that is not the app's own: made by ``app.remote_table(arn)``.

    Attributes:
        arn: Its ARN, or that of its stream.
        name: The table's.
    """

    kind: Kind = "table"
    decorator = "@remote_table.on_change"

    def __init__(self, arn: str, owner: RemoteOwner) -> None:
        self.arn = _checked(arn, _TABLE, "arn:aws:dynamodb:REGION:ACCOUNT:table/NAME")
        self.name = arn.split("/")[1]
        self._owner = owner

    def __repr__(self) -> str:
        return f"RemoteTable({self.arn!r})"

    def on_change(self, **settings: Unpack[ChangeSettings]) -> Callable[[_F], _F]:
        """
        Have a function invoked, in batches, for what is done to items: as ``table.on_change``.

        What is new in the table's stream is copied into the state folder, not far ahead of what
        is delivered. The table must have a stream.

        Args:
            settings: The parameters of ``table.on_change``. ``LATEST`` is what is done after the
                state folder was first opened with the mapping declared.

        Raises:
            DefinitionError: Lambda does not take one of these; what is decorated is not a
                function of this app; or there is a mapping of the two already.
        """
        return self._owner.mapped_remote(self, **settings)


def _checked(arn: Any, pattern: re.Pattern[str], form: str) -> str:
    if not isinstance(arn, str) or not pattern.fullmatch(arn):
        msg = f"{arn!r} is not an ARN of the form {form}"
        raise DefinitionError(msg)
    return arn
