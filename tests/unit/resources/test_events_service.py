"""EventBridge's operations on the state folder."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from service_bench import Bench

from faaskit.exceptions import DefinitionError, ServiceError
from faaskit.gate.service import Refusal
from faaskit.names import bus_arn
from faaskit.resources.eventbridge.entries import valid_detail

_GOOD = {"Source": "shop", "DetailType": "sold", "Detail": "{}"}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A service with the default bus and another one."""
    made = Bench(tmp_path, "events")
    made.app.bus()
    made.app.bus("orders")
    yield made
    made.app.close()


def _put(bench: Bench, **entry: Any) -> Any:
    output = bench.call("PutEvents", Entries=[{**_GOOD, **entry}])
    (result,) = output["Entries"]
    assert output["FailedEntryCount"] == ("ErrorCode" in result)
    return result


def _stored(bench: Bench) -> list[tuple[str, Any]]:
    with bench.app._state.reading() as connection:
        rows = connection.execute("SELECT bus, event FROM bus_events ORDER BY id")
        return [(bus, json.loads(event)) for bus, event in rows]


def test_event_is_kept_as_rules_will_get_it(bench: Bench) -> None:
    """Of AWS's shape, in the order in which they were put."""
    first = _put(
        bench,
        Detail='{"total": 12345678901234567890.10, "a": [1, {"b": null}]}',
        Resources=["arn:aws:s3:::b"],
        Time="2025-12-31T23:59:59.999+00:00",
    )
    second = _put(bench, EventBusName="orders")
    third = _put(bench, EventBusName=bus_arn("orders"))
    assert _stored(bench)[0] == (
        "default",
        {
            "version": "0",
            "id": first["EventId"],
            "detail-type": "sold",
            "source": "shop",
            "account": "123456789012",
            "time": "2025-12-31T23:59:59Z",
            "region": "us-east-1",
            "resources": ["arn:aws:s3:::b"],
            "detail": {"total": 12345678901234567890.10, "a": [1, {"b": None}]},
        },
    )
    assert [(bus, event["id"], event["time"]) for bus, event in _stored(bench)[1:]] == [
        ("orders", second["EventId"], "2026-01-01T00:00:00Z"),
        ("orders", third["EventId"], "2026-01-01T00:00:00Z"),
    ]
    with bench.app._state.reading() as connection:
        (text,) = connection.execute("SELECT event FROM bus_events LIMIT 1").fetchone()
    assert "12345678901234567890.10" in text  # as it was given, not rounded


def test_events_are_kept_for_a_day(bench: Bench) -> None:
    """As long as EventBridge tries."""
    _put(bench)
    bench.clock.advance(hours=24)
    second = _put(bench)
    assert [event["id"] for _, event in _stored(bench)] == [second["EventId"]]


@pytest.mark.parametrize(
    ("entry", "code", "words"),
    [
        ({"Source": None}, "InvalidArgument", "Source is a required argument."),
        ({"Source": ""}, "InvalidArgument", "Source is a required argument."),
        ({"DetailType": None}, "InvalidArgument", "DetailType is a required argument."),
        ({"Detail": None}, "InvalidArgument", "Detail is a required argument."),
        ({"DetailType": "x" * 129}, "InvalidArgument", "less than or equal to 128."),
        ({"Source": "aws.s3"}, "NotAuthorizedForSourceException", "the source."),
        ({"Detail": "{"}, "MalformedDetail", "Detail is malformed."),
        ({"Detail": "[]"}, "MalformedDetail", "Detail is malformed."),
        ({"Detail": '{"a": NaN}'}, "MalformedDetail", "Detail is malformed."),
        ({"Detail": "[" * 500_000}, "MalformedDetail", "Detail is malformed."),
        ({"EventBusName": "none"}, "InvalidArgument", "does not define itself."),
        (
            {"EventBusName": bus_arn("orders", region="eu-west-1")},
            "InvalidArgument",
            "does not define itself.",
        ),
    ],
)
def test_entry_that_fails_leaves_the_others(
    bench: Bench, entry: dict[str, Any], code: str, words: str
) -> None:
    """With AWS's codes and words, in the place of the entry."""
    output = bench.call("PutEvents", Entries=[_GOOD, {**_GOOD, **entry}, _GOOD])
    assert output["FailedEntryCount"] == 1
    assert output["Entries"][1]["ErrorCode"] == code
    assert output["Entries"][1]["ErrorMessage"].endswith(words)
    assert [event["id"] for _, event in _stored(bench)] == [
        output["Entries"][0]["EventId"],
        output["Entries"][2]["EventId"],
    ]


def test_depth_of_details() -> None:
    """Up to a thousand levels, whatever is in strings; long numbers take no time."""
    assert valid_detail('{"a":' + "[" * 500 + "]" * 500 + "}")
    assert not valid_detail('{"a":' + "[" * 1000 + "]" * 1000 + "}")
    assert valid_detail(json.dumps({"a": '\\"' + "[{" * 5000}))
    assert valid_detail('{"a": ' + "9" * 500_000 + "}")


