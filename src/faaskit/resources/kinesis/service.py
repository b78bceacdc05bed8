"""The ``kinesis`` service: carries Kinesis' operations out on the state folder."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import evolve

from faaskit.clock import Clock, epoch_ms, from_epoch_ms, iso8601
from faaskit.gate.service import Caller, Refusal, Requirement
from faaskit.names import stream_arn
from faaskit.resources.kinesis import records
from faaskit.resources.kinesis.iterators import ITERATOR_MS, ShardIterator
from faaskit.resources.kinesis.records import StoredStream
from faaskit.resources.kinesis.requests import (
    Describe,
    GetIterator,
    GetRecords,
    ListShards,
    ListStreams,
    Merge,
    PutRecords,
    Split,
    named_stream,
    understand,
)
from faaskit.resources.kinesis.resharding import StoredShard, merged, split
from faaskit.resources.kinesis.settings import MAX_SHARDS, DeclaredStream, StreamSettings
from faaskit.resources.kinesis.shards import (
    first_sequence_at,
    next_sequence,
    sequence_in_any_shard,
    sequence_number,
    sequence_of,
    shard_id,
    shard_number,
)
from faaskit.resources.state import State
from faaskit.runtimes.contract import ServiceCall, ServiceFailure, ServiceReply

__all__ = ["KinesisService"]


class KinesisService:
    """
    Kinesis, as far as faaskit has it: see ``requests.py`` for what each operation takes.

    Args:
        state: Where records are kept.
        streams: Those that the app declares, by name.
        clock: For arrivals, and what is too old.
        region: The app's, in ARNs.
        account: The app's, too.
    """

    name = "kinesis"

    def __init__(
        self,
        state: State,
        *,
        streams: Mapping[str, DeclaredStream],
        clock: Clock,
        region: str,
        account: str,
    ) -> None:
        self._state = state
        self._streams = streams
        self._clock = clock
        self._region = region
        self._account = account

    def owns(self, call: ServiceCall) -> bool:
        """Return whether a call names a stream of the app."""
        name = named_stream(call, region=self._region, account=self._account)
        return name is not None and name in self._streams

    def stream_of(self, iterator: str) -> str | None:
        """Return the ARN of the stream that a shard iterator reads; None for no iterator."""
        position = ShardIterator.parse(iterator)
        return None if position is None else self._arn(position.stream)

    def discloses(self, call: ServiceCall, failure: ServiceFailure) -> Requirement | None:  # noqa: ARG002
        """Return None: Kinesis tells everyone who may call what is wrong."""
        return None

    def perform(self, call: ServiceCall, caller: Caller) -> ServiceReply:  # noqa: ARG002
        """
        Carry a call out. What was put is durable when this returns.

        Raises:
            Refusal: There is no such stream, or Kinesis does not take such a request.
            SandboxError: The host failed.
        """
        request = understand(call, region=self._region, account=self._account)
        if call.body:
            msg = f"{call.operation} takes no body"
            raise Refusal(msg, code="ValidationException")
        if isinstance(request, ListStreams):
            return ServiceReply(self._list(request))
        known = self._streams.get(request.stream)
        if known is None or call.region not in {"", self._region}:
            name = request.stream or call.parameters.get("StreamARN")
            msg = f"Stream {name} under account {self._account} not found."
            raise Refusal(msg, code="ResourceNotFoundException")
        settings = known.settings
        if isinstance(request, PutRecords):
            return ServiceReply(self._put(request, settings))
        if isinstance(request, (Split, Merge)):
            return ServiceReply(self._reshard(request, settings))
        stream = self._stream(request.stream, settings)
        if isinstance(request, GetRecords):
            return ServiceReply(self._read(request, stream))
        if isinstance(request, GetIterator):
            return ServiceReply(self._iterator(request, stream))
        if isinstance(request, ListShards):
            return ServiceReply(self._shards(request, stream))
        return ServiceReply(self._describe(request, stream))

    def _put(self, request: PutRecords, settings: StreamSettings) -> Mapping[str, Any]:
        most = settings.max_record_kib << 10
        for index, record in enumerate(request.records, 1):
            if record.size > most:
                where = f"records.{index}.member.data" if request.batch else "data"
                msg = (
                    f"1 validation error detected: Value at '{where}' failed to satisfy "
                    f"constraint: Member must have length less than or equal to {most}"
                )
                raise Refusal(msg, code="ValidationException")
        with self._state.writing() as connection:
            now = epoch_ms(self._clock.now())
            stream = records.keep_stream(connection, request.stream, settings, now)
            _check_ordering(request.after, stream)
            placed = records.append(connection, stream, request.records, now)
        results = [
            {"ShardId": shard_id(shard), "SequenceNumber": sequence_number(sequence, shard)}
            for shard, sequence in placed
        ]
        if not request.batch:
            return {**results[0], "EncryptionType": "NONE"}
        return {"FailedRecordCount": 0, "Records": results, "EncryptionType": "NONE"}

    def _reshard(self, request: Split | Merge, settings: StreamSettings) -> Mapping[str, Any]:
        with self._state.writing() as connection:
            now = epoch_ms(self._clock.now())
            stream = records.keep_stream(connection, request.stream, settings, now)
            shards = stream.shards()
            begun = next_sequence(stream.sequence, now)
            step = {"last": stream.sequence, "begun": begun}
            if isinstance(request, Split):
                old = self._open_shard(request.shard, stream)
                if not old.first_hash < request.at <= old.last_hash:
                    msg = (
                        f"NewStartingHashKey {request.at} used in SplitShard() on shard "
                        f"{request.shard} in stream {stream.name} under account {self._account} is "
                        f"not both greater than the shard's StartingHashKey {old.first_hash} and "
                        f"no greater than its EndingHashKey {old.last_hash}."
                    )
                    raise Refusal(msg, code="InvalidArgumentException")
                after = split(shards, old.number, request.at, **step)
            else:
                one = self._open_shard(request.shard, stream)
                other = self._open_shard(request.adjacent, stream)
                if 1 not in {one.first_hash - other.last_hash, other.first_hash - one.last_hash}:
                    msg = (
                        f"Shards {request.shard} and {request.adjacent} in stream {stream.name} "
                        f"under account {self._account} are not an adjacent pair of shards "
                        "eligible for merging"
                    )
                    raise Refusal(msg, code="InvalidArgumentException")
                after = merged(shards, (one.number, other.number), **step)
            if sum(shard.open for shard in after) > MAX_SHARDS:
                msg = f"This request would exceed the shard limit of {MAX_SHARDS}."
                raise Refusal(msg, code="LimitExceededException")
            records.store_shards(connection, stream, after, begun)
        return {}

    def _open_shard(self, name: str, stream: StoredStream) -> StoredShard:
        shard = self._shard(name, stream)
        if not shard.open:
            msg = (
                f"Shard {name} in stream {stream.name} under account {self._account} is closed: "
                "only an open shard can be split or merged"
            )
            raise Refusal(msg, code="InvalidArgumentException")
        return shard

    def _stream(self, name: str, settings: StreamSettings) -> StoredStream:
        with self._state.reading() as connection:
            stream = records.load_stream(connection, name, settings)
        if stream is None:
            with self._state.writing() as connection:
                now = epoch_ms(self._clock.now())
                stream = records.keep_stream(connection, name, settings, now)
        return stream

    def _iterator(self, request: GetIterator, stream: StoredStream) -> Mapping[str, Any]:
        shard = self._shard(request.shard, stream).number
        now = self._clock.now()
        position = ShardIterator(
            stream.name, shard, self._start(request, stream, shard, now), epoch_ms(now)
        )
        return {"ShardIterator": position.text}

    def _start(self, request: GetIterator, stream: StoredStream, shard: int, now: datetime) -> int:
        """Return the least sequence that the first record may have."""
        if request.type == "TRIM_HORIZON":
            return 0
        if request.type == "LATEST":
            return stream.sequence + 1
        if request.number is not None:
            sequence = sequence_of(request.number, shard)
            if sequence is None or not stream.first_sequence <= sequence <= stream.sequence:
                msg = (
                    f"StartingSequenceNumber {request.number} used in GetShardIterator on shard "
                    f"{request.shard} in stream {stream.name} under account {self._account} is "
                    "invalid because it did not come from this stream."
                )
                raise Refusal(msg, code="InvalidArgumentException")
            return sequence + (request.type == "AFTER_SEQUENCE_NUMBER")
        assert request.moment is not None
        moment, current = epoch_ms(request.moment), epoch_ms(now)
        if moment > current:
            msg = (
                "The timestampInMillis parameter cannot be greater than the "
                f"currentTimestampInMillis. timestampInMillis: {moment}, "
                f"currentTimestampInMillis: {current}"
            )
            raise Refusal(msg, code="InvalidArgumentException")
        return first_sequence_at(moment)

    def _read(self, request: GetRecords, stream: StoredStream) -> Mapping[str, Any]:
        position = request.iterator
        now = self._clock.now()
        current = epoch_ms(now)
        shard = stream.shard(position.shard)
        if shard is None:
            msg = "Invalid ShardIterator."
            raise Refusal(msg, code="InvalidArgumentException")
        if current - position.made_ms > ITERATOR_MS:
            msg = (
                f"Iterator expired. The iterator was created at time {_date(position.made_ms)} "
                f"while right now it is {_date(current)} which is further in the future than the "
                f"tolerated delay of {ITERATOR_MS} milliseconds."
            )
            raise Refusal(msg, code="ExpiredIteratorException")
        with self._state.reading() as connection:
            page = records.read(
                connection,
                stream,
                position.shard,
                position.sequence,
                limit=request.limit,
                now=current,
            )
        sequence, behind = position.sequence, 0
        if page.records:
            last = page.records[-1]
            sequence = last.sequence + 1
            if page.more:  # never 0 then: readers stop there
                behind = max(1, current - last.arrived_ms)
        following = evolve(position, sequence=sequence, made_ms=current)
        onward: dict[str, Any] = {"NextShardIterator": following.text}
        if shard.ended is not None and not page.more:
            onward = {"ChildShards": _children(stream, shard)}
        return {
            "Records": [
                {
                    "SequenceNumber": sequence_number(record.sequence, position.shard),
                    "ApproximateArrivalTimestamp": iso8601(from_epoch_ms(record.arrived_ms)),
                    "Data": base64.b64encode(record.data).decode(),
                    "PartitionKey": record.partition_key,
                    "EncryptionType": "NONE",
                }
                for record in page.records
            ],
            **onward,
            "MillisBehindLatest": behind,
        }

    def _shards(self, request: ListShards, stream: StoredStream) -> Mapping[str, Any]:
        shards, more = self._page(request, stream)
        output: dict[str, Any] = {"Shards": shards}
        if more:
            last = shard_number(shards[-1]["ShardId"])
            assert last is not None
            output["NextToken"] = ShardIterator(stream.name, last, 0, 0).text
        return output

    def _describe(self, request: Describe, stream: StoredStream) -> Mapping[str, Any]:
        common = {
            "StreamName": stream.name,
            "StreamARN": self._arn(stream.name),
            "StreamStatus": "ACTIVE",
            "StreamModeDetails": {"StreamMode": "PROVISIONED"},
            "RetentionPeriodHours": stream.settings.retention_hours,
            "StreamCreationTimestamp": iso8601(from_epoch_ms(stream.created_ms)),
            "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
            "EncryptionType": "NONE",
        }
        if request.shards is None:
            summary = {
                **common,
                "OpenShardCount": sum(shard.open for shard in stream.shards()),
                "ConsumerCount": 0,
                "MaxRecordSizeInKiB": stream.settings.max_record_kib,
            }
            return {"StreamDescriptionSummary": summary}
        shards, more = self._page(request.shards, stream)
        return {"StreamDescription": {**common, "Shards": shards, "HasMoreShards": more}}

    def _page(self, request: ListShards, stream: StoredStream) -> tuple[list[dict[str, Any]], bool]:
        after = -1 if request.after is None else self._shard(request.after, stream).number
        shards = [shard for shard in self._listed(request, stream) if shard.number > after]
        return [_described(shard) for shard in shards[: request.limit]], (
            len(shards) > request.limit
        )

    def _listed(self, request: ListShards, stream: StoredStream) -> Sequence[StoredShard]:
        now = epoch_ms(self._clock.now())
        kept = stream.kept(now)
        if request.only == "AT_LATEST":
            return [shard for shard in kept if shard.open]
        if request.only == "AT_TRIM_HORIZON":
            known = {shard.number for shard in kept}
            return [shard for shard in kept if not known.intersection(shard.parents)]
        return kept

    def _list(self, request: ListStreams) -> Mapping[str, Any]:
        names = [name for name in sorted(self._streams) if name > request.after]
        page = names[: request.limit]
        output: dict[str, Any] = {"StreamNames": page, "HasMoreStreams": len(names) > len(page)}
        if output["HasMoreStreams"]:
            output["NextToken"] = page[-1]
        summaries = []
        for name in page:
            stream = self._stream(name, self._streams[name].settings)
            summaries.append(
                {
                    "StreamName": name,
                    "StreamARN": self._arn(name),
                    "StreamStatus": "ACTIVE",
                    "StreamModeDetails": {"StreamMode": "PROVISIONED"},
                    "StreamCreationTimestamp": iso8601(from_epoch_ms(stream.created_ms)),
                }
            )
        return {**output, "StreamSummaries": summaries}

    def _shard(self, name: str, stream: StoredStream) -> StoredShard:
        number = shard_number(name)
        shard = None if number is None else stream.shard(number)
        if shard is None:
            msg = (
                f"Shard {name} in stream {stream.name} under account {self._account} does not exist"
            )
            raise Refusal(msg, code="ResourceNotFoundException")
        return shard

    def _arn(self, name: str) -> str:
        return stream_arn(name, region=self._region, account=self._account)


def _described(shard: StoredShard) -> dict[str, Any]:
    """Return a shard as Kinesis shows it."""
    numbers = {"StartingSequenceNumber": sequence_number(shard.begun, shard.number)}
    if shard.ended is not None:
        numbers["EndingSequenceNumber"] = sequence_number(shard.ended, shard.number)
    described: dict[str, Any] = {
        "ShardId": shard_id(shard.number),
        "HashKeyRange": _range(shard),
        "SequenceNumberRange": numbers,
    }
    for name, parent in zip(
        ("ParentShardId", "AdjacentParentShardId"), shard.parents, strict=False
    ):
        described[name] = shard_id(parent)
    return described


def _children(stream: StoredStream, parent: StoredShard) -> list[dict[str, Any]]:
    """Return the shards that a closed one became."""
    return [
        {
            "ShardId": shard_id(shard.number),
            "ParentShards": [shard_id(one) for one in shard.parents],
            "HashKeyRange": _range(shard),
        }
        for shard in stream.shards()
        if parent.number in shard.parents
    ]


def _range(shard: StoredShard) -> dict[str, str]:
    return {"StartingHashKey": str(shard.first_hash), "EndingHashKey": str(shard.last_hash)}


def _check_ordering(after: str | None, stream: StoredStream) -> None:
    """Refuse a number that no record of the stream has: every next one is greater anyway."""
    if after is None:
        return
    sequence = sequence_in_any_shard(after)
    if sequence is None or not stream.first_sequence <= sequence <= stream.sequence:
        msg = (
            f"ExclusiveMinimumSequenceNumber {after} used in PutRecord on stream {stream.name} is "
            "invalid: it is the number of no record of this stream."
        )
        raise Refusal(msg, code="InvalidArgumentException")


def _date(milliseconds: int) -> str:
    return f"{from_epoch_ms(milliseconds):%a %b %d %H:%M:%S UTC %Y}"
