"""What an app has beside its functions: buckets, tables, queues, streams and buses, by name."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from attrs import evolve

from faaskit.exceptions import DefinitionError
from faaskit.functions import Function
from faaskit.names import validate_account, validate_function_name, validate_region
from faaskit.resources.bucket import Bucket
from faaskit.resources.dynamodb.definition import KeyLike, StreamView, TableSettings, declared
from faaskit.resources.dynamodb.table import Table
from faaskit.resources.eventbridge.bus import Bus
from faaskit.resources.kinesis.settings import StreamSettings
from faaskit.resources.kinesis.stream import Stream
from faaskit.resources.sqs.queue import Queue
from faaskit.resources.sqs.settings import QueueSettings
from faaskit.runtimes.contract import ServiceCall, ServiceReply

__all__ = ["Resources"]

_D = TypeVar("_D", Queue, Stream)
_F = TypeVar("_F", bound=Function)


class Resources(ABC):
    """
    The chapter of App on its resources: each is made at its first mention.

    Args:
        name: The app's.
        region: In ARNs.
        account: In ARNs.

    Raises:
        DefinitionError: One of these that AWS does not take.
    """

    def __init__(self, name: str, region: str, account: str) -> None:
        self.name = validate_function_name(name)
        self.region = validate_region(region)
        self.account = validate_account(account)
        self._lock = threading.RLock()
        self._buckets: dict[str, Bucket] = {}
        self._tables: dict[str, Table] = {}
        self._queues: dict[str, Queue] = {}
        self._streams: dict[str, Stream] = {}
        self._buses: dict[str, Bus] = {}

    def __repr__(self) -> str:
        return f"App({self.name!r})"

    @abstractmethod
    def perform(self, call: ServiceCall) -> ServiceReply:
        """Carry out a service call of the app itself, which may do anything."""

    @abstractmethod
    def add_bucket_trigger(
        self, bucket: Bucket, events: tuple[str, ...], *, prefix: str, suffix: str, function: Any
    ) -> None:
        """Have a function invoked for a bucket's events: what ``bucket.on`` does."""

    @abstractmethod
    def mapped(self, resource: Stream | Table | Queue, **settings: Any) -> Callable[[_F], _F]:
        """Return a decorator that makes an event source mapping of one of these."""

    @abstractmethod
    def ruled(self, bus: Bus, pattern: Any, **settings: Any) -> Callable[[_F], _F]:
        """Return a decorator that makes a rule whose target is a function."""

    @abstractmethod
    def route(self, bus: Bus, pattern: Any, **settings: Any) -> None:
        """Make a rule whose target is no function."""

    def bucket(self, name: str) -> Bucket:
        """
        Return the bucket of that name; it is there from now on, and the same each time.

        Raises:
            DefinitionError: S3 does not take such a name.
        """
        with self._lock:
            bucket = self._buckets.get(name)
            if bucket is None:
                bucket = self._buckets[name] = Bucket(name, self)
            return bucket

    def table(
        self,
        name: str,
        *,
        partition_key: KeyLike | None = None,
        sort_key: KeyLike | None = None,
        stream: StreamView | None = None,
    ) -> Table:
        """
        Return the table of that name; it is there from now on, and the same each time.

        Args:
            name: 3 to 255 of ``[a-zA-Z0-9_.-]``.
            partition_key: The attribute that tells items apart: its name, or a pair of name
                and type, such as ``("id", "N")``. Types are ``S`` (text, the default), ``N``
                (numbers) and ``B`` (bytes). Without it, the table is looked up.
            sort_key: The attribute that orders items of one partition key.
            stream: What is kept of each change, for 24 hours: ``KEYS_ONLY``, ``NEW_IMAGE``,
                ``OLD_IMAGE`` or ``NEW_AND_OLD_IMAGES``. None: nothing.

        Raises:
            DefinitionError: DynamoDB does not take such a name, key or stream; the app has a
                table of that name that is declared otherwise; or none, and no
                ``partition_key`` is given.
        """
        if partition_key is not None:
            return self.table_of(name, declared(name, partition_key, sort_key, stream))
        known = self._tables.get(name)
        if known is None or sort_key is not None or stream is not None:
            msg = (
                f"App({self.name!r}) has no table {name!r} yet: declare it with its "
                "partition_key, such as partition_key='id'"
                if known is None
                else f"table {name!r}: pass partition_key, too, or nothing to look it up"
            )
            raise DefinitionError(msg)
        return known

    def table_of(self, name: str, settings: TableSettings) -> Table:
        """Return the table of that name, with those settings: what ``table`` does."""
        with self._lock:
            table = self._tables.get(name)
            if table is None:
                table = self._tables[name] = Table(name, self, settings)
            elif table.settings != settings:
                msg = (
                    f"App({self.name!r}) has {table!r} with other settings already: "
                    f"{table.settings}, not {settings}; declare it once, or pass no settings to "
                    "look it up"
                )
                raise DefinitionError(msg)
            return table

    def queue(
        self,
        name: str,
        *,
        delay_seconds: int | None = None,
        visibility_timeout: int | None = None,
        retention_seconds: int | None = None,
        receive_wait_seconds: int | None = None,
        max_message_bytes: int | None = None,
        content_based_deduplication: bool | None = None,
        dead_letter: Queue | None = None,
        max_receive_count: int | None = None,
    ) -> Queue:
        """
        Return the queue of that name; it is there from now on, and the same each time.

        Args:
            name: 1 to 80 of ``[a-zA-Z0-9-_]``; a FIFO queue's ends in ``.fifo``.
            delay_seconds: How long a new message can't be received: 0 to 900, default 0.
            visibility_timeout: For how long a message that was received is hidden: 0 to 43200
                seconds, default 30.
            retention_seconds: After which a message is thrown away: 60 to 1209600, default
                345600, four days.
            receive_wait_seconds: How long a receive waits that does not say: 0 to 20, default 0.
            max_message_bytes: Body and attributes: 1024 to 1048576, which is the default.
            content_based_deduplication: Of a FIFO queue: a body that was sent in the last five
                minutes is a duplicate.
            dead_letter: A queue of this app, of the same kind, for what was received
                ``max_receive_count`` times and not deleted.
            max_receive_count: 1 to 1000; with ``dead_letter``.

        Raises:
            DefinitionError: SQS does not take such a name or setting; the app has a queue of
                that name with other settings; or ``dead_letter`` is not one of the app's.
        """
        if dead_letter is not None and self._queues.get(dead_letter.name) is not dead_letter:
            msg = f"queue {name!r}: dead_letter {dead_letter!r} is not a queue of {self!r}"
            raise DefinitionError(msg)
        given = {
            "delay_seconds": delay_seconds,
            "visibility_timeout": visibility_timeout,
            "retention_seconds": retention_seconds,
            "receive_wait_seconds": receive_wait_seconds,
            "max_message_bytes": max_message_bytes,
            "content_based_deduplication": content_based_deduplication,
            "dead_letter": None if dead_letter is None else dead_letter.arn,
            "max_receive_count": max_receive_count,
        }
        return self._declared(self._queues, Queue, name, QueueSettings(), given)

    def stream(
        self,
        name: str,
        *,
        shards: int | None = None,
        retention_hours: int | None = None,
        max_record_kib: int | None = None,
    ) -> Stream:
        """
        Return the stream of that name; it is there from now on, and the same each time.

        Args:
            name: 1 to 128 of ``[a-zA-Z0-9_.-]``.
            shards: How many; what has one partition key is in one shard, in order. 1 to 1000,
                default 1.
            retention_hours: After which a record is thrown away: 24 to 8760, default 24.
            max_record_kib: Data and partition key of a record: 1024 to 10240, default 1024.

        Raises:
            DefinitionError: Kinesis does not take such a name or setting; or the app has a
                stream of that name with other settings.
        """
        given = {
            "shards": shards,
            "retention_hours": retention_hours,
            "max_record_kib": max_record_kib,
        }
        return self._declared(self._streams, Stream, name, StreamSettings(), given)

    def bus(self, name: str = "default") -> Bus:
        """
        Return the event bus of that name; it is there from now on, and the same each time.

        Args:
            name: 1 to 256 of ``[/.-_A-Za-z0-9]``, not beginning with ``aws.``.

        Raises:
            DefinitionError: EventBridge does not take such a name.
        """
        with self._lock:
            bus = self._buses.get(name)
            if bus is None:
                bus = self._buses[name] = Bus(name, self)
            return bus

    @property
    def buckets(self) -> Mapping[str, Bucket]:
        """The app's buckets, by name."""
        return MappingProxyType(self._buckets)

    @property
    def tables(self) -> Mapping[str, Table]:
        """The app's tables, by name."""
        return MappingProxyType(self._tables)

    @property
    def queues(self) -> Mapping[str, Queue]:
        """The app's queues, by name."""
        return MappingProxyType(self._queues)

    @property
    def streams(self) -> Mapping[str, Stream]:
        """The app's streams, by name."""
        return MappingProxyType(self._streams)

    @property
    def buses(self) -> Mapping[str, Bus]:
        """The app's event buses, by name."""
        return MappingProxyType(self._buses)

    def _declared(
        self,
        known: dict[str, _D],
        make: Callable[[str, Resources, Any], _D],
        name: str,
        defaults: Any,
        given: Mapping[str, object],
    ) -> _D:
        """
        Return the resource of a name, made with what was given at first.

        Without settings it is looked up; what was given must be what it was made with.
        """
        chosen = {setting: value for setting, value in given.items() if value is not None}
        settings = evolve(defaults, **chosen)
        with self._lock:
            resource = known.get(name)
            if resource is None:
                resource = known[name] = make(name, self, settings)
            elif chosen and resource.settings != settings:
                msg = (
                    f"App({self.name!r}) has {resource!r} with other settings already: "
                    f"{resource.settings}, not {settings}; declare it once, or pass no settings "
                    "to look it up"
                )
                raise DefinitionError(msg)
            return resource
