"""Kinesis' operations on the state folder."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from service_bench import Bench

from faaskit.exceptions import DefinitionError, ServiceError
from faaskit.gate.service import Refusal
from faaskit.names import stream_arn
from faaskit.resources.kinesis.iterators import ShardIterator
from faaskit.resources.kinesis.service import KinesisService
from faaskit.resources.kinesis.shards import (
    HASH_KEYS,
    hash_key,
    hash_range,
    next_sequence,
    sequence_in_any_shard,
    sequence_number,
    sequence_of,
    shard_of,
)

_FIRST = "shardId-000000000000"
_HERE = {"StreamName": "clicks"}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A service with a stream of one shard."""
    made = Bench(tmp_path, "kinesis")
    made.app.stream("clicks")
    yield made
    made.app.close()


def _put(bench: Bench, text: str, key: str = "k", **parameters: Any) -> Any:
    data = base64.b64encode(text.encode()).decode()
    return bench.call("PutRecord", **_HERE, Data=data, PartitionKey=key, **parameters)


def _iterator(bench: Bench, kind: str = "TRIM_HORIZON", **parameters: Any) -> str:
    output = bench.call(
        "GetShardIterator", **_HERE, ShardId=_FIRST, ShardIteratorType=kind, **parameters
    )
    return str(output["ShardIterator"])


def _read(bench: Bench, iterator: str, **parameters: Any) -> list[str]:
    output = bench.call("GetRecords", ShardIterator=iterator, **parameters)
    return [base64.b64decode(record["Data"]).decode() for record in output["Records"]]


@given(shards=st.integers(1, 1000), key=st.integers(0, HASH_KEYS - 1))
def test_every_hash_key_has_one_shard(shards: int, key: int) -> None:
    """The ranges lie side by side, from 0 to 2**128 - 1."""
    shard = shard_of(key, shards)
    first, last = hash_range(shard, shards)
    assert first <= key <= last
    assert shard_of(first, shards) == shard_of(last, shards) == shard
    assert last == HASH_KEYS - 1 or hash_range(shard + 1, shards)[0] == last + 1


def test_hash_key_is_the_md5() -> None:
    """Of the key's UTF-8, as a number."""
    assert hash_key("a") == int("0cc175b9c0f1b6a831c399e269772661", 16)


@given(
    one=st.integers(0, (1 << 63) - 1),
    other=st.integers(0, (1 << 63) - 1),
    shard=st.integers(0, 999),
)
def test_sequence_numbers(one: int, other: int, shard: int) -> None:
    """Of 56 digits, in the order of the sequences, and back again."""
    number, second = sequence_number(one, shard), sequence_number(other, shard)
    assert len(number) == 56
    assert (number < second) == (one < other)
    assert sequence_of(number, shard) == sequence_in_any_shard(number) == one
    assert sequence_of(number, shard + 1) is None


@given(st.integers(0, (1 << 63) - 2), st.integers(0, 1 << 60))
def test_sequences_grow_whatever_the_time_is(last: int, now: int) -> None:
    """And stay what SQLite can store."""
    assert last < next_sequence(last, now) < 1 << 63


def test_records_come_in_their_order(bench: Bench) -> None:
    """With AWS's members, from every kind of iterator."""
    puts = [_put(bench, text) for text in "abc"]
    assert puts[0].keys() == {"ShardId", "SequenceNumber", "EncryptionType"}
    numbers = [put["SequenceNumber"] for put in puts]
    latest = _iterator(bench, "LATEST")
    bench.clock.advance(seconds=60)
    _put(bench, "d")
    output = bench.call("GetRecords", ShardIterator=_iterator(bench))
    assert output["Records"][0] == {
        "SequenceNumber": numbers[0],
        "ApproximateArrivalTimestamp": "2026-01-01T00:00:00.000Z",
        "Data": "YQ==",
        "PartitionKey": "k",
        "EncryptionType": "NONE",
    }
    assert _read(bench, _iterator(bench)) == ["a", "b", "c", "d"]
    at = {"StartingSequenceNumber": numbers[1]}
    assert _read(bench, _iterator(bench, "AT_SEQUENCE_NUMBER", **at)) == ["b", "c", "d"]
    assert _read(bench, _iterator(bench, "AFTER_SEQUENCE_NUMBER", **at)) == ["c", "d"]
    assert _read(bench, latest) == ["d"]
    for moment, expected in (
        ("2025-12-31T00:00:00Z", ["a", "b", "c", "d"]),
        ("2026-01-01T00:00:00Z", ["a", "b", "c", "d"]),
        ("2026-01-01T00:00:00.001Z", ["d"]),
        ("2026-01-01T01:01:00+01:00", ["d"]),
    ):
        assert _read(bench, _iterator(bench, "AT_TIMESTAMP", Timestamp=moment)) == expected


