"""Streams elsewhere: what their services may answer, whatever becomes of those who ask."""

from __future__ import annotations

import base64
import tempfile
from collections import defaultdict
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from far_kinesis import ARN, FarKinesis
from hypothesis import given, settings
from hypothesis import strategies as st
from inline_app import InlineApp, fail, nothing

from faaskit.clock import epoch_ms
from faaskit.events.mappings.remote.copies import Copies
from faaskit.events.mappings.remote.services import Found, Listing, RemoteRecord, RemoteShard
from faaskit.events.mappings.remote.streams import RemoteStreams
from faaskit.runtimes.contract import ServiceCall, ServiceReply
from faaskit.testing import FakeClock


class _App(InlineApp):
    """An app that has a Kinesis elsewhere."""

    def __init__(
        self, folder: Path, far: FarKinesis, clock: FakeClock | None = None, **settings: Any
    ) -> None:
        self.far = far
        super().__init__(folder, clock)
        self.settings = settings
        self.remote_stream(ARN).on_records(**settings)(self.calls(nothing))

    @property
    def has_elsewhere(self) -> bool:
        return True

    def perform(self, call: ServiceCall) -> ServiceReply:
        return self.far.answer(call)

    def ask(self) -> None:
        """Ask what is due, and deliver nothing."""
        [work] = [one for one in self._deliverer._works if isinstance(one, RemoteStreams)]
        while (task := work.claim()) is not None:
            task.carry_out(())

    def texts(self) -> list[list[str]]:
        """Return what was received since the last time, by batch."""
        batches = [
            [base64.b64decode(one["kinesis"]["data"]).decode() for one in event["Records"]]
            for event in self.received
        ]
        self.received.clear()
        return batches


@pytest.fixture
def far() -> FarKinesis:
    """A stream of one shard."""
    return FarKinesis()


def _put(far: FarKinesis, texts: str, **more: str) -> None:
    for text in texts:
        far.put(text, **more)


def test_the_event(tmp_path: Path, far: FarKinesis) -> None:
    """Is Kinesis', with the stream's own place, shard and numbers, and the function's role."""
    far.put("a", key="one", moment="2026-01-01T00:00:00.250000Z")
    with _App(tmp_path, far) as app:
        app.drain()
        [event] = app.received
        number = far.shards["shardId-000000000000"].records[0]["SequenceNumber"]
        assert event["Records"] == [
            {
                "kinesis": {
                    "kinesisSchemaVersion": "1.0",
                    "partitionKey": "one",
                    "sequenceNumber": number,
                    "data": "YQ==",
                    "approximateArrivalTimestamp": 1767225600.25,
                },
                "eventSource": "aws:kinesis",
                "eventVersion": "1.0",
                "eventID": f"shardId-000000000000:{number}",
                "eventName": "aws:kinesis:record",
                "invokeIdentityArn": "arn:aws:iam::123456789012:role/reader-role",
                "awsRegion": "eu-west-1",
                "eventSourceARN": ARN,
            }
        ]


def test_pages_are_read_until_there_is_no_more(tmp_path: Path, far: FarKinesis) -> None:
    """Those that are empty, too, while the service says that there is more."""
    _put(far, "abcdefgh")
    far.empty = 2
    with _App(tmp_path, far, batch_size=4) as app:
        app.drain()
        assert [text for batch in app.texts() for text in batch] == [*"abcdefgh"]


def test_how_often(tmp_path: Path, far: FarKinesis) -> None:
    """A shard that has nothing new each second, the list of shards every ten."""
    with _App(tmp_path, far) as app:
        app.mappings[0].enable()
        app.ask()
        far.calls.clear()
        for _ in range(10):
            app.clock.advance(seconds=0.5)
            app.ask()
        assert far.calls == ["GetRecords"] * 5
        app.clock.advance(seconds=5)
        app.ask()
        assert sorted(far.calls[5:]) == ["DescribeStreamSummary", "GetRecords", "ListShards"]


