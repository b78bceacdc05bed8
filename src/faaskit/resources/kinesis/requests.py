"""What Kinesis' operations take, checked and understood as far as the request alone tells. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NoReturn

from attrs import field, frozen

from faaskit.gate.service import Refusal, excerpt
from faaskit.names import stream_arn
from faaskit.resources.kinesis.iterators import ShardIterator
from faaskit.resources.kinesis.settings import MAX_REQUEST_BYTES
from faaskit.resources.kinesis.shards import HASH_KEYS
from faaskit.resources.members import Members, refuse_operation
from faaskit.runtimes.contract import ServiceCall

__all__ = [
    "OPERATIONS",
    "Describe",
    "GetIterator",
    "GetRecords",
    "KinesisRequest",
    "ListShards",
    "ListStreams",
    "Merge",
    "NewRecord",
    "PutRecords",
    "Split",
    "named_stream",
    "understand",
]

MAX_RECORDS = 500
MAX_READ = 10_000
_MAX_KEY_CHARACTERS = 256
_STREAM_NAME = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
_HASH_KEY = re.compile(r"0|[1-9][0-9]{0,38}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,128}")
_TYPES = ("AFTER_SEQUENCE_NUMBER", "AT_SEQUENCE_NUMBER", "AT_TIMESTAMP", "LATEST", "TRIM_HORIZON")


@frozen
class NewRecord:
    """
    A record to put.

    Attributes:
        hash_key: Explicit; None is that of the partition key.
    """

    partition_key: str
    data: bytes = field(repr=False)
    hash_key: int | None = None

    @property
    def size(self) -> int:
        """In bytes, as limits count it."""
        return len(self.data) + len(self.partition_key.encode())


@frozen
class PutRecords:
    """
    PutRecord, or PutRecords.

    Attributes:
        after: The sequence number that a record's must be greater than; None for any.
    """

    stream: str
    records: Sequence[NewRecord]
    batch: bool
    after: str | None = None


@frozen
class GetIterator:
    """GetShardIterator."""

    stream: str
    shard: str
    type: str
    number: str | None
    moment: datetime | None


@frozen
class GetRecords:
    """GetRecords."""

    stream: str
    iterator: ShardIterator
    limit: int


@frozen
class ListShards:
    """
    ListShards, or the shards of DescribeStream.

    Attributes:
        after: The id of the shard behind which the page begins; None for the first page.
        limit: Of shards.
        only: ``AT_LATEST`` for the open ones; ``AT_TRIM_HORIZON`` for those that what is kept
            begins in; empty for all.
    """

    stream: str
    after: str | None
    limit: int
    only: str = ""


@frozen
class Split:
    """
    SplitShard.

    Attributes:
        at: The first hash key of the second child.
    """

    stream: str
    shard: str
    at: int


@frozen
class Merge:
    """MergeShards."""

    stream: str
    shard: str
    adjacent: str


@frozen
class Describe:
    """
    DescribeStream, or DescribeStreamSummary.

    Attributes:
        shards: None for the summary.
    """

    stream: str
    shards: ListShards | None


@frozen
class ListStreams:
    """
    ListStreams.

    Attributes:
        after: The name behind which the page begins; empty for the first.
    """

    after: str
    limit: int


KinesisRequest = (
    PutRecords | GetIterator | GetRecords | ListShards | Describe | ListStreams | Split | Merge
)


def understand(call: ServiceCall, *, region: str, account: str) -> KinesisRequest:
    """
    Return the request that a call makes.

    Args:
        call: Not trusted.
        region: The app's; a stream of another one is not there.
        account: The app's, too.

    Raises:
        Refusal: With Kinesis' code: it is not one that is taken here. Nothing is ignored.
    """
    make = OPERATIONS.get(call.operation)
    if make is None:
        refuse_operation("Kinesis", call.operation, OPERATIONS)
    members = Members(call.operation, call.parameters, _missing)
    return make(members, lambda: _stream(members, region=region, account=account))


def named_stream(call: ServiceCall, *, region: str, account: str) -> str | None:
    """Return the name of the app's stream that a call is about, if it names one at all."""
    if call.region not in {"", region}:
        return None
    name, arn = call.parameters.get("StreamName"), call.parameters.get("StreamARN")
    if name is None and arn is None:
        # What lists shards on, or reads on, tells its stream in the token that it got.
        for token in ("ShardIterator", "NextToken"):
            text = call.parameters.get(token)
            position = ShardIterator.parse(text) if isinstance(text, str) else None
            if position is not None:
                return position.stream
        return None
    if arn is not None:
        prefix = stream_arn("", region=region, account=account)
        if not isinstance(arn, str) or not arn.startswith(prefix):
            return None
        of_arn = arn[len(prefix) :]
        return of_arn if name in {None, of_arn} else None
    return name if isinstance(name, str) else None