def test_reader_goes_on_where_it_was(bench: Bench) -> None:
    """A page at a time, told how far behind it is, and never told 0 too early."""
    for text in "abcde":
        _put(bench, text)
    bench.clock.advance(seconds=7)
    iterator, read, behind = _iterator(bench), [], []
    for _ in range(4):
        output = bench.call("GetRecords", ShardIterator=iterator, Limit=2)
        iterator = output["NextShardIterator"]
        read.append(len(output["Records"]))
        behind.append(output["MillisBehindLatest"])
    assert read == [2, 2, 1, 0]
    assert behind == [7000, 7000, 0, 0]
    _put(bench, "f")
    _put(bench, "g")
    output = bench.call("GetRecords", ShardIterator=iterator, Limit=1)
    assert output["MillisBehindLatest"] == 1
    assert _read(bench, output["NextShardIterator"]) == ["g"]


def test_page_ends_at_ten_mebibytes(tmp_path: Path) -> None:
    """Or after one record that is larger."""
    bench = Bench(tmp_path, "kinesis")
    with bench.app:
        stream = bench.app.stream("clicks", max_record_kib=10_240)
        sizes = [(10 << 20) - 1, 4 << 20, 6 << 20, 1]
        stream.put_many([(bytes(size), "k") for size in sizes])
        pages, iterator = [], _iterator(bench)
        for _ in range(3):
            output = bench.call("GetRecords", ShardIterator=iterator)
            pages.append([len(base64.b64decode(one["Data"])) for one in output["Records"]])
            iterator = output["NextShardIterator"]
        assert pages == [sizes[:1], sizes[1:3], sizes[3:]]


def test_iterator_is_good_for_five_minutes(bench: Bench) -> None:
    """Then it has expired, in AWS's words."""
    iterator = _iterator(bench)
    bench.clock.advance(minutes=5)
    assert _read(bench, iterator) == []
    bench.clock.advance(milliseconds=1)
    failure = bench.failure("GetRecords", ShardIterator=iterator)
    assert failure.code == "ExpiredIteratorException"
    assert failure.message == (
        "Iterator expired. The iterator was created at time Thu Jan 01 00:00:00 UTC 2026 while "
        "right now it is Thu Jan 01 00:05:00 UTC 2026 which is further in the future than the "
        "tolerated delay of 300000 milliseconds."
    )


def test_records_are_kept_for_a_day(bench: Bench) -> None:
    """By the clock; the next put to the shard removes them from the disk."""
    _put(bench, "old")
    bench.clock.advance(hours=24, milliseconds=-1)
    assert _read(bench, _iterator(bench)) == ["old"]
    bench.clock.advance(milliseconds=1)
    assert _read(bench, _iterator(bench)) == []
    _put(bench, "new")
    with bench.app._state.reading() as connection:
        assert connection.execute("SELECT COUNT(*) FROM records").fetchone() == (1,)


def test_key_chooses_the_shard(bench: Bench) -> None:
    """By its MD5, or by the hash key that the caller gives."""
    bench.app.stream("wide", shards=4)
    shards = bench.call("ListShards", StreamName="wide")["Shards"]
    bounds = [shard["HashKeyRange"] for shard in shards]
    assert bounds[0]["StartingHashKey"] == "0"
    assert bounds[-1]["EndingHashKey"] == str(HASH_KEYS - 1)
    for shard in shards:
        for bound in shard["HashKeyRange"].values():
            put = bench.call(
                "PutRecord", StreamName="wide", Data="", PartitionKey="k", ExplicitHashKey=bound
            )
            assert put["ShardId"] == shard["ShardId"]
    placed = bench.app.stream("wide").put("x", "a")  # 0x0cc1…
    assert placed.shard_id == _FIRST