def test_where_it_went_on(tmp_path: Path, far: FarKinesis) -> None:
    """Another program on the folder goes on after the last record, by its number."""
    clock = FakeClock("2026-01-01T00:00:00Z")
    _put(far, "abcd")
    with _App(tmp_path, far, clock) as app:
        app.drain()
    _put(far, "ef")
    with _App(tmp_path, far, clock) as app:
        app.drain()
        assert [text for batch in app.texts() for text in batch] == ["e", "f"]


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "InternalFailure"])
def test_a_fault(tmp_path: Path, far: FarKinesis, code: str, caplog: Any) -> None:
    """Is told of; what failed is asked again, later each time, and nothing is left out."""
    _put(far, "ab")
    far.faults = [code]
    with _App(tmp_path, far) as app:
        [mapping] = app.mappings
        app.drain()
        assert mapping.last_processing_result == "PROBLEM: DescribeStreamSummary failed"
        app.ask()
        far.faults = [code] * 4
        asked = []
        app.clock.advance(seconds=1)
        for second in range(1, 18):
            far.calls.clear()
            app.ask()
            if "GetShardIterator" in far.calls or "GetRecords" in far.calls:
                asked.append(second)
            app.clock.advance(seconds=1)
        assert asked[:5] == [1, 2, 4, 8, 16]
        app.drain()
        assert app.texts() == [["a", "b"]]
        assert mapping.last_processing_result == "OK"
    assert "is again in 8 s" in caplog.text


def test_what_nobody_expects(tmp_path: Path, far: FarKinesis) -> None:
    """Goes up to who delivers, which logs it; what failed is not asked again at once."""
    answer = far.answer

    def fall_over(call: ServiceCall) -> ServiceReply:
        raise RuntimeError(call.operation)

    with _App(tmp_path, far) as app:
        app.mappings[0].enable()
        far.answer = fall_over  # type: ignore[method-assign]
        with pytest.raises(RuntimeError, match="DescribeStreamSummary"):
            app.ask()
        app.ask()
        far.answer = answer  # type: ignore[method-assign]
        app.clock.advance(seconds=10)
        app.ask()
        far.answer = fall_over  # type: ignore[method-assign]
        app.clock.advance(seconds=1)
        with pytest.raises(RuntimeError, match="GetRecords"):
            app.ask()
        app.ask()


def test_an_iterator_that_expired(tmp_path: Path, far: FarKinesis, caplog: Any) -> None:
    """A new one goes on at once behind what was copied; that is no failure to tell of."""
    _put(far, "ab")
    with _App(tmp_path, far) as app:
        app.mappings[0].enable()
        for text in "cde":
            app.ask()
            far.put(text)
            far.iterators += 1
            app.clock.advance(seconds=1)
        app.ask()
        app.drain()
        assert [text for batch in app.texts() for text in batch] == [*"abcde"]
        assert app.mappings[0].last_processing_result == "OK"
    assert caplog.text == ""


def test_records_that_were_trimmed(tmp_path: Path, far: FarKinesis, caplog: Any) -> None:
    """Are told of as lost; what is there is read."""
    clock = FakeClock("2026-01-01T00:00:00Z")
    _put(far, "abc")
    with _App(tmp_path, far, clock) as app:
        app.drain()
    shard = far.shards["shardId-000000000000"]
    _put(far, "defg")
    del shard.records[:5]
    with _App(tmp_path, far, clock) as app:
        app.drain()
        assert app.texts() == [["f", "g"]]
        app.pass_time(seconds=5)
        assert app.texts() == []
    assert caplog.text.count("are lost") == 1


