"""What is asked of Kinesis and of DynamoDB Streams, and their answers in one form."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import field, frozen

from faaskit.clock import epoch_ms, from_epoch_ms
from faaskit.events.mappings.kinesis import kinesis_entry
from faaskit.exceptions import ServiceError
from faaskit.resources.kinesis.shards import hash_key
from faaskit.runtimes.contract import ServiceCall, ServiceReply

__all__ = ["Found", "Kinesis", "Listing", "RemoteRecord", "RemoteShard", "Service", "TableStreams"]

_HOUR_MS = 3_600_000
_SLOTS = 2**62  # fewer than an integer of SQLite's has


@frozen
class RemoteShard:
    """
    A shard, as the service lists it.

    Attributes:
        id: Unique in its stream, and greater than its parents'.
        parents: The ids of those that it came from.
    """

    id: str
    parents: Sequence[str]


@frozen
class Listing:
    """
    A stream.

    Attributes:
        arn: Of the stream.
        created: When it was: another stream of the same name has another time.
        retention_ms: For how long it keeps a record.
        exact_to_ms: How exact its records' times are.
        shards: Those that it has, parents first.
    """

    arn: str
    created: str
    retention_ms: int
    exact_to_ms: int
    shards: Sequence[RemoteShard]


@frozen
class RemoteRecord:
    """
    A record.

    Attributes:
        number: Its sequence number.
        slot: Records of one key have the same.
        arrived_ms: When it was put.
        entry: As it is in an event; the role's ARN is empty.
    """

    number: str
    slot: int
    arrived_ms: int
    entry: Mapping[str, Any] = field(repr=False)


@frozen
class Found:
    """
    What a read found.

    Attributes:
        records: In their order.
        next: The iterator to go on with; None at the end of a shard that is closed.
        behind: Whether the service says that there is more by now.
    """

    records: Sequence[RemoteRecord]
    next: str | None
    behind: bool


class Service(ABC):
    """
    One of the two, for one stream. Every method raises ServiceError with the service's code.

    Args:
        perform: Carries out a service call as the app itself.
        arn: Of the stream; for DynamoDB, of the table, too.

    Attributes:
        polls_a_second: How often Lambda reads a shard that has nothing new.
    """

    polls_a_second: int

    def __init__(self, perform: Callable[[ServiceCall], ServiceReply], arn: str) -> None:
        self._perform = perform
        self._arn = arn
        self._region = arn.split(":")[3]

    @abstractmethod
    def list(self) -> Listing:
        """Return the stream and its shards."""

    @abstractmethod
    def iterator(self, arn: str, shard: str, *, after: str | None, begin_ms: int | None) -> str:
        """
        Return an iterator.

        Args:
            arn: Of the stream.
            shard: Its id.
            after: The sequence number of the last record that is known; None for none.
            begin_ms: Without one: what arrived before need not come. None: all is wanted.
        """

    @abstractmethod
    def read(self, arn: str, shard: str, iterator: str) -> Found:
        """
        Return what follows.

        Args:
            arn: Of the stream.
            shard: Its id.
            iterator: Of it.
        """

    def _ask(self, service: str, operation: str, **parameters: Any) -> Mapping[str, Any]:
        reply = self._perform(ServiceCall(service, operation, parameters, region=self._region))
        if reply.failure is not None:
            raise ServiceError(reply.failure.message, code=reply.failure.code)
        return reply.output


class Kinesis(Service):
    """A Kinesis stream."""

    polls_a_second = 1

    def list(self) -> Listing:
        """Return the stream and its shards."""
        summary = self._ask("kinesis", "DescribeStreamSummary", StreamARN=self._arn)
        told = summary["StreamDescriptionSummary"]
        return Listing(
            self._arn,
            str(told.get("StreamCreationTimestamp", "")),
            int(told.get("RetentionPeriodHours", 24)) * _HOUR_MS,
            1,
            sorted(self._shards(), key=lambda one: one.id),
        )

    def _shards(self) -> Iterator[RemoteShard]:
        given = {"StreamARN": self._arn}
        while True:
            page = self._ask("kinesis", "ListShards", **given)
            for one in page["Shards"]:
                parents = [one.get("ParentShardId"), one.get("AdjacentParentShardId")]
                yield RemoteShard(one["ShardId"], [*filter(None, parents)])
            if not page.get("NextToken"):
                return
            given = {"NextToken": page["NextToken"]}

    def iterator(self, arn: str, shard: str, *, after: str | None, begin_ms: int | None) -> str:
        """Return an iterator."""
        begin: dict[str, Any] = {"ShardIteratorType": "TRIM_HORIZON"}
        if after is not None:
            begin = {
                "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
                "StartingSequenceNumber": after,
            }
        elif begin_ms is not None:
            moment = from_epoch_ms(begin_ms).isoformat()
            begin = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": moment}
        given = {"StreamARN": arn, "ShardId": shard, **begin}
        return str(self._ask("kinesis", "GetShardIterator", **given)["ShardIterator"])

    def read(self, arn: str, shard: str, iterator: str) -> Found:
        """Return what follows."""
        page = self._ask("kinesis", "GetRecords", StreamARN=arn, ShardIterator=iterator)
        records = []
        for one in page["Records"]:
            arrived_ms = _parsed(one["ApproximateArrivalTimestamp"])
            key = one["PartitionKey"]
            entry = kinesis_entry(
                arn=arn,
                region=self._region,
                shard_id=shard,
                number=one["SequenceNumber"],
                key=key,
                data=one["Data"],
                arrived=arrived_ms / 1000,
                role_arn="",
            )
            slot = hash_key(key) % _SLOTS
            records.append(RemoteRecord(one["SequenceNumber"], slot, arrived_ms, entry))
        behind = bool(page.get("MillisBehindLatest"))
        return Found(records, page.get("NextShardIterator"), behind)


class TableStreams(Service):
    """The stream of a DynamoDB table: the one that is named, or the latest."""

    polls_a_second = 4

    def __init__(self, perform: Callable[[ServiceCall], ServiceReply], arn: str) -> None:
        super().__init__(perform, arn)
        self._partition_key = ""

    def list(self) -> Listing:
        """Return the stream and its shards."""
        arn = self._arn
        if "/stream/" not in arn:
            told = self._ask("dynamodb", "DescribeTable", TableName=arn.split("/")[1])["Table"]
            if not told.get("LatestStreamArn"):
                msg = f"{arn} has no stream: enable one"
                raise ServiceError(msg, code="InvalidParameterValueException")
            arn = told["LatestStreamArn"]
        shards: list[RemoteShard] = []
        given = {"StreamArn": arn}
        while True:
            page = self._ask("dynamodbstreams", "DescribeStream", **given)["StreamDescription"]
            for one in page.get("Shards", ()):
                parent = one.get("ParentShardId")
                shards.append(RemoteShard(one["ShardId"], [parent] if parent else []))
            last = page.get("LastEvaluatedShardId")
            if not last:
                break
            given["ExclusiveStartShardId"] = last
        self._partition_key = page["KeySchema"][0]["AttributeName"]
        created = str(page.get("CreationRequestDateTime", ""))
        return Listing(arn, created, 24 * _HOUR_MS, 1000, sorted(shards, key=lambda one: one.id))

    def iterator(self, arn: str, shard: str, *, after: str | None, begin_ms: int | None) -> str:  # noqa: ARG002
        """Return an iterator; there is none that begins at a time."""
        begin = {"ShardIteratorType": "TRIM_HORIZON"}
        if after is not None:
            begin = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": after}
        given = {"StreamArn": arn, "ShardId": shard, **begin}
        return str(self._ask("dynamodbstreams", "GetShardIterator", **given)["ShardIterator"])

    def read(self, arn: str, shard: str, iterator: str) -> Found:  # noqa: ARG002
        """Return what follows."""
        page = self._ask("dynamodbstreams", "GetRecords", ShardIterator=iterator)
        records = [self._record(arn, one) for one in page["Records"]]
        return Found(records, page.get("NextShardIterator"), behind=False)

    def _record(self, arn: str, given: Mapping[str, Any]) -> RemoteRecord:
        change = dict(given["dynamodb"])
        arrived_ms = _parsed(change["ApproximateCreationDateTime"])
        change["ApproximateCreationDateTime"] = float(arrived_ms // 1000)
        entry = {**given, "dynamodb": change, "eventSourceARN": arn}
        if "userIdentity" in given:  # DynamoDB's own, such as the time to live
            who = given["userIdentity"]
            entry["userIdentity"] = {
                name[0].lower() + name[1:]: value for name, value in who.items()
            }
        key = json.dumps(change["Keys"].get(self._partition_key), sort_keys=True)
        digest = hashlib.md5(key.encode(), usedforsecurity=False).digest()
        slot = int.from_bytes(digest, "big") % _SLOTS
        return RemoteRecord(change["SequenceNumber"], slot, arrived_ms, entry)


def _parsed(moment: str) -> int:
    """Return a time of a reply, in milliseconds."""
    # datetime.fromisoformat knows "Z" from Python 3.11 on.
    return epoch_ms(datetime.fromisoformat(moment.replace("Z", "+00:00")))