def test_description(bench: Bench) -> None:
    """Of the stream and of its shards, in pages where the caller asks for them."""
    bench.app.stream("wide", shards=5, retention_hours=48, max_record_kib=2048)
    summary = bench.call("DescribeStreamSummary", StreamName="wide")["StreamDescriptionSummary"]
    assert summary == {
        "StreamName": "wide",
        "StreamARN": stream_arn("wide"),
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": {"StreamMode": "PROVISIONED"},
        "RetentionPeriodHours": 48,
        "StreamCreationTimestamp": "2026-01-01T00:00:00.000Z",
        "EnhancedMonitoring": [{"ShardLevelMetrics": []}],
        "EncryptionType": "NONE",
        "OpenShardCount": 5,
        "ConsumerCount": 0,
        "MaxRecordSizeInKiB": 2048,
    }
    whole = bench.call("DescribeStream", StreamARN=stream_arn("wide"))["StreamDescription"]
    ids = [shard["ShardId"] for shard in whole["Shards"]]
    assert ids == [f"shardId-{number:012d}" for number in range(5)]
    assert not whole["HasMoreShards"]
    page = bench.call("DescribeStream", StreamName="wide", Limit=2)["StreamDescription"]
    assert page["HasMoreShards"]
    after = {"ExclusiveStartShardId": page["Shards"][-1]["ShardId"]}
    rest = bench.call("DescribeStream", StreamName="wide", **after)["StreamDescription"]
    assert [*page["Shards"], *rest["Shards"]] == whole["Shards"]
    listed: list[str] = []
    parameters: dict[str, Any] = {"StreamName": "wide"}
    while parameters:
        output = bench.call("ListShards", MaxResults=2, **parameters)
        listed += [shard["ShardId"] for shard in output["Shards"]]
        parameters = {"NextToken": output["NextToken"]} if "NextToken" in output else {}
    assert listed == ids
    page = bench.call("ListStreams", Limit=1)
    assert (page["StreamNames"], page["HasMoreStreams"]) == (["clicks"], True)
    rest = bench.call("ListStreams", NextToken=page["NextToken"])
    assert (rest["StreamNames"], rest["HasMoreStreams"]) == (["wide"], False)


def test_put_records_is_one_write(bench: Bench) -> None:
    """All of them or, where one is refused, none."""
    entries = [{"Data": "", "PartitionKey": str(index)} for index in range(500)]
    output = bench.call("PutRecords", **_HERE, Records=entries)
    numbers = [int(record["SequenceNumber"]) for record in output["Records"]]
    assert output["FailedRecordCount"] == 0
    assert numbers == sorted(set(numbers))
    too_large = {"Data": base64.b64encode(bytes(1 << 20)).decode(), "PartitionKey": "k"}
    failure = bench.failure("PutRecords", **_HERE, Records=[entries[0], too_large])
    assert failure.code == "ValidationException"
    assert "'records.2.member.data'" in failure.message
    assert len(_read(bench, _iterator(bench))) == 500


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("PutRecord", {"Data": "YQ=", "PartitionKey": "k"}, "ValidationException"),
        ("PutRecord", {"Data": "YQ==", "PartitionKey": ""}, "ValidationException"),
        ("PutRecord", {"Data": "YQ==", "PartitionKey": "k" * 257}, "ValidationException"),
        ("PutRecord", {"Data": "YQ=="}, "ValidationException"),
        ("PutRecord", {"PartitionKey": "k"}, "ValidationException"),
        (
            "PutRecord",
            {"Data": "", "PartitionKey": "k", "ExplicitHashKey": "00"},
            "ValidationException",
        ),
        (
            "PutRecord",
            {"Data": "", "PartitionKey": "k", "ExplicitHashKey": str(HASH_KEYS)},
            "InvalidArgumentException",
        ),
        (
            "PutRecord",
            {"Data": "", "PartitionKey": "k", "SequenceNumberForOrdering": "1"},
            "InvalidArgumentException",
        ),
        ("PutRecord", {"Data": "", "PartitionKey": "k", "DryRun": True}, "NotImplemented"),
        ("PutRecords", {"Records": []}, "ValidationException"),
        ("PutRecords", {}, "ValidationException"),
        (
            "PutRecords",
            {"Records": [{"Data": "A" * (4 << 20), "PartitionKey": "k"}] * 4},
            "InvalidArgumentException",
        ),
        ("GetShardIterator", {"ShardIteratorType": "LATEST"}, "ValidationException"),
        (
            "GetShardIterator",
            {"ShardId": _FIRST, "ShardIteratorType": "NEWEST"},
            "ValidationException",
        ),
        (
            "GetShardIterator",
            {"ShardId": "shardId-000000000001", "ShardIteratorType": "LATEST"},
            "ResourceNotFoundException",
        ),
        (
            "GetShardIterator",
            {"ShardId": _FIRST, "ShardIteratorType": "AT_SEQUENCE_NUMBER"},
            "InvalidArgumentException",
        ),
        (
            "GetShardIterator",
            {
                "ShardId": _FIRST,
                "ShardIteratorType": "AT_SEQUENCE_NUMBER",
                "StartingSequenceNumber": sequence_number(1, 0),
            },
            "InvalidArgumentException",
        ),
        (
            "GetShardIterator",
            {"ShardId": _FIRST, "ShardIteratorType": "AT_TIMESTAMP"},
            "InvalidArgumentException",
        ),
        (
            "GetShardIterator",
            {
                "ShardId": _FIRST,
                "ShardIteratorType": "AT_TIMESTAMP",
                "Timestamp": "2026-01-01T00:00:01Z",
            },
            "InvalidArgumentException",
        ),
        (
            "GetShardIterator",
            {
                "ShardId": _FIRST,
                "ShardIteratorType": "AT_TIMESTAMP",
                "Timestamp": "2026-01-01T00:00:00",
            },
            "ValidationException",
        ),
        (
            "ListShards",
            {"NextToken": ShardIterator("clicks", 0, 0, 0).text},
            "InvalidArgumentException",
        ),
        ("ListShards", {"ShardFilter": {"Type": "AFTER_SHARD_ID"}}, "NotImplemented"),
        ("UpdateShardCount", {"ShardToSplit": _FIRST}, "NotImplemented"),
    ],
)
def test_what_is_refused(
    bench: Bench, operation: str, parameters: dict[str, Any], code: str
) -> None:
    """With AWS's codes; what has no effect here names moto."""
    failure = bench.failure(operation, **_HERE, **parameters)
    assert failure.code == code
    assert ('aws="moto"' in failure.message) == (code == "NotImplemented")