@pytest.mark.parametrize(
    ("begin", "wanted"),
    [
        ({"starting_position": "TRIM_HORIZON"}, "abcd"),
        ({"starting_position": "LATEST"}, "cd"),
        (
            {
                "starting_position": "AT_TIMESTAMP",
                "starting_position_timestamp": datetime(2026, 1, 1, 0, 0, 3, tzinfo=timezone.utc),
            },
            "bcd",
        ),
    ],
)
def test_where_it_begins(
    tmp_path: Path, far: FarKinesis, begin: dict[str, Any], wanted: str
) -> None:
    """LATEST is from when the folder was opened, though nothing was read by that program."""
    clock = FakeClock("2026-01-01T00:00:10Z")
    child = far.add_shard("shardId-000000000000")
    far.shards["shardId-000000000000"].closed = False
    far.put("a", shard="shardId-000000000000", moment="2026-01-01T00:00:00Z")
    far.shards["shardId-000000000000"].closed = True
    far.put("b", shard=child, moment="2026-01-01T00:00:05Z")
    with _App(tmp_path, far, clock, **begin) as app:
        assert app.mappings[0].uuid
    clock.advance(seconds=30)
    far.put("c", shard=child, moment="2026-01-01T00:00:20Z")
    grandchild = far.add_shard(child)
    far.put("d", shard=grandchild, moment="2026-01-01T00:00:30Z")
    with _App(tmp_path, far, clock, **begin) as app:
        app.drain()
        app.pass_time(seconds=1)
        assert "".join(text for batch in app.texts() for text in batch) == wanted


def test_parents_first(tmp_path: Path, far: FarKinesis) -> None:
    """Of shards that were divided and joined, the children wait for all of their parents."""
    far.page = 1
    first = far.open[0]
    for text in "abc":
        far.put(text, shard=first)
    left = far.add_shard(first)
    right = far.add_shard(first)
    far.put("2", shard=left)
    far.put("3", shard=right)
    both = far.add_shard(left, right)
    far.put("4", shard=both)
    with _App(tmp_path, far) as app:
        app.mappings[0].enable()
        app.ask()
        assert far.read[:3] == [first] * 3
        assert set(far.read[3:5]) == {left, right}
        assert set(far.read[5:]) == {both}
        app.handlers["reader"] = fail
        app.drain()
        assert app.texts() == [[*"abc"]]
        app.handlers["reader"] = nothing
        app.pass_time(seconds=60)
        texts = [text for batch in app.texts() for text in batch]
        assert texts[:3] == [*"abc"]
        assert sorted(texts[3:5]) == ["2", "3"]
        assert texts[5:] == ["4"]


def test_what_a_shard_became_is_asked_for_at_once(tmp_path: Path, far: FarKinesis) -> None:
    """Not ten seconds later; and its children begin where they begin."""
    far.put("a")
    with _App(tmp_path, far) as app:
        app.mappings[0].enable()
        app.ask()
        child = far.add_shard(far.open[0])
        far.put("b", shard=child)
        app.clock.advance(seconds=1)
        app.ask()
        assert far.read[-1] == child
        app.drain()
        assert app.texts() == [["a"], ["b"]]


def test_a_shard_that_is_divided_meanwhile(tmp_path: Path, far: FarKinesis) -> None:
    """Is read to its end, then what it became; nobody starts anything anew."""
    far.put("a")
    with _App(tmp_path, far) as app:
        app.drain()
        far.put("b")
        child = far.add_shard(far.open[0])
        far.put("c", shard=child)
        app.pass_time(seconds=1)
        assert [text for batch in app.texts() for text in batch] == ["a", "b", "c"]


def test_a_stream_that_was_created_anew(tmp_path: Path, far: FarKinesis, caplog: Any) -> None:
    """Has shards of the same ids, which are others: they are read from their beginning on."""
    clock = FakeClock("2026-01-01T00:00:00Z")
    _put(far, "abc")
    with _App(tmp_path, far, clock, starting_position="LATEST") as app:
        app.drain()
        assert [text for batch in app.texts() for text in batch] == ["a", "b", "c"]
    other = FarKinesis(created="2026-01-02T00:00:00Z")
    other.put("x")
    with _App(tmp_path, other, clock, starting_position="LATEST") as app:
        app.drain()
        assert app.texts() == [["x"]]
        assert "shardId-000000000000" in caplog.text
        assert "its end was not seen" in caplog.text


def test_retries_need_no_service(tmp_path: Path, far: FarKinesis) -> None:
    """What was copied is tried again and bisected, though the service is away."""
    _put(far, "abcd")
    far.page = 4
    with _App(tmp_path, far, bisect_batch_on_error=True, retry_attempts=0) as app:

        def handler(event: Any) -> None:
            if any(one["kinesis"]["data"] == "Yw==" for one in event["Records"]):
                fail(event)

        app.handlers["reader"] = handler
        app.drain()
        far.faults = ["InternalFailure"] * 50
        app.pass_time(seconds=30)
        assert app.texts() == [[*"abcd"], ["a", "b"], ["c", "d"], ["c"], ["d"]]
        [dead] = app.dead()
        assert dead.reason == "RetryAttemptsExhausted"