def _stream(members: Members, *, region: str, account: str) -> str:
    """Return the stream's name, empty for one of another region or account."""
    name, arn = members.text("StreamName"), members.text("StreamARN")
    if name is None and arn is None:
        msg = "Either StreamName or StreamARN must be provided."
        raise Refusal(msg, code="InvalidArgumentException")
    if name is not None and not _STREAM_NAME.fullmatch(name):
        _refuse_pattern("streamName", name, "[a-zA-Z0-9_.-]+")
    if arn is None:
        return name or ""
    prefix = stream_arn("", region=region, account=account)
    of_arn = arn[len(prefix) :] if arn.startswith(prefix) else ""
    if name is not None and name != of_arn:
        msg = f"StreamName {name} and StreamARN {excerpt(arn)} are of different streams."
        raise Refusal(msg, code="InvalidArgumentException")
    return of_arn


def _put(members: Members, stream: Callable[[], str]) -> PutRecords:
    members.only(
        "StreamName",
        "StreamARN",
        "Data",
        "PartitionKey",
        "ExplicitHashKey",
        "SequenceNumberForOrdering",
    )
    after = members.text("SequenceNumberForOrdering")
    if after is not None and not _NUMBER.fullmatch(after):
        _refuse_pattern("sequenceNumberForOrdering", after, _NUMBER.pattern)
    return PutRecords(stream(), [_record(members)], batch=False, after=after)


def _put_many(members: Members, stream: Callable[[], str]) -> PutRecords:
    members.only("StreamName", "StreamARN", "Records")
    count = members.count("Records")
    if not members.has("Records"):
        members.required("Records", None)
    if not 1 <= count <= MAX_RECORDS:
        bound = f"less than or equal to {MAX_RECORDS}" if count else "greater than or equal to 1"
        _refuse_constraint("records", f"Member must have length {bound}")
    records, size = [], 0
    for entry in members.structures("Records"):
        entry.only("Data", "PartitionKey", "ExplicitHashKey")
        record = _record(entry)
        size += record.size
        if size > MAX_REQUEST_BYTES:
            msg = f"Records size exceeds {MAX_REQUEST_BYTES >> 20} MB limit"
            raise Refusal(msg, code="InvalidArgumentException")
        records.append(record)
    return PutRecords(stream(), records, batch=True)


def _record(members: Members) -> NewRecord:
    key = members.required("PartitionKey", members.text("PartitionKey"))
    if not 1 <= len(key) <= _MAX_KEY_CHARACTERS:
        bound = (
            f"less than or equal to {_MAX_KEY_CHARACTERS}" if key else "greater than or equal to 1"
        )
        _refuse_constraint("partitionKey", f"Member must have length {bound}")
    explicit = members.text("ExplicitHashKey")
    if explicit is not None:
        if not _HASH_KEY.fullmatch(explicit):
            _refuse_pattern("explicitHashKey", explicit, _HASH_KEY.pattern)
        if int(explicit) >= HASH_KEYS:
            msg = (
                f"Invalid ExplicitHashKey. ExplicitHashKey must be in the range: "
                f"[0, 2^128-1]. Specified value was {explicit}"
            )
            raise Refusal(msg, code="InvalidArgumentException")
    data = members.required("Data", members.blob("Data", MAX_REQUEST_BYTES))
    return NewRecord(key, data, None if explicit is None else int(explicit))