def test_whole_requests_that_are_refused(bench: Bench) -> None:
    """None, too many, too large; what has no effect here names moto."""
    assert bench.code("PutEvents") == "ValidationException"
    for entries in ([], [_GOOD] * 11):
        assert bench.code("PutEvents", Entries=entries) == "ValidationException"
    half = {**_GOOD, "Detail": json.dumps({"a": "x" * ((1 << 19) - 17)})}  # 2**19 in all
    bench.call("PutEvents", Entries=[half, half])
    more = {**half, "Time": "2026-01-01T00:00:00Z"}
    failure = bench.failure("PutEvents", Entries=[half, more])
    assert failure.message == "Total size of the entries in the request is over the limit."
    for operation, parameters in (
        ("PutEvents", {"Entries": [_GOOD], "EndpointId": "a.b"}),
        ("PutEvents", {"Entries": [{**_GOOD, "TraceHeader": "Root=1"}]}),
        ("PutRule", {"Name": "x"}),
    ):
        failure = bench.failure(operation, **parameters)
        assert failure.code == "NotImplemented"
        assert 'aws="moto"' in failure.message


def test_buses_are_described_and_listed(bench: Bench) -> None:
    """By name or ARN, the default one without either; a page at a time."""
    bench.clock.advance(seconds=5)
    described = bench.call("DescribeEventBus")
    assert described == {
        "Name": "default",
        "Arn": bus_arn("default"),
        "CreationTime": "2026-01-01T00:00:05.000Z",
        "LastModifiedTime": "2026-01-01T00:00:05.000Z",
    }
    assert bench.call("DescribeEventBus", Name=bus_arn("orders"))["Name"] == "orders"
    failure = bench.failure("DescribeEventBus", Name="none")
    assert (failure.code, failure.message) == (
        "ResourceNotFoundException",
        "Event bus none does not exist.",
    )
    page = bench.call("ListEventBuses", Limit=1)
    assert page["EventBuses"] == [described]
    rest = bench.call("ListEventBuses", NextToken=page["NextToken"])
    assert [bus["Name"] for bus in rest["EventBuses"]] == ["orders"]
    assert bench.call("ListEventBuses", NamePrefix="x")["EventBuses"] == []


def test_whose_a_bus_is(bench: Bench) -> None:
    """One entry of several is enough; without a name it is the default bus."""
    other = {**_GOOD, "EventBusName": "none"}
    assert bench.owns("PutEvents", Entries=[other, _GOOD])
    assert bench.owns("DescribeEventBus")
    assert not bench.owns("PutEvents", Entries=[other])
    assert not bench.owns("PutEvents", "eu-west-1", Entries=[_GOOD])
    assert not bench.owns("PutEvents", Entries="x")
    assert not bench.owns("ListEventBuses")
    output = bench.call("PutEvents", "eu-west-1", Entries=[_GOOD])
    assert output["FailedEntryCount"] == 1


_STRANGE: list[Any] = [7, True, 1.5, [], {}, "\ud800", ["x"], {"x": "y"}, [[[]]], "x" * 100_000]


@pytest.mark.parametrize("value", _STRANGE, ids=repr)
@pytest.mark.parametrize("name", ["Source", "Detail", "Time", "Resources", "EventBusName"])
def test_nothing_that_comes_in_is_more_than_refused(bench: Bench, name: str, value: Any) -> None:
    """Of any type: an answer or a refusal, never an exception of another kind."""
    for operation, parameters in (
        ("PutEvents", {"Entries": [{**_GOOD, name: value}]}),
        ("PutEvents", {"Entries": value}),
        ("DescribeEventBus", {"Name": value}),
        ("ListEventBuses", {"Limit": value}),
    ):
        bench.owns(operation, **parameters)
        with contextlib.suppress(Refusal):
            bench.call(operation, **parameters)


def test_handle(bench: Bench) -> None:
    """Puts an event, and raises where it is not taken."""
    bus = bench.app.bus("orders")
    assert bus.arn == bus_arn("orders")
    assert bench.app.bus("orders") is bench.app.buses["orders"] is bus
    zone = timezone(timedelta(hours=2))
    moment = datetime(2026, 1, 1, 2, tzinfo=zone)
    event_id = bus.put(
        source="shop", detail_type="sold", detail={"a": 1}, resources=["arn:x"], time=moment
    )
    ((where, event),) = _stored(bench)
    assert (where, event["id"], event["detail"]) == ("orders", event_id, {"a": 1})
    assert event["time"] == "2026-01-01T00:00:00Z"
    with pytest.raises(ServiceError) as caught:
        bus.put(source="aws.x", detail_type="sold", detail={})
    assert caught.value.code == "NotAuthorizedForSourceException"
    with pytest.raises(ValueError, match="has no zone"):
        bus.put(
            source="s",
            detail_type="t",
            detail={},
            time=datetime(2026, 1, 1),  # noqa: DTZ001 - which is what is wrong with it
        )
    with pytest.raises(ValueError, match="JSON"):
        bus.put(source="s", detail_type="t", detail={"a": float("nan")})
    with pytest.raises(DefinitionError, match="1 to 256 characters"):
        bench.app.bus("aws.partner")