def _stored(app: _App) -> int:
    return _rows(app, "remote_records")


def _rows(app: _App, table: str) -> int:
    with app._state.reading() as connection:
        (count,) = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()
    return int(count)


def test_what_is_tried_again_is_kept(tmp_path: Path, far: FarKinesis) -> None:
    """Though more was copied meanwhile, and what was delivered is forgotten then."""
    _put(far, "ab")
    with _App(tmp_path, far) as app:
        app.handlers["reader"] = fail
        app.drain()
        _put(far, "c")
        app.ask()
        app.handlers["reader"] = nothing
        app.pass_time(minutes=1)
        assert app.texts() == [["a", "b"], ["a", "b"], ["c"]]


def test_copies_stay_a_little_ahead(tmp_path: Path, far: FarKinesis) -> None:
    """Not by all there is: the state folder is no second stream. What was delivered goes."""
    far.page = 4000
    for number in range(30_000):
        far.put(str(number))
    with _App(tmp_path, far, batch_size=1000) as app:
        app.mappings[0].enable()
        app.ask()
        assert _stored(app) == 12_000
        app.handlers["reader"] = fail
        app.drain()
        assert _stored(app) == 12_000
        app.handlers["reader"] = nothing
        app.texts()
        app.pass_time(minutes=10)
        assert [int(text) for batch in app.texts() for text in batch] == [*range(30_000)]
        app.pass_time(seconds=1)
        assert _stored(app) == 0


def test_one_lane_that_fails_holds_no_other_up(tmp_path: Path, far: FarKinesis) -> None:
    """What is counted is what no lane has reached."""
    far.page = 4000
    for number in range(30_000):
        far.put("bad" if number == 0 else str(number), key=f"key {number % 64 if number else 0}")

    def handler(event: Any) -> None:
        if any(one["kinesis"]["data"] == "YmFk" for one in event["Records"]):
            fail(event)

    with _App(tmp_path, far, batch_size=1000, parallelization_factor=4) as app:
        app.handlers["reader"] = handler
        app.drain()
        texts = {text for batch in app.texts() for text in batch}
        assert 22_000 <= len(texts) < 24_000


def test_what_its_stream_would_keep_no_longer(tmp_path: Path, far: FarKinesis, caplog: Any) -> None:
    """A batch that fails for ever ends with the stream's retention, as on AWS."""
    _put(far, "ab")
    with _App(tmp_path, far) as app:
        app.handlers["reader"] = fail
        app.drain()
        far.put("c", moment="2026-01-02T00:00:00Z")
        app.clock.advance(hours=24, seconds=1)
        app.handlers["reader"] = nothing
        app.texts()
        app.ask()
        assert _stored(app) == 1
        app.drain()
        assert app.texts() == [["c"]]
    assert "were not kept any longer" in caplog.text


def test_two_processes(tmp_path: Path, far: FarKinesis) -> None:
    """One copies a shard at a time; what the other one read meanwhile is not written down."""
    clock = FakeClock("2026-01-01T00:00:00Z")
    _put(far, "abcdef")
    with _App(tmp_path, far, clock) as one, _App(tmp_path, far, clock) as other:
        for app in (one, other):
            app.mappings[0].enable()
            app.ask()
        assert far.calls.count("GetRecords") == 3
        one.drain()
        other.drain()
        _put(far, "g")
        clock.advance(seconds=1)
        other.drain()
        texts = one.texts() + other.texts()
        assert sorted(text for batch in texts for text in batch) == [*"abcdefg"]


