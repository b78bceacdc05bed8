"""Streams whose shards are split and merged: what is where, and in which order it is read."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_app import InlineApp, fail, nothing

from faaskit.exceptions import ServiceError
from faaskit.resources.kinesis.resharding import StoredShard, alike, merged, parsed, split, written
from faaskit.resources.kinesis.shards import HASH_KEYS, hash_key, shard_id

_FIRST = "shardId-000000000000"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[InlineApp]:
    """An app whose time is moved by hand."""
    with InlineApp(tmp_path / "state") as app:
        yield app


def _texts(event: Any) -> list[str]:
    return [base64.b64decode(one["kinesis"]["data"]).decode() for one in event["Records"]]


def _put(app: InlineApp, prefix: str) -> None:
    app.stream("s").put_many((f"{prefix}{n}", f"key {n}") for n in range(20))


@given(deeds=st.lists(st.tuples(st.booleans(), st.integers(0, 99), st.floats(0, 1)), max_size=12))
def test_open_shards_share_the_hash_keys(deeds: list[tuple[bool, int, float]]) -> None:
    """Whatever is split and merged: each hash key is one open shard's, and all is kept as text."""
    shards: list[StoredShard] = alike(3, 1)
    for number, (splits, place, where) in enumerate(deeds, 10):
        ordered = sorted((one for one in shards if one.open), key=lambda one: one.first_hash)
        step = {"last": number, "begun": number + 1}
        if splits:
            one = ordered[place % len(ordered)]
            width = one.last_hash - one.first_hash
            if not width:
                continue  # one hash key: there is nothing to split, and Kinesis refuses
            at = one.first_hash + 1 + int(where * (width - 1))
            shards = split(shards, one.number, min(at, one.last_hash), **step)
        elif len(ordered) > 1:
            first = place % (len(ordered) - 1)
            one, other = ordered[first : first + 2]
            shards = merged(shards, (one.number, other.number), **step)
    ordered = sorted((one for one in shards if one.open), key=lambda one: one.first_hash)
    assert ordered[0].first_hash == 0
    assert ordered[-1].last_hash == HASH_KEYS - 1
    for one, other in itertools.pairwise(ordered):
        assert one.last_hash + 1 == other.first_hash
    assert [one.number for one in shards] == sorted({one.number for one in shards})
    assert list(parsed(written(shards))) == shards