def _get_iterator(members: Members, stream: Callable[[], str]) -> GetIterator:
    members.only(
        "StreamName",
        "StreamARN",
        "ShardId",
        "ShardIteratorType",
        "StartingSequenceNumber",
        "Timestamp",
    )
    kind = members.required("ShardIteratorType", members.text("ShardIteratorType"))
    if kind not in _TYPES:
        _refuse_constraint(
            "shardIteratorType",
            f"Member must satisfy enum value set: [{', '.join(_TYPES)}]",
        )
    shard = members.required("ShardId", members.text("ShardId"))
    if not _STREAM_NAME.fullmatch(shard):
        _refuse_pattern("shardId", shard, "[a-zA-Z0-9_.-]+")
    number, moment = members.text("StartingSequenceNumber"), members.moment("Timestamp")
    if number is not None and not _NUMBER.fullmatch(number):
        _refuse_pattern("startingSequenceNumber", number, _NUMBER.pattern)
    by_number = kind.endswith("_SEQUENCE_NUMBER")
    name = stream()
    if by_number and number is None:
        msg = (
            f"Must either specify (1) StartingSequenceNumber or (2) Timestamp or (3) neither "
            f"for ShardIteratorType {kind}: it goes with StartingSequenceNumber."
        )
        raise Refusal(msg, code="InvalidArgumentException")
    if kind == "AT_TIMESTAMP" and moment is None:
        msg = "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP."
        raise Refusal(msg, code="InvalidArgumentException")
    if (number is not None and not by_number) or (moment is not None and kind != "AT_TIMESTAMP"):
        msg = f"Request for {kind} takes neither StartingSequenceNumber nor Timestamp of another."
        raise Refusal(msg, code="InvalidArgumentException")
    return GetIterator(name, shard, kind, number, moment)


def _get_records(members: Members, stream: Callable[[], str]) -> GetRecords:
    members.only("ShardIterator", "Limit", "StreamARN")
    text = members.required("ShardIterator", members.text("ShardIterator"))
    limit = members.integer("Limit")
    if limit is not None and limit < 1:
        _refuse_constraint("limit", "Member must have value greater than or equal to 1")
    if limit is not None and limit > MAX_READ:
        # Documented so, where other numbers are a ValidationException.
        msg = f"Limit is {limit}: GetRecords returns up to {MAX_READ} records."
        raise Refusal(msg, code="InvalidArgumentException")
    iterator = ShardIterator.parse(text)
    if iterator is None:
        msg = "Invalid ShardIterator."
        raise Refusal(msg, code="InvalidArgumentException")
    # The ARN is what was authorised: an iterator of another stream would get around it.
    if members.has("StreamARN") and stream() != iterator.stream:
        msg = "The ShardIterator is not one of the stream that StreamARN names."
        raise Refusal(msg, code="InvalidArgumentException")
    return GetRecords(iterator.stream, iterator, MAX_READ if limit is None else limit)


def _list_shards(members: Members, stream: Callable[[], str]) -> ListShards:
    members.only(
        "StreamName",
        "StreamARN",
        "NextToken",
        "ExclusiveStartShardId",
        "MaxResults",
        "ShardFilter",
    )
    only = _filter(members)
    limit = _limit(members, "MaxResults", 1000)
    token, after = members.text("NextToken"), members.text("ExclusiveStartShardId")
    if token is None:
        return ListShards(stream(), after, limit, only)
    if members.has("StreamName") or after is not None:
        msg = "NextToken and StreamName cannot be provided together."
        raise Refusal(msg, code="InvalidArgumentException")
    position = ShardIterator.parse(token)
    if position is None:
        msg = "Invalid NextToken."
        raise Refusal(msg, code="InvalidArgumentException")
    if members.has("StreamARN") and stream() != position.stream:
        msg = "NextToken is not one of the stream that StreamARN names."
        raise Refusal(msg, code="InvalidArgumentException")
    return ListShards(position.stream, f"shardId-{position.shard:012d}", limit, only)