def test_who_was_taken_over_writes_nothing(tmp_path: Path, far: FarKinesis) -> None:
    """A read that comes back after its shard was handed over is thrown away."""
    _put(far, "ab")
    with _App(tmp_path, far) as app:
        app.mappings[0].enable()
        [work] = [one for one in app._deliverer._works if isinstance(one, RemoteStreams)]
        listing = work.claim()
        assert listing is not None
        listing.carry_out(())
        answer = far.answer

        def hand_over(call: ServiceCall) -> ServiceReply:
            if call.operation == "GetRecords":
                work.abandon()
            return answer(call)

        far.answer = hand_over  # type: ignore[method-assign]
        read = work.claim()
        assert read is not None
        read.carry_out(())
        assert _stored(app) == 0
        far.answer = answer  # type: ignore[method-assign]
        app.drain()
        assert app.texts() == [["a", "b"]]


def test_what_is_gone_gets_no_more(tmp_path: Path, far: FarKinesis) -> None:
    """Its end was written down: what a read under way comes back with is not behind it."""
    _put(far, "ab")
    with _App(tmp_path, far) as app:
        uuid = app.mappings[0].uuid
        settings = app.mappings[0].settings
        copies = Copies(app._state)
        shards = [RemoteShard("shardId-0", ())]
        listing = Listing(ARN, "one", 86_400_000, 1, shards)
        assert copies.take_up(uuid, settings, listing).any
        [shard] = copies.shards(uuid)
        assert copies.own(uuid, shard.number)
        news = copies.take_up(uuid, settings, evolve(listing, created="two"))
        assert [one.id for one in news.gone] == ["shardId-0"]
        found = Found([RemoteRecord("1", 0, 0, {})], "more", behind=False)
        assert not copies.add(uuid, shard, found, retention_ms=1, now_ms=0)
        assert _stored(app) == 0


def test_what_is_past_is_forgotten(tmp_path: Path, far: FarKinesis) -> None:
    """When the service lists it no more, and all of it was delivered: not before."""
    first = far.open[0]
    far.put("a")
    child = far.add_shard(first)
    far.put("b", shard=child)
    with _App(tmp_path, far) as app:
        app.handlers["reader"] = fail
        app.drain()
        del far.shards[first]
        app.drain()
        assert _rows(app, "remote_shards") == 2
        app.handlers["reader"] = nothing
        app.pass_time(minutes=1)
        assert [text for batch in app.texts() for text in batch][-2:] == ["a", "b"]
        grandchild = far.add_shard(child)
        far.put("c", shard=grandchild)
        app.pass_time(minutes=1)
        assert _rows(app, "remote_shards") == 2
        del far.shards[child]
        app.drain()
        far.put("d", shard=grandchild)
        app.pass_time(minutes=1)
        assert app.texts() == [["c"], ["d"]]
        assert _rows(app, "remote_shards") == _rows(app, "lanes") == 1


def test_where_latest_is(tmp_path: Path, far: FarKinesis) -> None:
    """To the second, where the times of records are: the first one may be of the same."""
    clock = FakeClock("2026-01-01T00:00:10.700Z")
    with _App(tmp_path, far, clock, starting_position="LATEST") as app:
        uuid = app.mappings[0].uuid
        copies = Copies(app._state)
        shards = [RemoteShard("shardId-0", ())]
        copies.take_up(uuid, app.mappings[0].settings, Listing(ARN, "", 10**9, 1000, shards))
        [shard] = copies.shards(uuid)
        begin_ms = epoch_ms(datetime(2026, 1, 1, 0, 0, 10, tzinfo=timezone.utc))
        assert shard.begin_ms == begin_ms
        assert copies.own(uuid, shard.number)
        records = [RemoteRecord(str(at), 0, begin_ms + at, {}) for at in (-1000, 0, 1000)]
        now_ms = epoch_ms(clock.now())
        found = Found(records, "more", behind=False)
        assert copies.add(uuid, shard, found, retention_ms=10**9, now_ms=now_ms)
        assert _stored(app) == 2


def test_disabled(tmp_path: Path, far: FarKinesis) -> None:
    """Nothing is asked."""
    _put(far, "ab")
    with _App(tmp_path, far, enabled=False) as app:
        app.drain()
        assert far.calls == []
        app.mappings[0].enable()
        app.drain()
        assert app.texts() == [["a", "b"]]


