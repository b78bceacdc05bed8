"""A stream, as users hold it: the same in the app and inside a function."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from attrs import field, frozen

from faaskit.exceptions import ServiceError
from faaskit.functions import Function
from faaskit.gate.ask import Performer, ask
from faaskit.names import stream_arn
from faaskit.resources.kinesis.settings import (
    MAX_REQUEST_BYTES,
    StreamSettings,
    validate_stream_name,
)

__all__ = ["Placed", "Record", "Shard", "Stream", "StreamOwner"]

_F = TypeVar("_F", bound=Function)

_MAX_RECORDS = 500

Data = bytes | bytearray | memoryview | str


@frozen
class Placed:
    """
    Where a record went.

    Attributes:
        shard_id: Such as ``shardId-000000000000``.
        sequence_number: 56 digits; greater than that of every record before it.
    """

    shard_id: str
    sequence_number: str


@frozen
class Record:
    """
    A record of a stream.

    Attributes:
        arrived: Aware, in UTC, to the millisecond.
    """

    data: bytes = field(repr=False)
    partition_key: str
    shard_id: str
    sequence_number: str
    arrived: datetime


@frozen
class Shard:
    """
    A shard of a stream.

    Attributes:
        shard_id: Such as ``shardId-000000000000``.
        first_hash_key: Records whose key's MD5 is from there on…
        last_hash_key: …to there go into it.
        parents: The ids of those that it came from.
        closed: Whether it was split or merged.
    """

    shard_id: str
    first_hash_key: int
    last_hash_key: int
    parents: tuple[str, ...] = ()
    closed: bool = False


class StreamOwner(Performer, Protocol):
    """What a stream needs of its app."""

    @property
    def region(self) -> str:
        """In ARNs."""

    @property
    def account(self) -> str:
        """In ARNs."""

    def stream(self, name: str) -> Stream:
        """Return the stream of that name."""

    def mapped(self, resource: Any, **settings: Any) -> Callable[[_F], _F]:
        """Return a decorator that makes an event source mapping."""


class Stream:
    """
    A stream of an app: Kinesis' operations, embedded and durable.

    Make one with ``app.stream(name)``. In the app every operation is carried out as the
    owner; inside a function it goes through the gate under the function's role, and may
    raise AccessDeniedError. Making a Stream opens nothing.

    Attributes:
        name: Unique in its app.
        settings: What it was declared with.
    """

    def __init__(self, name: str, owner: StreamOwner, settings: StreamSettings) -> None:
        self.name = validate_stream_name(name)
        settings.check(name)
        self.settings = settings
        self._owner = owner

    def __repr__(self) -> str:
        return f"Stream({self.name!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # By name: a stream that travels is looked up again where it arrives.
        return _stream_of, (self._owner, self.name)

    @property
    def arn(self) -> str:
        """``arn:aws:kinesis:REGION:ACCOUNT:stream/NAME``: what a role allows actions on."""
        return stream_arn(self.name, region=self._owner.region, account=self._owner.account)

    def put(
        self, data: Data, partition_key: str, *, explicit_hash_key: int | None = None
    ) -> Placed:
        """
        Put a record (kinesis:PutRecord). It is on the disk when this returns.

        Args:
            data: Up to 1 MiB with its key; text is stored as UTF-8.
            partition_key: 1 to 256 characters. What has the same key is in order.
            explicit_hash_key: 0 to 2**128 - 1, chooses the shard instead of the key.

        Raises:
            AccessDeniedError: Inside a function whose role does not allow it.
            ServiceError: Kinesis does not take such a record.
        """
        parameters = _entry(data, partition_key)
        if explicit_hash_key is not None:
            parameters["ExplicitHashKey"] = str(explicit_hash_key)
        output = self._ask("PutRecord", parameters)
        return Placed(output["ShardId"], output["SequenceNumber"])

    def put_many(self, records: Iterable[tuple[Data, str]]) -> list[Placed]:
        """
        Put records in their order, as many in one call as Kinesis takes (kinesis:PutRecords).

        What one call takes, 500 records or 10 MiB, is on the disk as a whole or not at all.

        Args:
            records: Pairs of data and partition key.

        Raises:
            AccessDeniedError: Inside a function whose role does not allow it.
            ServiceError: Kinesis does not take such a record; those of earlier calls are in.
        """
        placed: list[Placed] = []
        entries: list[dict[str, Any]] = []
        size = 0
        for data, key in records:
            entry = _entry(data, key)
            weight = len(entry["Data"]) // 4 * 3 + len(key.encode())
            if entries and (len(entries) == _MAX_RECORDS or size + weight > MAX_REQUEST_BYTES):
                placed += self._put_entries(entries)
                entries, size = [], 0
            entries.append(entry)
            size += weight
        if entries:
            placed += self._put_entries(entries)
        return placed

    def shards(self) -> list[Shard]:
        """
        Return the shards that have records, or get them (kinesis:ListShards).

        Those that were split or merged are among them until their records are too old.

        Raises:
            AccessDeniedError: Inside a function whose role does not allow it.
        """
        found: list[Shard] = []
        parameters: dict[str, Any] = {"StreamName": self.name}
        while True:
            output = self._ask_as(parameters, "ListShards")
            found += map(_shard, output["Shards"])
            if "NextToken" not in output:
                return found
            parameters = {"NextToken": output["NextToken"]}

    def split(self, shard_id: str, *, at: int | None = None) -> None:
        """
        Have two shards in the place of one (kinesis:SplitShard).

        What is in it stays there, and is read before what comes into the two.

        Args:
            shard_id: Of an open shard.
            at: The first hash key of the second one; by default they are alike.

        Raises:
            AccessDeniedError: Inside a function whose role does not allow it.
            ServiceError: There is no such open shard, or that is none of its hash keys.
        """
        if at is None:
            known = {shard.shard_id: shard for shard in self.shards()}
            shard = known.get(shard_id)
            at = 0 if shard is None else (shard.first_hash_key + shard.last_hash_key + 1) // 2
        parameters = {"ShardToSplit": shard_id, "NewStartingHashKey": str(at)}
        self._ask("SplitShard", parameters)

    def merge(self, shard_id: str, adjacent_shard_id: str) -> None:
        """
        Have one shard in the place of two whose hash keys are neighbours (kinesis:MergeShards).

        Args:
            shard_id: Of an open shard.
            adjacent_shard_id: Of another.

        Raises:
            AccessDeniedError: Inside a function whose role does not allow it.
            ServiceError: One is no open shard, or they are no neighbours.
        """
        parameters = {"ShardToMerge": shard_id, "AdjacentShardToMerge": adjacent_shard_id}
        self._ask("MergeShards", parameters)

    def read(self) -> Iterator[Record]:
        """
        Iterate over the records that are there, shard by shard, the oldest first.

        For looking at; functions will get a stream's records as events. Needs
        kinesis:ListShards, kinesis:GetShardIterator and kinesis:GetRecords.

        Raises:
            AccessDeniedError: Inside a function whose role does not allow it.
        """
        for shard in self.shards():
            yield from self._read_shard(shard.shard_id)

    def on_records(
        self,
        *,
        batch_size: int = 100,
        max_batching_window: int = 0,
        starting_position: str = "TRIM_HORIZON",
        starting_position_timestamp: datetime | None = None,
        parallelization_factor: int = 1,
        max_record_age: int = -1,
        retry_attempts: int = -1,
        bisect_batch_on_error: bool = False,
        tumbling_window: int = 0,
        on_failure: Any = None,
        report_batch_item_failures: bool = False,
        filters: Sequence[Any] = (),
        enabled: bool = True,
    ) -> Callable[[_F], _F]:
        """
        Have a function invoked for this stream's records, in batches: an event source mapping.

        A decorator that goes on top of ``@app.function``, and returns the function, which gets
        Kinesis' event. What of a shard follows on a batch waits until that is done, or is
        given up.

        Args:
            batch_size: How many records one invocation gets, at the most: 1 to 10000.
            max_batching_window: Seconds for which a batch that is not full is waited for,
                counted from its first record's arrival: 0 to 300.
            starting_position: Where a mapping that is new begins: ``TRIM_HORIZON``, ``LATEST`` or
                ``AT_TIMESTAMP``. One that was there before goes on where it was.
            starting_position_timestamp: With ``AT_TIMESTAMP``; aware, not in the future.
            parallelization_factor: How many batches of one shard are under way at once, 1 to
                10; records of one key stay in order.
            max_record_age: Seconds; what is older is given up untried: 60 to 604800, or -1 for
                no limit.
            retry_attempts: How often a batch that failed is tried again: 0 to 10000, or -1 for
                no limit. Meanwhile what is behind it waits.
            bisect_batch_on_error: Try a batch that failed in halves, which is no retry.
            tumbling_window: Seconds, 0 to 900: the function's state is carried from invocation
                to invocation for so long; it returns ``{"state": {…}}``.
            on_failure: A queue, topic or bucket, or its ARN, that is told what was given up.
            report_batch_item_failures: The function returns what of its batch failed:
                ``{"batchItemFailures": [{"itemIdentifier": "SEQUENCE NUMBER"}]}``.
            filters: Up to 10 patterns, as EventBridge has them, of which one must match.
            enabled: Whether it reads; ``app.mappings`` have a switch.

        Raises:
            DefinitionError: Lambda does not take one of these; what is decorated is not a
                function of this app; or there is a mapping of the two already.
        """
        return self._owner.mapped(
            self,
            batch_size=batch_size,
            max_batching_window=max_batching_window,
            starting_position=starting_position,
            starting_position_timestamp=starting_position_timestamp,
            parallelization_factor=parallelization_factor,
            max_record_age=max_record_age,
            retry_attempts=retry_attempts,
            bisect_batch_on_error=bisect_batch_on_error,
            tumbling_window=tumbling_window,
            on_failure=on_failure,
            report_batch_item_failures=report_batch_item_failures,
            filters=filters,
            enabled=enabled,
        )

    def _read_shard(self, shard_id: str) -> Iterator[Record]:
        parameters = {"ShardId": shard_id, "ShardIteratorType": "TRIM_HORIZON"}
        iterator = self._ask("GetShardIterator", parameters)["ShardIterator"]
        while True:
            output = self._ask_as({"ShardIterator": iterator, "StreamARN": self.arn}, "GetRecords")
            for entry in output["Records"]:
                yield Record(
                    data=base64.b64decode(entry["Data"]),
                    partition_key=entry["PartitionKey"],
                    shard_id=shard_id,
                    sequence_number=entry["SequenceNumber"],
                    # datetime.fromisoformat knows "Z" from Python 3.11 on.
                    arrived=datetime.fromisoformat(
                        entry["ApproximateArrivalTimestamp"].replace("Z", "+00:00")
                    ),
                )
            if not output["MillisBehindLatest"]:
                return
            iterator = output["NextShardIterator"]

    def _put_entries(self, entries: list[dict[str, Any]]) -> list[Placed]:
        output = self._ask("PutRecords", {"Records": entries})
        placed = []
        for entry in output["Records"]:
            if "ErrorCode" in entry:  # none of the app's own streams: another place may say so
                raise ServiceError(entry.get("ErrorMessage", ""), code=entry["ErrorCode"])
            placed.append(Placed(entry["ShardId"], entry["SequenceNumber"]))
        return placed

    def _ask(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._ask_as({"StreamName": self.name, **parameters}, operation)

    def _ask_as(self, parameters: Mapping[str, Any], operation: str) -> Mapping[str, Any]:
        return ask(self._owner, "kinesis", operation, parameters).output


def _stream_of(owner: StreamOwner, name: str) -> Stream:
    return owner.stream(name)


def _shard(described: Mapping[str, Any]) -> Shard:
    keys = described["HashKeyRange"]
    parents = (described.get("ParentShardId"), described.get("AdjacentParentShardId"))
    return Shard(
        described["ShardId"],
        int(keys["StartingHashKey"]),
        int(keys["EndingHashKey"]),
        tuple(filter(None, parents)),
        "EndingSequenceNumber" in described["SequenceNumberRange"],
    )


def _entry(data: object, partition_key: str) -> dict[str, Any]:
    if isinstance(data, str):
        data = data.encode()
    if not isinstance(data, (bytes, bytearray, memoryview)):
        msg = f"a record's data is bytes or text, not {type(data).__name__}"
        raise TypeError(msg)
    return {"Data": base64.b64encode(data).decode(), "PartitionKey": partition_key}
