"""A Kinesis elsewhere, as an App's calls see it: small pages, faults, shards that divide."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timezone
from typing import Any

from attrs import define, field

from faaskit.runtimes.contract import ServiceCall, ServiceFailure, ServiceReply

__all__ = ["ARN", "FarKinesis"]

ARN = "arn:aws:kinesis:eu-west-1:210987654321:stream/far"


class _TrimmedError(Exception):
    """What follows on a number is not kept any more."""


class _MissingError(Exception):
    """There is no such shard."""


class _ExpiredError(Exception):
    """An iterator is too old."""


@define
class _Shard:
    parents: list[str]
    closed: bool = False
    records: list[dict[str, Any]] = field(factory=list)


@define(slots=False)
class FarKinesis:
    """
    A stream.

    Attributes:
        page: How many records a read returns, at the most.
        faults: The codes that the next calls fail with; None: that one succeeds.
        empty: So many reads return nothing, though there is something.
        iterators: Those of another number have expired.
        calls: The operations that were asked.
        read: The shards that were read.
    """

    created: str = "2026-01-01T00:00:00Z"
    page: int = 3
    faults: list[str | None] = field(factory=list)
    empty: int = 0
    iterators: int = 0
    calls: list[str] = field(factory=list)
    read: list[str] = field(factory=list)
    shards: dict[str, _Shard] = field(factory=dict)
    _number: int = 10**55
    _added: int = 0

    def __attrs_post_init__(self) -> None:
        self.add_shard()

    # --- the owner's side ---------------------------------------------------------------

    def add_shard(self, *parents: str) -> str:
        """Add a shard, and return its id; its parents are closed."""
        name = f"shardId-{self._added:012d}"
        self._added += 1
        for parent in parents:
            self.shards[parent].closed = True
        self.shards[name] = _Shard([*parents])
        return name

    @property
    def open(self) -> list[str]:
        """The shards that are not closed."""
        return [name for name, shard in self.shards.items() if not shard.closed]

    def put(self, text: str, *, shard: str = "", key: str = "k", moment: str = "") -> None:
        """Put a record into an open shard."""
        self._number += 7
        self.shards[shard or self.open[0]].records.append(
            {
                "SequenceNumber": str(self._number),
                "ApproximateArrivalTimestamp": moment or "2026-01-01T00:00:00Z",
                "Data": base64.b64encode(text.encode()).decode(),
                "PartitionKey": key,
            }
        )

    # --- what is called -----------------------------------------------------------------

    def answer(self, call: ServiceCall) -> ServiceReply:
        """Answer a call, or fail as told."""
        self.calls.append(call.operation)
        assert call.region == "eu-west-1"
        code = self.faults.pop(0) if self.faults else None
        if code is not None:
            return ServiceReply(failure=ServiceFailure(code, f"{call.operation} failed"))
        try:
            return ServiceReply(getattr(self, f"_{call.operation}")(call.parameters))
        except _MissingError:
            return ServiceReply(failure=ServiceFailure("ResourceNotFoundException", "no shard"))
        except _TrimmedError:
            return ServiceReply(failure=ServiceFailure("TrimmedDataAccessException", "too old"))
        except _ExpiredError:
            return ServiceReply(failure=ServiceFailure("ExpiredIteratorException", "too old"))

    def _shard(self, name: str) -> _Shard:
        if name not in self.shards:
            raise _MissingError
        return self.shards[name]

    def _DescribeStreamSummary(self, given: Any) -> Any:  # noqa: N802 - AWS's names
        assert given == {"StreamARN": ARN}
        told = {"StreamCreationTimestamp": self.created, "RetentionPeriodHours": 24}
        return {"StreamDescriptionSummary": told}

    def _ListShards(self, given: Any) -> Any:  # noqa: N802
        """Two a page."""
        names = list(self.shards)
        first = int(given.get("NextToken", 0))
        found = []
        for name in names[first : first + 2]:
            shard = self.shards[name]
            one: dict[str, Any] = {"ShardId": name, "SequenceNumberRange": {}}
            if shard.closed:
                one["SequenceNumberRange"]["EndingSequenceNumber"] = "1"
            members = ("ParentShardId", "AdjacentParentShardId")
            one |= dict(zip(members, shard.parents, strict=False))
            found.append(one)
        more = {"NextToken": str(first + 2)} if first + 2 < len(names) else {}
        return {"Shards": found, **more}

    def _GetShardIterator(self, given: Any) -> Any:  # noqa: N802
        records = self._shard(given["ShardId"]).records
        kind = given["ShardIteratorType"]
        at = 0
        if kind == "AFTER_SEQUENCE_NUMBER":
            after = int(given["StartingSequenceNumber"])
            if records and after < int(records[0]["SequenceNumber"]) - 7:
                # Kinesis begins at what it has still; DynamoDB Streams says so.
                raise _TrimmedError
            at = sum(int(one["SequenceNumber"]) <= after for one in records)
        elif kind == "AT_TIMESTAMP":
            moment = datetime.fromisoformat(given["Timestamp"]).astimezone(timezone.utc)
            text = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
            at = sum(one["ApproximateArrivalTimestamp"] < text for one in records)
        return {"ShardIterator": json.dumps([self.iterators, given["ShardId"], at])}

    def _GetRecords(self, given: Any) -> Any:  # noqa: N802
        iterators, name, at = json.loads(given["ShardIterator"])
        if iterators != self.iterators:
            raise _ExpiredError
        shard = self._shard(name)
        self.read.append(name)
        count = 0 if self.empty else self.page
        self.empty = max(0, self.empty - 1)
        found = shard.records[at : at + count]
        at += len(found)
        left = len(shard.records) - at
        output = {"Records": found, "MillisBehindLatest": left}
        if left or not shard.closed:
            output["NextShardIterator"] = json.dumps([iterators, name, at])
        return output