_KEYS = ("a", "b", "c", "d")
_steps = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(_KEYS), st.integers(1, 8)),
    st.tuples(st.just("split"), st.sampled_from(_KEYS)),
    st.tuples(st.just("merge"), st.sampled_from(_KEYS), st.sampled_from(_KEYS)),
    st.tuples(
        st.just("faults"),
        st.lists(
            st.none()
            | st.sampled_from(
                [
                    "ExpiredIteratorException",
                    "ProvisionedThroughputExceededException",
                    "InternalFailure",
                ]
            ),
            max_size=6,
        ),
    ),
    st.tuples(st.just("empty"), st.integers(1, 3)),
    st.tuples(st.just("expire")),
    st.tuples(st.just("deliver"), st.sampled_from([0, 1])),
    st.tuples(st.just("ask"), st.sampled_from([0, 1])),
    st.tuples(st.just("restart"), st.sampled_from([0, 1])),
    st.tuples(st.just("pass_time"), st.sampled_from([1, 12])),
)


class _Scene:
    """A stream, two processes that read it, and what was put and received, by key."""

    def __init__(self, folder: Path, **mapping: int) -> None:
        self.far = FarKinesis()
        self.clock = FakeClock("2026-01-01T00:00:00Z")
        self.put_texts: dict[str, list[str]] = defaultdict(list)
        self.got: dict[str, list[str]] = defaultdict(list)
        self._start = partial(_App, folder, self.far, self.clock, **mapping)
        self._places = dict.fromkeys(_KEYS, self.far.open[0])
        self.apps = [self._start(), self._start()]

    def put(self, key: str, count: int) -> None:
        texts = self.put_texts[key]
        for _ in range(count):
            texts.append(f"{key}{len(texts)}")
            self.far.put(texts[-1], shard=self._places[key], key=key)

    def split(self, key: str) -> None:
        shard = self._places[key]
        children = [self.far.add_shard(shard), self.far.add_shard(shard)]
        moved = [key for key, place in self._places.items() if place == shard]
        self._places |= {key: children[at % 2] for at, key in enumerate(moved)}

    def merge(self, key: str, other: str) -> None:
        both = {self._places[key], self._places[other]}
        if len(both) == 2:
            joined = self.far.add_shard(*sorted(both))
            self._places |= {key: joined for key, place in self._places.items() if place in both}

    def faults(self, codes: list[str | None]) -> None:
        self.far.faults = codes

    def expire(self) -> None:
        """Have what is closed and was received be listed no more."""
        received = {text for texts in self.got.values() for text in texts}
        for name, shard in list(self.far.shards.items()):
            texts = {base64.b64decode(one["Data"]).decode() for one in shard.records}
            if shard.closed and texts <= received:
                del self.far.shards[name]

    def empty(self, reads: int) -> None:
        self.far.empty = reads

    def deliver(self, number: int) -> None:
        app = self.apps[number]
        app.drain()
        for event in app.received:
            for one in event["Records"]:
                text = base64.b64decode(one["kinesis"]["data"]).decode()
                self.got[one["kinesis"]["partitionKey"]].append(text)
        app.received.clear()

    def ask(self, number: int) -> None:
        assert self.apps[number].mappings[0].uuid
        self.apps[number].ask()

    def restart(self, number: int) -> None:
        self.apps[number].close()
        self.apps[number] = self._start()

    def pass_time(self, seconds: int) -> None:
        self.clock.advance(seconds=seconds)


@settings(deadline=None)
@given(st.lists(_steps, max_size=25), st.integers(1, 4), st.sampled_from([1, 3]))
def test_each_record_once_in_order(steps: list[Any], batch_size: int, parts: int) -> None:
    """Whatever divides, fails, ends and begins again, with two processes at it."""
    with tempfile.TemporaryDirectory() as folder:
        scene = _Scene(Path(folder), batch_size=batch_size, parallelization_factor=parts)
        try:
            for name, *given_values in steps:
                getattr(scene, name)(*given_values)
            scene.faults([])
            scene.empty(0)
            for _ in range(3 + len(scene.far.shards)):
                scene.deliver(0)
                scene.deliver(1)
                scene.pass_time(61)
        finally:
            for app in scene.apps:
                app.close()
    assert scene.got == scene.put_texts
