"""Resources that are not the app's own, as users hold them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Protocol, TypedDict, TypeVar

from typing_extensions import Unpack

from faaskit.events.mappings.settings import Kind
from faaskit.exceptions import DefinitionError

__all__ = [
    "ChangeSettings",
    "MessageSettings",
    "RecordSettings",
    "Remote",
    "RemoteQueue",
    "RemoteStream",
    "RemoteTable",
]

_F = TypeVar("_F")


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


class MessageSettings(TypedDict, total=False):
    """The parameters of ``queue.on_messages``."""

    batch_size: int
    max_batching_window: int
    report_batch_item_failures: bool
    filters: Sequence[Any]
    max_concurrency: int | None
    enabled: bool


class RemoteOwner(Protocol):
    """What a resource elsewhere needs of its app."""

    def mapped_remote(self, resource: Remote, **settings: Any) -> Callable[[_F], _F]:
        """Return a decorator that makes an event source mapping."""


class Remote:
    """
    A resource that is not the app's own.

    Args:
        arn: Its ARN.
        owner: The app.

    Attributes:
        arn: Its ARN.
        name: Of the queue, stream or table.
        kind: Which of these.
        decorator: The one that names a function, for messages.

    Raises:
        DefinitionError: The ARN is of something else.
    """

    kind: ClassVar[Kind]
    decorator: ClassVar[str]
    _form: ClassVar[str]
    _pattern: ClassVar[str]

    def __init__(self, arn: str, owner: RemoteOwner) -> None:
        found = re.fullmatch(self._pattern, str(arn))
        if found is None:
            msg = f"{arn!r} is not an ARN of the form {self._form}"
            raise DefinitionError(msg)
        self.arn = arn
        self.name = found["name"]
        self._owner = owner

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.arn!r})"


class RemoteQueue(Remote):
    """An SQS queue that is not the app's own: made by ``app.remote_queue(arn)``."""

    kind = "queue"
    decorator = "@remote_queue.on_messages"
    _form = "arn:aws:sqs:REGION:ACCOUNT:NAME"
    _pattern = r"arn:aws:sqs:[a-z0-9-]+:\d{12}:(?P<name>[A-Za-z0-9_-]{1,80}(\.fifo)?)"

    def on_messages(self, **settings: Unpack[MessageSettings]) -> Callable[[_F], _F]:
        """
        Have a function invoked for the queue's messages, in batches: as ``queue.on_messages``.

        Args:
            settings: The parameters of ``queue.on_messages``. A window is waited for in real
                time. Without ``max_concurrency`` up to 5 batches are under way at once, with
                which Lambda begins.

        Raises:
            DefinitionError: Lambda does not take one of these; what is decorated is not a
                function of this app; or there is a mapping of the two already.
        """
        return self._owner.mapped_remote(self, **settings)


class RemoteStream(Remote):
    """A Kinesis stream that is not the app's own: made by ``app.remote_stream(arn)``."""

    kind = "stream"
    decorator = "@remote_stream.on_records"
    _form = "arn:aws:kinesis:REGION:ACCOUNT:stream/NAME"
    _pattern = r"arn:aws:kinesis:[a-z0-9-]+:\d{12}:stream/(?P<name>[A-Za-z0-9_.-]{1,128})"

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


class RemoteTable(Remote):
    """A DynamoDB table that is not the app's own: made by ``app.remote_table(arn)``."""

    kind = "table"
    decorator = "@remote_table.on_change"
    _form = "arn:aws:dynamodb:REGION:ACCOUNT:table/NAME"
    _pattern = (
        r"arn:aws:dynamodb:[a-z0-9-]+:\d{12}:table/(?P<name>[A-Za-z0-9_.-]{3,255})"
        r"(/stream/[0-9T:.-]+)?"
    )

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