def test_split(app: InlineApp) -> None:
    """Two shards in its place; a key's records go where its hash key is."""
    stream = app.stream("s")
    _put(app, "a")
    stream.split(_FIRST)
    parent, one, other = stream.shards()
    assert (parent.closed, one.closed, other.closed) == (True, False, False)
    assert one.parents == other.parents == (_FIRST,)
    assert (one.first_hash_key, other.last_hash_key) == (0, HASH_KEYS - 1)
    assert one.last_hash_key + 1 == other.first_hash_key == HASH_KEYS // 2
    for number in range(50):
        placed = stream.put("x", f"key {number}")
        assert (
            placed.shard_id
            == (one if hash_key(f"key {number}") < HASH_KEYS // 2 else other).shard_id
        )
    assert len(list(stream.read())) == 70
    stream.split(one.shard_id, at=7)
    assert [shard.first_hash_key for shard in stream.shards()][3:] == [0, 7]


def test_merge(app: InlineApp) -> None:
    """One shard of two neighbours, with both as its parents."""
    stream = app.stream("s", shards=2)
    stream.merge(_FIRST, shard_id(1))
    *_, merged_one = stream.shards()
    assert merged_one.parents == (_FIRST, shard_id(1))
    assert (merged_one.first_hash_key, merged_one.last_hash_key) == (0, HASH_KEYS - 1)
    assert stream.put("x", "k").shard_id == merged_one.shard_id


def test_what_is_refused(app: InlineApp) -> None:
    """With Kinesis' codes."""
    stream = app.stream("s", shards=3)

    def code(deed: Any, *arguments: Any, **named: Any) -> str:
        with pytest.raises(ServiceError) as caught:
            deed(*arguments, **named)
        return str(caught.value.code)

    assert code(stream.split, "shardId-000000000009") == "ResourceNotFoundException"
    assert code(stream.split, "nothing") == "ResourceNotFoundException"
    assert code(stream.split, _FIRST, at=0) == "InvalidArgumentException"
    assert code(stream.split, _FIRST, at=HASH_KEYS - 1) == "InvalidArgumentException"
    assert code(stream.merge, _FIRST, shard_id(2)) == "InvalidArgumentException"
    assert code(stream.merge, _FIRST, _FIRST) == "InvalidArgumentException"
    stream.split(_FIRST)
    assert code(stream.split, _FIRST) == "InvalidArgumentException"
    assert code(stream.merge, _FIRST, shard_id(1)) == "InvalidArgumentException"


def test_reading_a_closed_shard(app: InlineApp) -> None:
    """It comes to an end, and tells of its children."""
    stream = app.stream("s")
    _put(app, "a")
    stream.split(_FIRST)
    client = app.client("kinesis")
    iterator = client.get_shard_iterator(
        StreamName="s", ShardId=_FIRST, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    answer = client.get_records(ShardIterator=iterator, Limit=15)
    assert len(answer["Records"]) == 15
    answer = client.get_records(ShardIterator=answer["NextShardIterator"])
    assert len(answer["Records"]) == 5
    assert "NextShardIterator" not in answer
    assert [child["ShardId"] for child in answer["ChildShards"]] == [shard_id(1), shard_id(2)]
    assert answer["ChildShards"][0]["ParentShards"] == [_FIRST]
    summary = client.describe_stream_summary(StreamName="s")["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 2


def test_shards_that_are_listed(app: InlineApp) -> None:
    """All, the open ones, those at the trim horizon; a closed one until its records are too old."""
    stream = app.stream("s")
    _put(app, "a")
    stream.split(_FIRST)
    client = app.client("kinesis")

    def listed(kind: str) -> list[int]:
        found = client.list_shards(StreamName="s", ShardFilter={"Type": kind})["Shards"]
        return [int(shard["ShardId"][-2:]) for shard in found]

    assert listed("FROM_TRIM_HORIZON") == [0, 1, 2]
    assert listed("AT_LATEST") == [1, 2]
    assert listed("AT_TRIM_HORIZON") == [0]
    app.clock.advance(hours=25)
    stream.put("x", "k")
    assert listed("FROM_TRIM_HORIZON") == listed("AT_TRIM_HORIZON") == [1, 2]
    with app._state.reading() as connection:
        (left,) = connection.execute("SELECT COUNT(*) FROM records").fetchone()
    assert left == 1


# --- mappings ---------------------------------------------------------------------------


def test_children_are_read_after_their_parents(app: InlineApp) -> None:
    """So that what has one key stays in order, over splits and merges, in one drain."""
    stream = app.stream("s", shards=2)
    stream.on_records(batch_size=4, parallelization_factor=2)(app.calls(nothing))
    _put(app, "a")
    stream.split(_FIRST)
    _put(app, "b")
    stream.merge(shard_id(3), shard_id(1))
    _put(app, "c")
    app.drain()
    seen = [text for event in app.received for text in _texts(event)]
    assert len(seen) == len(set(seen)) == 60
    for number in range(20):
        mine = [text for text in seen if text[1:] == str(number)]
        assert mine == [f"{prefix}{number}" for prefix in "abc"]


def test_a_parent_that_fails_holds_up_its_children(app: InlineApp) -> None:
    """Until it is done, or given up."""
    stream = app.stream("s")
    stream.on_records(retry_attempts=1)(app.calls(fail))
    _put(app, "a")
    stream.split(_FIRST)
    _put(app, "b")
    app.drain()
    assert [_texts(event)[0][0] for event in app.received] == ["a"]
    app.handlers["reader"] = nothing
    app.pass_time(seconds=1)
    assert [_texts(event)[0][0] for event in app.received] == ["a", "a", "b", "b"]


def test_a_split_while_it_runs(app: InlineApp) -> None:
    """A mapping that is at work takes the new shards up."""
    stream = app.stream("s")
    stream.on_records()(app.calls(nothing))
    _put(app, "a")
    app.drain()
    with app.running():
        stream.split(_FIRST)
        _put(app, "b")
        while sum(len(event["Records"]) for event in list(app.received)) < 40:
            app._state.changes.tell()  # time stands still: see that others were heard of
            with app._state.changes.condition:
                app._state.changes.condition.wait(0.05)
    assert sorted(text for event in app.received for text in _texts(event))[20:] == sorted(
        f"b{number}" for number in range(20)
    )


def test_the_end_of_a_shard_ends_its_window(app: InlineApp) -> None:
    """At once: nothing more comes into it."""
    stream = app.stream("s")
    stream.on_records(tumbling_window=600)(
        app.calls(lambda event: {"state": {"seen": len(event["Records"])}})
    )
    _put(app, "a")
    stream.split(_FIRST)
    app.drain()
    final = [event["isFinalInvokeForWindow"] for event in app.received]
    assert final == [False, True]
    assert app.received[1]["state"] == {"seen": 20}


def test_it_goes_on_in_the_children(tmp_path: Path) -> None:
    """Over runs of the program, and nothing comes twice."""
    with InlineApp(tmp_path) as first:
        first.stream("s").on_records()(first.calls(nothing))
        _put(first, "a")
        first.stream("s").split(_FIRST)
        _put(first, "b")
        first.drain()
    with InlineApp(tmp_path, first.clock) as app:
        app.stream("s").on_records()(app.calls(nothing))
        _put(app, "c")
        app.drain()
        assert sorted({text[0] for event in app.received for text in _texts(event)}) == ["c"]
        with app._state.reading() as connection:
            rows = connection.execute("SELECT shard, progress FROM lanes ORDER BY shard").fetchall()
    assert [(shard, json.loads(text)["ended"]) for shard, text in rows] == [
        (0, True),
        (1, False),
        (2, False),
    ]