def test_iterator_reads_its_own_stream_alone(bench: Bench) -> None:
    """One stream's ARN, which a role may be allowed, opens no other stream."""
    bench.app.stream("secret").put("x", "k")
    iterator = ShardIterator("secret", 0, 0, 1767225600000)
    allowed = {"ShardIterator": iterator.text, "StreamARN": stream_arn("clicks")}
    assert bench.code("GetRecords", **allowed) == "InvalidArgumentException"
    call = {"ShardIterator": iterator.text}
    assert bench.owns("GetRecords", **call)
    assert isinstance(bench.service, KinesisService)
    assert bench.service.stream_of(iterator.text) == stream_arn("secret")
    for forged in (
        "",
        "x",
        "é",
        base64.urlsafe_b64encode(b"[" * 300).decode(),
        base64.urlsafe_b64encode(b'["clicks",0,-1,0]').decode(),
        base64.urlsafe_b64encode(b'["clicks",0,true,0]').decode(),
        "A" * 513,
        ShardIterator("clicks", 7, 0, 1767225600000).text,
    ):
        assert bench.code("GetRecords", ShardIterator=forged) == "InvalidArgumentException"
    for limit, code in ((0, "ValidationException"), (10_001, "InvalidArgumentException")):
        assert bench.code("GetRecords", ShardIterator=_iterator(bench), Limit=limit) == code


def _call(operation: str, **parameters: Any) -> Any:
    from faaskit.runtimes.contract import ServiceCall

    return ServiceCall("kinesis", operation, parameters)


def test_whose_a_stream_is(bench: Bench) -> None:
    """By name or ARN; both must say the same; another region's or account's is not there."""
    arn = stream_arn("clicks")
    for parameters, mine in (
        (_HERE, True),
        ({"StreamARN": arn}, True),
        ({**_HERE, "StreamARN": arn}, True),
        ({"StreamName": "others"}, False),
        ({"StreamARN": arn.replace("us-east-1", "eu-west-1")}, False),
        ({"StreamARN": arn.replace("123456789012", "210987654321")}, False),
        ({"StreamARN": f"{arn}s"}, False),
        ({"StreamName": "others", "StreamARN": arn}, False),
        ({}, False),
    ):
        assert bench.owns("DescribeStreamSummary", **parameters) is mine
        if mine:
            bench.call("DescribeStreamSummary", **parameters)
        else:
            assert bench.code("DescribeStreamSummary", **parameters) in {
                "InvalidArgumentException",
                "ResourceNotFoundException",
            }
    assert not bench.owns("DescribeStreamSummary", "eu-west-1", **_HERE)
    failure = bench.failure("DescribeStreamSummary", "eu-west-1", **_HERE)
    assert failure.message == "Stream clicks under account 123456789012 not found."