def _filter(members: Members) -> str:
    """Return which shards are listed; empty for all."""
    given = members.structure("ShardFilter")
    if given is None:
        return ""
    given.only("Type")
    kind = given.required("Type", given.text("Type"))
    if kind not in {"AT_LATEST", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON"}:
        msg = (
            f"ListShards' ShardFilter {excerpt(kind)} has no effect on the app's own streams; "
            'App(aws="moto") has it for what the app does not define itself'
        )
        raise Refusal(msg, code="NotImplemented")
    return "" if kind == "FROM_TRIM_HORIZON" else kind


def _split(members: Members, stream: Callable[[], str]) -> Split:
    members.only("StreamName", "StreamARN", "ShardToSplit", "NewStartingHashKey")
    shard = members.required("ShardToSplit", members.text("ShardToSplit"))
    at = members.required("NewStartingHashKey", members.text("NewStartingHashKey"))
    if not _STREAM_NAME.fullmatch(shard):
        _refuse_pattern("shardToSplit", shard, "[a-zA-Z0-9_.-]+")
    if not _HASH_KEY.fullmatch(at):
        _refuse_pattern("newStartingHashKey", at, _HASH_KEY.pattern)
    return Split(stream(), shard, int(at))


def _merge(members: Members, stream: Callable[[], str]) -> Merge:
    members.only("StreamName", "StreamARN", "ShardToMerge", "AdjacentShardToMerge")
    shard = members.required("ShardToMerge", members.text("ShardToMerge"))
    adjacent = members.required("AdjacentShardToMerge", members.text("AdjacentShardToMerge"))
    for name, value in (("shardToMerge", shard), ("adjacentShardToMerge", adjacent)):
        if not _STREAM_NAME.fullmatch(value):
            _refuse_pattern(name, value, "[a-zA-Z0-9_.-]+")
    return Merge(stream(), shard, adjacent)


def _describe(members: Members, stream: Callable[[], str]) -> Describe:
    members.only("StreamName", "StreamARN", "Limit", "ExclusiveStartShardId")
    name = stream()
    after = members.text("ExclusiveStartShardId")
    return Describe(name, ListShards(name, after, _limit(members, "Limit", 100)))


def _summary(members: Members, stream: Callable[[], str]) -> Describe:
    members.only("StreamName", "StreamARN")
    return Describe(stream(), None)


def _list_streams(members: Members, _stream: Callable[[], str]) -> ListStreams:
    members.only("ExclusiveStartStreamName", "Limit", "NextToken")
    after = members.text("NextToken") or members.text("ExclusiveStartStreamName") or ""
    return ListStreams(after, _limit(members, "Limit", 100))


def _limit(members: Members, name: str, default: int) -> int:
    limit = members.integer(name)
    if limit is None:
        return default
    if not 1 <= limit <= MAX_READ:
        bound = f"less than or equal to {MAX_READ}" if limit > 0 else "greater than or equal to 1"
        _refuse_constraint(name[0].lower() + name[1:], f"Member must have value {bound}")
    return limit


def _missing(name: str) -> Refusal:
    where = name[0].lower() + name[1:]
    msg = (
        f"1 validation error detected: Value null at '{where}' failed to satisfy constraint: "
        "Member must not be null"
    )
    return Refusal(msg, code="ValidationException")


def _refuse_constraint(where: str, constraint: str) -> NoReturn:
    msg = f"1 validation error detected: Value at '{where}' failed to satisfy constraint: "
    raise Refusal(msg + constraint, code="ValidationException")


def _refuse_pattern(where: str, value: str, pattern: str) -> NoReturn:
    msg = (
        f"1 validation error detected: Value {excerpt(value)} at '{where}' failed to satisfy "
        f"constraint: Member must satisfy regular expression pattern: {pattern}"
    )
    raise Refusal(msg, code="ValidationException")


OPERATIONS: Mapping[str, Callable[[Members, Callable[[], str]], KinesisRequest]] = {
    "DescribeStream": _describe,
    "DescribeStreamSummary": _summary,
    "GetRecords": _get_records,
    "GetShardIterator": _get_iterator,
    "ListShards": _list_shards,
    "ListStreams": _list_streams,
    "MergeShards": _merge,
    "PutRecord": _put,
    "PutRecords": _put_many,
    "SplitShard": _split,
}
