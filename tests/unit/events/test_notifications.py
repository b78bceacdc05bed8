"""A bucket's triggers: which changes become events, for which functions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faaskit.events.asynchronous import AsynchronousQueue
from faaskit.events.notifications import BucketTriggers
from faaskit.events.s3 import rule
from faaskit.exceptions import DefinitionError
from faaskit.gate.service import Caller
from faaskit.resources.s3.service import ObjectChange
from faaskit.resources.state import State
from faaskit.testing import FakeClock

_CREATED, _REMOVED = "s3:ObjectCreated:*", "s3:ObjectRemoved:*"


class _Bench:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock("2026-01-01T00:00:00Z")
        self.state = State(folder, app="photos")
        self.queue = AsynchronousQueue(self.state, self.clock)
        self.triggers = BucketTriggers(self.queue, region="eu-west-1", account="123456789012")

    def add(self, function: str, *events: str, definition: int = 1, **filters: str) -> None:
        self.triggers.add("uploads", rule(events or [_CREATED], **filters), function, definition)

    def change(
        self, key: str, *, event: str = "ObjectCreated:Put", bucket: str = "uploads"
    ) -> None:
        change = ObjectChange(
            event=event,
            bucket=bucket,
            key=key,
            time=self.clock.now(),
            sequencer="01",
            caller=Caller("AROAX:writer"),
            size=4,
            etag="0123",
        )
        with self.state.writing() as connection:
            self.triggers.object_changed(connection, change)

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        return [(event.function, json.loads(event.event)) for event in self.queue.pending()]

    def told(self) -> list[str]:
        return [function for function, _ in self.events()]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[_Bench]:
    """Triggers on a new folder."""
    bench = _Bench(tmp_path)
    yield bench
    bench.state.close()


def test_change_becomes_an_event(bench: _Bench) -> None:
    """One record, of S3's shape, with what is known of the change and the app."""
    bench.add("thumbnail", prefix="raw/")
    bench.change("raw/a b.png")
    ((function, event),) = bench.events()
    (record,) = event["Records"]
    assert function == "thumbnail"
    assert record["eventName"] == "ObjectCreated:Put"
    assert record["awsRegion"] == "eu-west-1"
    assert record["userIdentity"] == {"principalId": "AWS:AROAX:writer"}
    assert record["s3"]["configurationId"] == "thumbnail-1"
    assert record["s3"]["object"] == {
        "key": "raw/a+b.png",
        "size": 4,
        "eTag": "0123",
        "sequencer": "01",
    }


def test_change_that_no_rule_is_for(bench: _Bench) -> None:
    """Another key, event or bucket makes no event."""
    bench.add("thumbnail", prefix="raw/")
    bench.change("thumbs/a")
    bench.change("raw/a", event="ObjectRemoved:Delete")
    bench.change("raw/a", bucket="other")
    assert bench.events() == []


def test_each_rule_has_its_function(bench: _Bench) -> None:
    """Rules side by side, each with an id that stays the same; a key has one function."""
    bench.add("a", prefix="a/")
    bench.add("b", prefix="b/")
    bench.add("a", _REMOVED)
    bench.change("b/1")
    bench.change("a/1")
    bench.change("b/1", event="ObjectRemoved:Delete")
    ids = [
        (function, event["Records"][0]["s3"]["configurationId"])
        for function, event in bench.events()
    ]
    assert ids == [("b", "b-1"), ("a", "a-1"), ("a", "a-2")]


def test_overlap_is_refused(bench: _Bench) -> None:
    """The message names both functions, the events they share, and what to do."""
    bench.add("a", prefix="raw/")
    with pytest.raises(DefinitionError) as caught:
        bench.add("b", "s3:ObjectCreated:Copy", _REMOVED, prefix="raw/big/")
    assert "'a'" in caught.value.message
    assert "'b'" in caught.value.message
    assert "s3:ObjectCreated:Copy" in caught.value.message
    assert "s3:ObjectRemoved" not in caught.value.message
    bench.change("raw/big/1", event="ObjectRemoved:Delete")
    assert bench.events() == [], "what was refused is not there in part"


def test_overlap_is_a_buckets_own(bench: _Bench) -> None:
    """The same rule on two buckets is no overlap."""
    bench.add("a")
    bench.triggers.add("thumbs", rule([_CREATED]), "b", 1)
    bench.change("k", bucket="thumbs")
    assert bench.told() == ["b"]


def test_function_overlaps_with_itself(bench: _Bench) -> None:
    """Two rules of one function for the same key are refused; the same one twice is one."""
    bench.add("a")
    bench.add("a")
    with pytest.raises(DefinitionError, match="overlaps"):
        bench.add("a", prefix="raw/")
    bench.change("k")
    assert bench.told() == ["a"]


def test_new_definition_replaces_the_old_ones_triggers(bench: _Bench) -> None:
    """A cell that is run again with other triggers leaves none of the old ones."""
    bench.add("a", prefix="old/")
    bench.add("a", prefix="older/")
    bench.add("b", prefix="b/")
    bench.add("a", prefix="new/", definition=2)
    bench.add("a", prefix="newer/", definition=2)
    for key in ("old/1", "older/1", "new/1", "newer/1", "b/1"):
        bench.change(key)
    assert bench.told() == ["a", "a", "b"]
