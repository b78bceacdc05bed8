"""What is asked of Kinesis and DynamoDB Streams, and how their answers are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from faaskit.events.mappings.remote.services import Kinesis, RemoteShard, TableStreams
from faaskit.exceptions import ServiceError
from faaskit.runtimes.contract import ServiceCall, ServiceFailure, ServiceReply

_TABLE = "arn:aws:dynamodb:eu-west-1:210987654321:table/orders"
_STREAM = f"{_TABLE}/stream/2026-01-01T00:00:00.000"
_CLICKS = "arn:aws:kinesis:eu-west-1:210987654321:stream/clicks"


class _Script:
    """Answers calls in turn, and keeps them."""

    def __init__(self, *answers: Mapping[str, Any] | ServiceFailure) -> None:
        self._answers = list(answers)
        self.calls: list[ServiceCall] = []

    def __call__(self, call: ServiceCall) -> ServiceReply:
        self.calls.append(call)
        answer = self._answers.pop(0)
        if isinstance(answer, ServiceFailure):
            return ServiceReply(failure=answer)
        return ServiceReply(answer)

    @property
    def asked(self) -> list[tuple[str, str, dict[str, Any]]]:
        """What was called."""
        return [(one.service, one.operation, dict(one.parameters)) for one in self.calls]


def _page(*shards: dict[str, Any], last: str | None = None) -> dict[str, Any]:
    description: dict[str, Any] = {
        "Shards": list(shards),
        "KeySchema": [
            {"AttributeName": "id", "KeyType": "HASH"},
            {"AttributeName": "at", "KeyType": "RANGE"},
        ],
        "CreationRequestDateTime": "2026-01-01T00:00:00Z",
    }
    if last is not None:
        description["LastEvaluatedShardId"] = last
    return {"StreamDescription": description}


def _shard(name: str, *, parent: str | None = None, ended: bool = False) -> dict[str, Any]:
    numbers = {"StartingSequenceNumber": "1"}
    if ended:
        numbers["EndingSequenceNumber"] = "2"
    shard: dict[str, Any] = {"ShardId": name, "SequenceNumberRange": numbers}
    return shard if parent is None else {**shard, "ParentShardId": parent}


def _change(at: str = "now", **more: Any) -> dict[str, Any]:
    return {
        "eventID": "1",
        "eventName": "REMOVE",
        "eventSource": "aws:dynamodb",
        "dynamodb": {
            "ApproximateCreationDateTime": "2026-01-01T00:00:01.750000Z",
            "Keys": {"id": {"S": "one"}, "at": {"S": at}},
            "SequenceNumber": f"10{at}",
        },
        **more,
    }


def test_shards_of_a_table() -> None:
    """Of its latest stream, over all pages, those that came first at the front."""
    script = _Script(
        {"Table": {"LatestStreamArn": _STREAM}},
        _page(_shard("shardId-2", parent="shardId-1"), last="shardId-2"),
        _page(_shard("shardId-1", ended=True)),
    )
    listing = TableStreams(script, _TABLE).list()
    assert listing.arn == _STREAM
    assert listing.shards == [
        RemoteShard("shardId-1", []),
        RemoteShard("shardId-2", ["shardId-1"]),
    ]
    assert listing.retention_ms == 24 * 3600 * 1000
    assert listing.created
    assert script.asked == [
        ("dynamodb", "DescribeTable", {"TableName": "orders"}),
        ("dynamodbstreams", "DescribeStream", {"StreamArn": _STREAM}),
        (
            "dynamodbstreams",
            "DescribeStream",
            {"StreamArn": _STREAM, "ExclusiveStartShardId": "shardId-2"},
        ),
    ]
    assert {one.region for one in script.calls} == {"eu-west-1"}


def test_a_table_without_a_stream() -> None:
    """Says what to do."""
    with pytest.raises(ServiceError, match="enable one"):
        TableStreams(_Script({"Table": {}}), _TABLE).list()


@pytest.mark.parametrize(
    ("after", "wanted"),
    [
        (None, {"ShardIteratorType": "TRIM_HORIZON"}),
        ("7", {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": "7"}),
    ],
)
def test_an_iterator_of_a_table(after: str | None, wanted: dict[str, str]) -> None:
    """There is none that begins at a time: what is too early is read over."""
    script = _Script({"ShardIterator": "it"})
    found = TableStreams(script, _STREAM).iterator(_STREAM, "s", after=after, begin_ms=5)
    assert found == "it"
    given = {"StreamArn": _STREAM, "ShardId": "s", **wanted}
    assert script.asked == [("dynamodbstreams", "GetShardIterator", given)]


def test_changes_of_a_table() -> None:
    """In Lambda's form: whole seconds, the stream's ARN, and who did it, by Lambda's names."""
    who = {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    script = _Script(
        _page(_shard("s")),
        {"Records": [_change(userIdentity=who), _change("later")], "NextShardIterator": "next"},
        {"Records": []},
    )
    service = TableStreams(script, _STREAM)
    service.list()
    found = service.read(_STREAM, "s", "it")
    first, second = found.records
    assert first.arrived_ms == 1_767_225_601_750
    assert first.number == "10now"
    assert first.entry["dynamodb"]["ApproximateCreationDateTime"] == 1_767_225_601.0
    assert first.entry["eventSourceARN"] == _STREAM
    assert first.entry["userIdentity"] == {
        "principalId": "dynamodb.amazonaws.com",
        "type": "Service",
    }
    assert "userIdentity" not in second.entry
    assert first.slot == second.slot  # of one partition key
    assert found.next == "next"
    assert service.read(_STREAM, "s", "next").next is None


def test_shards_of_a_stream() -> None:
    """With both parents of one that was joined of two; pages go on by their token alone."""
    joined = {**_shard("shardId-2", parent="shardId-0"), "AdjacentParentShardId": "shardId-1"}
    summary = {"StreamCreationTimestamp": "2026-01-01T00:00:00Z", "RetentionPeriodHours": 48}
    script = _Script(
        {"StreamDescriptionSummary": summary},
        {"Shards": [joined, _shard("shardId-0", ended=True)], "NextToken": "more"},
        {"Shards": [_shard("shardId-1", ended=True)]},
    )
    listing = Kinesis(script, _CLICKS).list()
    assert [one.id for one in listing.shards] == ["shardId-0", "shardId-1", "shardId-2"]
    assert listing.shards[2].parents == ["shardId-0", "shardId-1"]
    assert listing.retention_ms == 48 * 3600 * 1000
    assert script.asked[1:] == [
        ("kinesis", "ListShards", {"StreamARN": _CLICKS}),
        ("kinesis", "ListShards", {"NextToken": "more"}),
    ]


def test_keys_of_a_stream_are_told_apart() -> None:
    """Records of one key have one slot, whatever shard they are read of."""
    records = [
        {
            "SequenceNumber": str(number),
            "ApproximateArrivalTimestamp": "2026-01-01T00:00:00+00:00",
            "Data": "YQ==",
            "PartitionKey": key,
        }
        for number, key in enumerate("aab")
    ]
    script = _Script({"Records": records, "NextShardIterator": "it", "MillisBehindLatest": 5})
    found = Kinesis(script, _CLICKS).read(_CLICKS, "s", "it")
    slots = [one.slot for one in found.records]
    assert slots[0] == slots[1] != slots[2]
    assert found.behind


def test_a_failure_has_its_code() -> None:
    """For who asked to decide by."""
    script = _Script(ServiceFailure("ExpiredIteratorException", "too old"))
    with pytest.raises(ServiceError) as caught:
        Kinesis(script, _CLICKS).read(_CLICKS, "s", "it")
    assert caught.value.code == "ExpiredIteratorException"
