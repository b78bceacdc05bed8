"""
Sequences of Kinesis' calls, side by side on moto and on the app's own streams; and PutEvents.

What is left out is what the two are known to differ in: docs/differences.md lists it.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from moto_peer import ACCOUNT, REGION, Peers, peers

from faaskit.app import App
from faaskit.clock import from_epoch_ms, iso8601
from faaskit.resources.eventbridge.service import EventsService
from faaskit.resources.kinesis.service import KinesisService

_SHARDS = 3
_NAME = "clicks"
_ARN = f"arn:aws:kinesis:{REGION}:{ACCOUNT}:stream/{_NAME}"
# An iterator is good for five minutes here, and for ever in moto.
_FRESH_MS = 299_000

_datas = st.binary(max_size=20).map(lambda data: base64.b64encode(data).decode())
_keys = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)
# moto's shards lack their last hash key.
_hash_keys = st.none() | st.integers(0, (1 << 128) - 1).filter(
    lambda key: (key + 1) % ((1 << 128) // _SHARDS) > 1
).map(str)
_places = st.sampled_from([{"StreamName": _NAME}, {"StreamARN": _ARN}])


@pytest.fixture(scope="module")
def both() -> Iterator[Peers]:
    """Lend both."""
    with peers("kinesis") as made:
        yield made


class _Machine(RuleBasedStateMachine):
    """Both, with what tells their sequence numbers and iterators apart."""

    both: Peers

    @initialize()
    def begin(self) -> None:
        self.both.reset()
        self.folder = tempfile.TemporaryDirectory(prefix="peer-")
        self.app = App("peer", state=self.folder.name, clock=self.both.clock)
        self.app.stream(_NAME, shards=_SHARDS)
        self.both.service = KinesisService(
            self.app._state,
            streams=self.app.streams,
            clock=self.both.clock,
            region=REGION,
            account=ACCOUNT,
        )
        code, _ = self.both.moto("CreateStream", StreamName=_NAME, ShardCount=_SHARDS)
        assert not code
        self.numbers: dict[str, str] = {}  # ours to moto's
        self.put: list[tuple[str, str]] = []  # shard, and number of ours
        self.iterators: list[tuple[str, str, int]] = []  # ours, moto's, when
        # A stream of ours is there from its first use on.
        self._call("DescribeStreamSummary", StreamName=_NAME)

    def teardown(self) -> None:
        if hasattr(self, "app"):
            self.app.close()
            self.folder.cleanup()

    def _call(self, operation: str, **parameters: Any) -> tuple[str, Any, Any]:
        """Call both; return the code that they share, and both outputs."""
        ours, output = self.both.ours(operation, **parameters)
        theirs, expected = self.both.moto(operation, **parameters)
        assert ours == theirs, (operation, parameters, output, expected)
        self.both.tick()
        return ours, output, expected

    def _put(self, mine: dict[str, Any], theirs: dict[str, Any]) -> None:
        assert mine["ShardId"] == theirs["ShardId"]
        number = mine["SequenceNumber"]
        assert len(number) == 56
        assert number.startswith("49")
        assert all(int(number) > int(other) for _, other in self.put)
        self.numbers[number] = theirs["SequenceNumber"]
        self.put.append((mine["ShardId"], number))

    @rule(place=_places, data=_datas, key=_keys, explicit=_hash_keys)
    def put_record(self, place: dict[str, str], data: str, key: str, explicit: str | None) -> None:
        parameters = {**place, "Data": data, "PartitionKey": key}
        if explicit is not None:
            parameters["ExplicitHashKey"] = explicit
        _, output, expected = self._call("PutRecord", **parameters)
        self._put(output, expected)

    @rule(place=_places, records=st.lists(st.tuples(_datas, _keys, _hash_keys), min_size=1))
    def put_records(
        self, place: dict[str, str], records: list[tuple[str, str, str | None]]
    ) -> None:
        entries = [
            {"Data": data, "PartitionKey": key}
            | ({} if explicit is None else {"ExplicitHashKey": explicit})
            for data, key, explicit in records
        ]
        _, output, expected = self._call("PutRecords", **place, Records=entries)
        assert output["FailedRecordCount"] == expected["FailedRecordCount"] == 0
        for mine, theirs in zip(output["Records"], expected["Records"], strict=True):
            self._put(mine, theirs)

    @rule(
        place=st.just({"StreamName": _NAME}),  # moto's iterators lack the name that is in an ARN
        shard=st.integers(0, _SHARDS - 1),
        kind=st.sampled_from(["TRIM_HORIZON", "LATEST"]),
    )
    def iterate(self, place: dict[str, str], shard: int, kind: str) -> None:
        self._iterate(place, f"shardId-{shard:012d}", {"ShardIteratorType": kind})

    @precondition(lambda self: self.put)
    @rule(data=st.data(), kind=st.sampled_from(["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"]))
    def iterate_from(self, data: st.DataObject, kind: str) -> None:
        shard, number = data.draw(st.sampled_from(self.put))
        place = {"StreamName": _NAME}
        self._iterate(place, shard, {"ShardIteratorType": kind, "StartingSequenceNumber": number})

    @rule(shard=st.integers(0, _SHARDS - 1), ago=st.integers(0, 700))
    def iterate_at(self, shard: int, ago: int) -> None:
        # botocore rounds a timestamp down to the second.
        now = self._now()
        moment = iso8601(from_epoch_ms((now // 1000 - ago) * 1000))
        where = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": moment}
        self._iterate({"StreamName": _NAME}, f"shardId-{shard:012d}", where)

    def _iterate(self, place: dict[str, str], shard: str, where: dict[str, str]) -> None:
        parameters = {**place, "ShardId": shard, **where}
        code, output = self.both.ours("GetShardIterator", **parameters)
        assert not code, output
        number = parameters.get("StartingSequenceNumber")
        if number is not None:
            parameters["StartingSequenceNumber"] = self.numbers[number]
        code, expected = self.both.moto("GetShardIterator", **parameters)
        assert not code, expected
        now = self._now()
        self.iterators.append((output["ShardIterator"], expected["ShardIterator"], now))

    @precondition(lambda self: self.iterators)
    @rule(data=st.data(), limit=st.none() | st.integers(1, 20))
    def get_records(self, data: st.DataObject, limit: int | None) -> None:
        mine, theirs, made = self.iterators[data.draw(st.integers(0, len(self.iterators) - 1))]
        now = self._now()
        parameters = {} if limit is None else {"Limit": limit}
        code, output = self.both.ours("GetRecords", ShardIterator=mine, **parameters)
        if now - made > _FRESH_MS:
            assert code == ("ExpiredIteratorException" if now - made > 300_000 else "")
            return
        assert not code, output
        code, expected = self.both.moto("GetRecords", ShardIterator=theirs, **parameters)
        assert not code, expected
        for one, other in zip(output["Records"], expected["Records"], strict=True):
            assert self.numbers[one["SequenceNumber"]] == other["SequenceNumber"]
            for name in ("Data", "PartitionKey"):
                assert one[name] == other[name]
        # Behind for as long as a further read finds something; moto's is 0 then, too, where
        # all arrived in the same moment.
        following = expected["NextShardIterator"]
        _, rest = self.both.moto("GetRecords", ShardIterator=following, Limit=1)
        assert bool(output["MillisBehindLatest"]) == bool(rest["Records"])
        self.iterators.append((output["NextShardIterator"], following, now))
        self.both.tick()

    @rule(seconds=st.sampled_from([1, 30, 200, 400]))
    def let_time_pass(self, seconds: int) -> None:
        self.both.clock.advance(seconds=seconds)

    @rule(place=_places)
    def describe(self, place: dict[str, str]) -> None:
        _, output, expected = self._call("DescribeStreamSummary", **place)
        mine, theirs = output["StreamDescriptionSummary"], expected["StreamDescriptionSummary"]
        assert theirs.items() <= mine.items()
        _, output, expected = self._call("DescribeStream", **place)
        mine, theirs = output["StreamDescription"], expected["StreamDescription"]
        assert _without_numbers(theirs).items() <= _without_numbers(mine).items()
        _, output, expected = self._call("ListShards", **place)
        assert _without_numbers(output) == _without_numbers(expected)
        _, output, expected = self._call("ListStreams")
        assert output["StreamNames"] == expected["StreamNames"]

    @rule(case=st.integers(0, 9))
    def what_is_refused(self, case: int) -> None:
        record = {"Data": "", "PartitionKey": "k"}
        large = base64.b64encode(bytes(1 << 20)).decode()
        first = {"StreamName": _NAME, "ShardId": "shardId-000000000000"}
        cases: list[tuple[str, dict[str, Any]]] = [
            ("PutRecord", {"StreamName": "nowhere", **record}),
            ("PutRecords", {"StreamName": "nowhere", "Records": [record]}),
            ("PutRecords", {"StreamName": _NAME, "Records": [record] * 501}),
            ("PutRecords", {"StreamName": _NAME, "Records": [{**record, "Data": large}]}),
            ("PutRecord", {"StreamName": _NAME, **record, "ExplicitHashKey": str(1 << 128)}),
            ("GetShardIterator", {**first, "ShardId": "shardId-9", "ShardIteratorType": "LATEST"}),
            (
                "GetShardIterator",
                {**first, "StreamName": "nowhere", "ShardIteratorType": "LATEST"},
            ),
            ("DescribeStream", {"StreamName": "nowhere"}),
            ("DescribeStreamSummary", {"StreamARN": f"{_ARN}s"}),
            ("ListShards", {"StreamName": "nowhere"}),
        ]
        operation, parameters = cases[case]
        code, output, expected = self._call(operation, **parameters)
        assert code
        if code == "ResourceNotFoundException":
            assert output == expected  # the words, too

    def _now(self) -> int:
        return int(self.both.clock.now().timestamp() * 1000)


def _without_numbers(output: dict[str, Any]) -> dict[str, Any]:
    """Return shards without the number that they begin with: there is one of every kind."""
    shards = [
        {name: value for name, value in shard.items() if name != "SequenceNumberRange"}
        for shard in output["Shards"]
    ]
    return {**output, "Shards": shards}


@pytest.mark.timeout(600)
def test_same_as_moto(both: Peers) -> None:
    """Whatever the sequence of calls: outputs, codes, and what is read from where."""
    machine = type("Machine", (_Machine,), {"both": both})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=max(25, settings().max_examples // 4), stateful_step_count=25
        ),
    )


_entries = st.fixed_dictionaries(
    {},
    optional={
        "Source": st.sampled_from(["shop", ""]),
        "DetailType": st.sampled_from(["sold", ""]),
        # An object, or no JSON at all: moto takes what is JSON but no object.
        "Detail": st.sampled_from(['{"a": 1}', "{}", "", "{", "nothing"]),
        "Time": st.just("2026-01-01T00:00:00Z"),
        "Resources": st.just(["arn:aws:s3:::b"]),
    },
)


@pytest.fixture(scope="module")
def buses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peers]:
    """Lend both."""
    folder: Path = tmp_path_factory.mktemp("peer")
    with peers("events") as made, App("peer", state=folder, clock=made.clock) as app:
        app.bus()
        made.service = EventsService(
            app._state,
            buses=app.buses,
            listener=app._rules,
            clock=made.clock,
            region=REGION,
            account=ACCOUNT,
        )
        yield made


@given(entries=st.lists(_entries, min_size=1, max_size=11))
def test_events_same_as_moto(buses: Peers, entries: list[dict[str, Any]]) -> None:
    """Which entries fail, and with which code and words."""
    ours, output = buses.ours("PutEvents", Entries=entries)
    theirs, expected = buses.moto("PutEvents", Entries=entries)
    assert ours == theirs == ("ValidationException" if len(entries) > 10 else "")
    if ours:
        return
    assert output["FailedEntryCount"] == expected["FailedEntryCount"]
    for one, other in zip(output["Entries"], expected["Entries"], strict=True):
        assert {**one, "EventId": ""} == {**other, "EventId": ""}