_STRANGE: list[Any] = [7, True, 1.5, [], {}, "\ud800", ["x"], {"x": "y"}, [[[]]], "x" * 100_000]


@pytest.mark.parametrize("value", _STRANGE, ids=repr)
@pytest.mark.parametrize(
    ("operation", "name"),
    [
        ("PutRecord", "StreamName"),
        ("PutRecord", "StreamARN"),
        ("PutRecord", "Data"),
        ("PutRecord", "PartitionKey"),
        ("PutRecord", "ExplicitHashKey"),
        ("PutRecords", "Records"),
        ("GetShardIterator", "ShardId"),
        ("GetShardIterator", "Timestamp"),
        ("GetShardIterator", "StartingSequenceNumber"),
        ("GetRecords", "ShardIterator"),
        ("ListShards", "NextToken"),
        ("ListShards", "ShardFilter"),
        ("DescribeStream", "ExclusiveStartShardId"),
        ("ListStreams", "Limit"),
    ],
)
def test_nothing_that_comes_in_is_more_than_refused(
    bench: Bench, operation: str, name: str, value: Any
) -> None:
    """Of any type: an answer or a refusal, never an exception of another kind."""
    base: dict[str, Any] = {
        "PutRecord": {**_HERE, "Data": "", "PartitionKey": "k"},
        "GetShardIterator": {**_HERE, "ShardId": _FIRST, "ShardIteratorType": "AT_TIMESTAMP"},
        "ListStreams": {},
    }.get(operation, _HERE)
    bench.owns(operation, **{**base, name: value})
    with contextlib.suppress(Refusal):
        bench.call(operation, **{**base, name: value})


def test_shards_are_not_changed_under_records(tmp_path: Path) -> None:
    """Their order would not hold; once they are too old, the stream begins anew."""
    bench = Bench(tmp_path, "kinesis")
    with bench.app:
        first = bench.app.stream("clicks", shards=2).put("x", "k")
    bench = Bench(tmp_path, "kinesis")
    with bench.app:
        stream = bench.app.stream("clicks", shards=3)
        with pytest.raises(DefinitionError, match="has 1 records of it in 2"):
            stream.put("y", "k")
        bench.clock.advance(hours=24)
        second = stream.put("y", "k")
        assert second.sequence_number > first.sequence_number
        assert [record.data for record in stream.read()] == [b"y"]


def test_handle(bench: Bench) -> None:
    """Puts one or many, and reads them back."""
    stream = bench.app.stream("wide", shards=3)
    assert stream.arn == stream_arn("wide")
    placed = stream.put(b"one", "a")
    many = stream.put_many((str(number), f"k{number % 7}") for number in range(1100))
    assert len(many) == 1100
    assert all(int(one.sequence_number) > int(placed.sequence_number) for one in many)
    records = list(stream.read())
    assert len(records) == 1101
    by_key: dict[str, list[int]] = {}
    for record in records:
        if record.partition_key != "a":
            by_key.setdefault(record.partition_key, []).append(int(record.data))
    assert sum(map(len, by_key.values())) == 1100
    assert all(numbers == sorted(numbers) for numbers in by_key.values())
    assert stream.put_many([]) == []
    assert stream.put("x", "k", explicit_hash_key=HASH_KEYS - 1).shard_id.endswith("2")
    with pytest.raises(ServiceError):
        stream.put("x", "")
    with pytest.raises(TypeError):
        stream.put(7, "k")  # type: ignore[arg-type]


def test_declared_once(bench: Bench) -> None:
    """The same each time; other settings, or ones that Kinesis does not take, are refused."""
    app = bench.app
    stream = app.stream("s", shards=2)
    assert app.stream("s") is app.stream("s", shards=2) is app.streams["s"] is stream
    with pytest.raises(DefinitionError, match="other settings already"):
        app.stream("s", shards=3)
    with pytest.raises(DefinitionError, match="Kinesis takes 1 to 1000"):
        app.stream("t", shards=0)
    with pytest.raises(DefinitionError, match="1 to 128 characters"):
        app.stream("t t")
