"""Event source mappings of streams: every parameter, by what it does to batches."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from inline_app import InlineApp, fail, nothing

from faaskit.exceptions import DefinitionError, PayloadError, ThrottledError
from faaskit.iam.statements import deny
from faaskit.resources.kinesis.stream import Stream

_START = datetime(2026, 1, 1, tzinfo=timezone.utc)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[InlineApp]:
    """An app whose time is moved by hand."""
    with InlineApp(tmp_path / "state") as app:
        yield app


def _data(event: Any) -> list[str]:
    return [base64.b64decode(one["kinesis"]["data"]).decode() for one in event["Records"]]


def _batches(app: InlineApp) -> list[list[str]]:
    """Return the data of the batches since the last time."""
    found = [_data(event) for event in app.received]
    app.received.clear()
    return found


def _put(stream: Stream, texts: str, key: str = "k") -> None:
    stream.put_many((text, key) for text in texts)


def _received(app: InlineApp, name: str) -> list[Any]:
    return [json.loads(message.body) for message in app.queue(name).receive(10)]


def _failing_on(bad: str) -> Any:
    def handler(event: Any) -> None:
        if bad in _data(event):
            msg = f"{bad} is bad"
            raise ValueError(msg)

    return handler


# --- batches ----------------------------------------------------------------------------


def test_the_event(app: InlineApp) -> None:
    """It is Kinesis', with the shard, the number and the role."""
    stream = app.stream("clicks")
    reader = app.calls(nothing)
    stream.on_records()(reader)
    placed = stream.put(b"\xff\x00", "visitor-1")
    app.drain()
    assert app.received == [
        {
            "Records": [
                {
                    "kinesis": {
                        "kinesisSchemaVersion": "1.0",
                        "partitionKey": "visitor-1",
                        "sequenceNumber": placed.sequence_number,
                        "data": "/wA=",
                        "approximateArrivalTimestamp": 1767225600.0,
                    },
                    "eventSource": "aws:kinesis",
                    "eventVersion": "1.0",
                    "eventID": f"shardId-000000000000:{placed.sequence_number}",
                    "eventName": "aws:kinesis:record",
                    "invokeIdentityArn": reader.role.arn,
                    "awsRegion": "us-east-1",
                    "eventSourceARN": "arn:aws:kinesis:us-east-1:123456789012:stream/clicks",
                }
            ]
        }
    ]


def test_batch_size(app: InlineApp) -> None:
    """No more than that; 100 by default; in order."""
    stream = app.stream("clicks")
    stream.on_records(batch_size=3)(app.calls(nothing))
    stream.on_records()(app.calls(nothing, "other"))
    stream.put_many((str(number), "k") for number in range(101))
    app.drain()
    batches = _batches(app)
    assert sorted(map(len, batches)) == [1, 2, *[3] * 33, 100]
    assert [one for batch in batches if len(batch) < 4 for one in batch if len(batch) > 1][:6] == [
        "0", "1", "2", "3", "4", "5",
    ]  # fmt: skip


def test_a_batch_is_of_one_shard(app: InlineApp) -> None:
    """Each shard has its own, in its order."""
    stream = app.stream("clicks", shards=3)
    stream.on_records()(app.calls(nothing))
    placed = stream.put_many((str(number), f"key {number}") for number in range(30))
    app.drain()
    by_shard: dict[str, list[str]] = {}
    for number, one in enumerate(placed):
        by_shard.setdefault(one.shard_id, []).append(str(number))
    assert sorted(_batches(app)) == sorted(by_shard.values())


def test_max_batching_window(app: InlineApp) -> None:
    """What is not full waits, from its first record's arrival on; what is full does not."""
    stream = app.stream("clicks")
    stream.on_records(batch_size=3, max_batching_window=10)(app.calls(nothing))
    _put(stream, "a")
    assert app.drain() == []
    app.pass_time(seconds=6)
    _put(stream, "b")
    assert app.pass_time(seconds=3.9) == []
    app.pass_time(seconds=0.1)
    assert _batches(app) == [["a", "b"]]
    _put(stream, "cdef")
    app.drain()
    assert _batches(app) == [["c", "d", "e"]]
    app.pass_time(seconds=10)
    assert _batches(app) == [["f"]]


def test_a_payload_has_six_megabytes(app: InlineApp) -> None:
    """A batch ends before it would have more; what is so full does not wait."""
    stream = app.stream("clicks")
    stream.on_records(max_batching_window=300)(app.calls(nothing))
    stream.put_many((bytes(1_000_000), "k") for _ in range(6))
    app.drain()
    (event,) = app.received
    assert len(event["Records"]) == 4
    assert len(json.dumps(event)) < 6 * 1024 * 1024
    app.pass_time(seconds=300)
    assert len(app.received[1]["Records"]) == 2


def test_what_no_event_holds_is_given_up(app: InlineApp) -> None:
    """Halved until the one record is alone that is too large; nothing else is held up."""

    def handler(event: Any) -> None:
        if len(json.dumps(event)) > 6_000_000:
            msg = "too large"
            raise PayloadError(msg, size=7, limit=6)

    stream = app.stream("clicks", max_record_kib=10240)
    stream.on_records()(app.calls(handler))
    _put(stream, "ab")
    stream.put(bytes(5_000_000), "k")
    _put(stream, "cd")
    app.drain()
    assert [one for batch in _batches(app) if len(str(batch)) < 100 for one in batch] == [
        *"ab", *"cd",
    ]  # fmt: skip
    (dead,) = app.dead()
    assert (dead.reason, dead.attempts) == ("RetryAttemptsExhausted", 0)


# --- where it begins --------------------------------------------------------------------


def test_starting_position(app: InlineApp) -> None:
    """From what is kept, from now on, or from a moment on."""
    stream = app.stream("clicks")
    _put(stream, "a")
    app.clock.advance(minutes=10)
    _put(stream, "b")
    app.clock.advance(minutes=10)
    stream.on_records(starting_position="TRIM_HORIZON")(app.calls(nothing, "all"))
    stream.on_records(starting_position="LATEST")(app.calls(nothing, "new"))
    stream.on_records(
        starting_position="AT_TIMESTAMP",
        starting_position_timestamp=_START + timedelta(minutes=5),
    )(app.calls(nothing, "since"))
    _put(stream, "c")  # at the moment of the declaration, and after it
    names = {one.function_name: one for one in app.drain()}
    assert set(names) == {"all", "new", "since"}
    assert sorted(_batches(app)) == [["a", "b", "c"], ["b", "c"], ["c"]]


def test_latest_is_kept_on_the_disk(tmp_path: Path) -> None:
    """What is put by a program that dies before it delivers is there for the next one."""
    first = InlineApp(tmp_path)
    first.stream("clicks").on_records(starting_position="LATEST")(first.calls(nothing))
    _put(first.stream("clicks"), "a")  # and it dies
    with InlineApp(tmp_path, first.clock) as app:
        app.stream("clicks").on_records(starting_position="LATEST")(app.calls(nothing))
        _put(app.stream("clicks"), "b")
        app.drain()
        assert _batches(app) == [["a", "b"]]


def test_it_goes_on_where_it_was(tmp_path: Path) -> None:
    """Over runs of the program, whatever the starting position says then."""
    clock = None
    for text in "abc":
        with InlineApp(tmp_path, clock) as app:
            clock = app.clock
            app.stream("clicks").on_records()(app.calls(nothing))
            _put(app.stream("clicks"), text)
            app.drain()
            assert _batches(app) == [[text]]


# --- in parallel ------------------------------------------------------------------------


def test_parallelization_factor(app: InlineApp) -> None:
    """Several batches of a shard at once; a key's records are in order, and hold up no other's."""
    stream = app.stream("clicks")
    stream.on_records(parallelization_factor=4)(app.calls(_failing_on("5")))
    keys = {str(number): f"key {number % 35}" for number in range(70)}
    stream.put_many((text, key) for text, key in keys.items())
    app.drain()
    batches = _batches(app)
    assert len(batches) == 4
    for batch in batches:
        for key in set(keys.values()):
            mine = [int(one) for one in batch if keys[one] == key]
            assert mine == sorted(mine)
    assert sorted(one for batch in batches for one in batch) == sorted(keys)
    blocked = next(batch for batch in batches if "5" in batch)
    app.pass_time(seconds=1)
    assert _batches(app) == [blocked]


def test_another_parallelization_factor(tmp_path: Path) -> None:
    """Nothing is lost when a shard is divided anew; what one part had not done may come again."""
    first = InlineApp(tmp_path)
    first.stream("clicks").on_records(parallelization_factor=3, batch_size=2)(
        first.calls(_failing_on("4"))
    )
    first.stream("clicks").put_many((str(number), f"key {number}") for number in range(20))
    first.drain()
    done = {one for batch in _batches(first) if "4" not in batch for one in batch}
    first.close()
    with InlineApp(tmp_path, first.clock) as app:
        app.stream("clicks").on_records(parallelization_factor=2)(app.calls(nothing))
        app.drain()
        again = {one for batch in _batches(app) for one in batch}
    assert "4" in again
    assert done | again == {str(number) for number in range(20)}


def test_two_processes_share_the_work(tmp_path: Path) -> None:
    """A lane is one process's at a time; another one goes on where that one stopped."""
    with InlineApp(tmp_path) as one, InlineApp(tmp_path) as other:
        for app in (one, other):
            app.stream("clicks").on_records()(app.calls(nothing))
        with one.running():
            _put(other.stream("clicks"), "a")
            while not one.received:
                # What another process wrote is seen when time passes, and this clock stands still.
                one._state.changes.tell()
                with one._state.changes.condition:
                    one._state.changes.condition.wait(0.05)
            assert other.drain() == []
        _put(other.stream("clicks"), "b")
        other.drain()
        assert _batches(one) == [["a"]]
        assert _batches(other) == [["b"]]


# --- what fails -------------------------------------------------------------------------


def test_a_batch_that_fails_holds_up_its_shard(app: InlineApp) -> None:
    """Without a limit it is tried again and again, and nothing behind it is."""
    stream = app.stream("clicks")
    stream.on_records()(app.calls(fail))
    _put(stream, "ab")
    app.drain()
    _put(stream, "c")
    for seconds in (1, 2, 4, 8, 16, 32, 60, 60):
        assert app.pass_time(seconds=seconds - 0.1) == []
        app.pass_time(seconds=0.1)
    assert _batches(app) == [["a", "b"]] * 9
    assert app.dead() == []
    (mapping,) = app.mappings
    assert mapping.last_processing_result == "PROBLEM: Function call failed"


def test_retry_attempts(app: InlineApp) -> None:
    """So often, and once before; then it is told, kept, and what is behind it goes on."""
    stream, failures = app.stream("clicks"), app.queue("failures")
    reader = app.calls(_failing_on("b"))
    stream.on_records(retry_attempts=2, on_failure=failures, batch_size=3)(reader)
    placed = stream.put_many((text, "k") for text in "abcd")
    app.drain()
    app.pass_time(seconds=1)
    app.pass_time(seconds=2)
    assert _batches(app) == [["a", "b", "c"]] * 3 + [["d"]]
    (record,) = _received(app, "failures")
    request_id = record["requestContext"].pop("requestId")
    assert record == {
        "requestContext": {
            "functionArn": reader.arn,
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 3,
        },
        "responseContext": {
            "statusCode": 200,
            "executedVersion": "$LATEST",
            "functionError": "Unhandled",
        },
        "version": "1.0",
        "timestamp": "2026-01-01T00:00:03.000Z",
        "KinesisBatchInfo": {
            "shardId": "shardId-000000000000",
            "startSequenceNumber": placed[0].sequence_number,
            "endSequenceNumber": placed[2].sequence_number,
            "approximateArrivalOfFirstRecord": "2026-01-01T00:00:00.000Z",
            "approximateArrivalOfLastRecord": "2026-01-01T00:00:00.000Z",
            "batchSize": 3,
            "streamArn": stream.arn,
        },
    }
    (dead,) = app.dead()
    assert (dead.request_id, dead.reason, dead.attempts) == (
        request_id,
        "RetryAttemptsExhausted",
        3,
    )
    assert "b is bad" in dead.detail
    assert _data(json.loads(dead.event)) == ["a", "b", "c"]


def test_what_was_given_up_can_be_redriven(app: InlineApp) -> None:
    """As an asynchronous invocation with the same event."""
    stream = app.stream("clicks")
    stream.on_records(retry_attempts=0)(app.calls(fail))
    _put(stream, "ab")
    app.drain()
    app.handlers["reader"] = nothing
    (dead,) = app.dead()
    app.redrive(dead)
    assert [one.ok for one in app.drain()] == [True]
    assert _batches(app) == [["a", "b"]] * 2


def test_max_record_age(app: InlineApp) -> None:
    """What is older is not tried: it is told of, and the younger rest of its batch is tried."""
    stream, failures = app.stream("clicks"), app.queue("failures")
    stream.on_records(max_record_age=60, on_failure=failures)(app.calls(nothing))
    _put(stream, "ab")
    app.clock.advance(seconds=61)
    _put(stream, "c")
    app.drain()
    assert _batches(app) == [["c"]]
    (record,) = _received(app, "failures")
    assert record["requestContext"]["condition"] == "RecordAgeExceeded"
    assert record["requestContext"]["approximateInvokeCount"] == 0
    assert record["responseContext"] is None
    assert record["KinesisBatchInfo"]["batchSize"] == 2
    assert [dead.reason for dead in app.dead()] == ["RecordAgeExceeded"]


def test_a_batch_that_grows_too_old(app: InlineApp) -> None:
    """Between two tries, too."""
    stream = app.stream("clicks")
    stream.on_records(max_record_age=60)(app.calls(_failing_on("a")))
    _put(stream, "a")
    app.drain()
    for _ in range(7):
        app.pass_time(seconds=20)
    assert len(_batches(app)) == 4  # at once, and after 20, 40 and 60 seconds
    (dead,) = app.dead()
    assert (dead.reason, dead.attempts) == ("RecordAgeExceeded", 4)


def test_records_that_are_kept_no_longer(app: InlineApp, caplog: Any) -> None:
    """When the stream's retention ends, what could not be done is gone, and is told of."""
    stream = app.stream("clicks")
    stream.on_records()(app.calls(_failing_on("a")))
    _put(stream, "a")
    app.drain()
    _put(stream, "b")
    app.clock.advance(hours=25)
    _put(stream, "c")
    app.drain()
    assert _batches(app) == [["a"], ["c"]]
    assert "were not kept any longer" in caplog.text


def test_bisect_batch_on_error(app: InlineApp) -> None:
    """Halves, and halves of these: all but the bad record are done, in order, and at once."""
    stream, failures = app.stream("clicks"), app.queue("failures")
    stream.on_records(bisect_batch_on_error=True, retry_attempts=1, on_failure=failures)(
        app.calls(_failing_on("f"))
    )
    _put(stream, "abcdefgh")
    app.drain()
    assert _batches(app) == [[*"abcdefgh"], [*"abcd"], [*"efgh"], [*"ef"], ["e"], ["f"]]
    app.pass_time(seconds=1)
    assert _batches(app) == [["f"], ["g", "h"]]
    (record,) = _received(app, "failures")
    assert record["KinesisBatchInfo"]["batchSize"] == 1
    assert record["requestContext"]["approximateInvokeCount"] == 2


def test_throttles_are_no_attempts(app: InlineApp) -> None:
    """What can't be run is put off, for longer each time, and costs no retry."""

    def throttled(_: Any) -> None:
        msg = "no room"
        raise ThrottledError(msg, reason="ReservedFunctionConcurrentInvocationLimitExceeded")

    stream = app.stream("clicks")
    stream.on_records(retry_attempts=0)(app.calls(throttled))
    _put(stream, "a")
    app.drain()
    for seconds in (1, 2, 4):
        app.pass_time(seconds=seconds)
    assert app.dead() == []
    app.handlers["reader"] = nothing
    assert [one.ok for one in app.pass_time(seconds=8)] == [True]


def test_a_function_that_cannot_run(app: InlineApp) -> None:
    """Its batch is as if it had not been tried."""

    def impossible(_: Any) -> None:
        msg = "its code can't travel"
        raise DefinitionError(msg)

    stream = app.stream("clicks")
    stream.on_records(retry_attempts=0)(app.calls(impossible))
    _put(stream, "a")
    with pytest.raises(DefinitionError):
        app.drain()
    app.handlers["reader"] = nothing
    assert [one.ok for one in app.drain()] == [True]


def test_on_failure_to_a_bucket(app: InlineApp) -> None:
    """There the record has the whole event, under AWS's key."""
    stream, letters = app.stream("clicks"), app.bucket("letters")
    stream.on_records(retry_attempts=0, on_failure=letters)(app.calls(fail))
    _put(stream, "ab")
    app.drain()
    (found,) = letters.list()
    (mapping,) = app.mappings
    prefix = f"aws/lambda/{mapping.uuid}/shardId-000000000000/2026/01/01/2026-01-01T00.00.00-"
    assert found.key.startswith(prefix)
    record = json.loads(letters.get(found.key).body or b"")
    assert json.loads(record["payload"]) == app.received[0]


# --- partial batches --------------------------------------------------------------------


def _reporting(*bad: str) -> Any:
    def handler(event: Any) -> Any:
        return {
            "batchItemFailures": [
                {"itemIdentifier": record["kinesis"]["sequenceNumber"]}
                for record, text in zip(event["Records"], _data(event), strict=True)
                if text in bad
            ]
        }

    return handler


def test_report_batch_item_failures(app: InlineApp) -> None:
    """From the lowest number that is named on, all is tried again; what is before it is done."""
    stream, failures = app.stream("clicks"), app.queue("failures")
    stream.on_records(
        report_batch_item_failures=True, retry_attempts=1, on_failure=failures, batch_size=5
    )(app.calls(_reporting("d", "b")))
    _put(stream, "abcdef")
    app.drain()
    assert _batches(app) == [[*"abcde"]]
    app.pass_time(seconds=1)
    assert _batches(app) == [[*"bcde"], ["f"]]
    (record,) = _received(app, "failures")
    assert record["KinesisBatchInfo"]["batchSize"] == 4
    assert record["responseContext"]["functionError"] is None


def test_reports_with_bisect(app: InlineApp) -> None:
    """A batch is split at the record that is named, which is no retry."""
    stream = app.stream("clicks")
    stream.on_records(
        report_batch_item_failures=True, bisect_batch_on_error=True, retry_attempts=0
    )(app.calls(_reporting("c")))
    _put(stream, "abcde")
    app.drain()
    assert _batches(app) == [[*"abcde"], [*"cde"], ["c"], ["d", "e"]]
    (dead,) = app.dead()
    assert _data(json.loads(dead.event)) == ["c"]


def test_without_it_answers_mean_nothing(app: InlineApp) -> None:
    """A function that names failures unasked has done its batch."""
    stream = app.stream("clicks")
    stream.on_records()(app.calls(_reporting("a")))
    _put(stream, "ab")
    app.drain()
    app.pass_time(hours=1)
    assert _batches(app) == [["a", "b"]]


# --- tumbling windows -------------------------------------------------------------------


def _counting(event: Any) -> Any:
    state = event["state"]
    for text in _data(event):
        state[text] = state.get(text, 0) + 1
    return {"state": state}


def test_tumbling_windows(app: InlineApp) -> None:
    """State goes from invocation to invocation; the window's end has it all, and ends it."""
    stream = app.stream("clicks")
    stream.on_records(tumbling_window=60, batch_size=2)(app.calls(_counting))
    app.clock.advance(seconds=10)
    _put(stream, "aab")
    app.drain()
    app.pass_time(seconds=20)
    _put(stream, "a")
    app.drain()
    assert [event["state"] for event in app.received[1:]] == [{"a": 2}, {"a": 2, "b": 1}]
    first = {name: value for name, value in app.received[0].items() if name != "Records"}
    assert first == {
        "window": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:01:00Z"},
        "state": {},
        "shardId": "shardId-000000000000",
        "eventSourceARN": stream.arn,
        "isFinalInvokeForWindow": False,
        "isWindowTerminatedEarly": False,
    }
    app.received.clear()
    assert app.pass_time(seconds=29.9) == []
    app.pass_time(seconds=0.1)
    (final,) = app.received
    assert final["isFinalInvokeForWindow"] is True
    assert final["state"] == {"a": 3, "b": 1}
    assert final["Records"] == []
    app.received.clear()
    _put(stream, "c")
    app.drain()
    assert app.received[0]["window"]["start"] == "2026-01-01T00:01:00Z"
    assert _batches(app) == [["c"]]


def test_a_record_of_the_next_window_ends_the_one_before(app: InlineApp) -> None:
    """A batch has records of one window, and the end of one comes before the next."""
    stream = app.stream("clicks")
    stream.on_records(tumbling_window=10)(app.calls(_counting))
    _put(stream, "a")
    app.clock.advance(seconds=10)
    _put(stream, "b")
    app.clock.advance(seconds=10)
    app.drain()
    seen = [
        (event["window"]["start"][-3:], event["isFinalInvokeForWindow"]) for event in app.received
    ]
    assert seen == [("00Z", False), ("00Z", True), ("10Z", False), ("10Z", True)]


def test_windows_survive_the_program(tmp_path: Path) -> None:
    """The state is on the disk with the place in the stream."""
    with InlineApp(tmp_path) as first:
        first.stream("clicks").on_records(tumbling_window=60)(first.calls(_counting))
        _put(first.stream("clicks"), "ab")
        first.drain()
    with InlineApp(tmp_path, first.clock) as app:
        app.stream("clicks").on_records(tumbling_window=60)(app.calls(_counting))
        app.pass_time(seconds=60)
        (final,) = app.received
    assert (final["isFinalInvokeForWindow"], final["state"]) == (True, {"a": 1, "b": 1})


def test_an_answer_without_state_has_failed(app: InlineApp) -> None:
    """The batch is tried again with the state that was."""
    stream = app.stream("clicks")
    stream.on_records(tumbling_window=60, batch_size=1)(app.calls(_counting))
    _put(stream, "a")
    app.drain()
    app.handlers["reader"] = nothing
    _put(stream, "b")
    app.drain()
    app.handlers["reader"] = _counting
    app.pass_time(seconds=1)
    assert [event["state"] for event in app.received] == [{}, {"a": 1}, {"a": 1}]
    assert app.mappings[0].last_processing_result == "OK"


def test_the_end_of_a_window_that_fails_holds_up_the_shard(app: InlineApp) -> None:
    """It is tried again, and given up as a batch would be, with the state among the dead."""

    def handler(event: Any) -> Any:
        if event["isFinalInvokeForWindow"]:
            fail(event)
        return _counting(event)

    stream = app.stream("clicks")
    stream.on_records(tumbling_window=60, retry_attempts=1)(app.calls(handler))
    _put(stream, "a")
    app.drain()
    app.clock.advance(seconds=60)
    _put(stream, "b")
    app.drain()
    assert [event["isFinalInvokeForWindow"] for event in app.received] == [False, True]
    app.pass_time(seconds=1)
    assert [event["isFinalInvokeForWindow"] for event in app.received][2:] == [True, False]
    (dead,) = app.dead()
    assert json.loads(dead.event)["state"] == {"a": 1}


def test_a_state_that_is_too_large_ends_its_window(app: InlineApp) -> None:
    """Early: the next invocation is its last, and says so; then one begins anew."""

    def handler(event: Any) -> Any:
        large = "x" * (1 << 20) if "a" in _data(event) else ""
        return {"state": {"text": large}}

    stream = app.stream("clicks")
    stream.on_records(tumbling_window=60, batch_size=1)(app.calls(handler))
    _put(stream, "ab")
    app.drain()
    told = [(one["isFinalInvokeForWindow"], one["isWindowTerminatedEarly"]) for one in app.received]
    assert told == [(False, False), (True, True), (False, False)]
    assert app.received[2]["state"] == {}


# --- filters, switches, declarations ----------------------------------------------------


def test_filters(app: InlineApp) -> None:
    """Of several one must match; the data is decoded; what matches none is passed over."""
    stream = app.stream("clicks")
    stream.on_records(
        filters=[
            {"data": {"page": ["/buy"], "price": [{"numeric": [">", 10]}]}},
            {"partitionKey": ["vip"]},
        ]
    )(app.calls(nothing))
    stream.put('{"page": "/buy", "price": 11}', "k")
    stream.put('{"page": "/buy", "price": 9}', "k")
    stream.put("no JSON", "k")
    stream.put(b"\xff", "vip")
    app.drain()
    (event,) = app.received
    assert [one["kinesis"]["data"] for one in event["Records"]] == [
        base64.b64encode(b'{"page": "/buy", "price": 11}').decode(),
        "/w==",
    ]


def test_what_is_filtered_out_is_read_once(tmp_path: Path) -> None:
    """A long run of it is written down as passed over, and invokes nothing."""
    with InlineApp(tmp_path) as app:
        stream = app.stream("clicks")
        stream.on_records(filters=[{"partitionKey": ["vip"]}])(app.calls(nothing))
        stream.put_many((b"x", "k") for _ in range(3000))
        assert app.drain() == []
        assert app.drain() == []
        with app._state.reading() as connection:
            (progress,) = connection.execute("SELECT progress FROM lanes").fetchone()
            (last,) = connection.execute("SELECT MAX(sequence) FROM records").fetchone()
    assert json.loads(progress)["position"] > last - 1000


def test_enabling_and_disabling(app: InlineApp) -> None:
    """A switch that outlives the program; nothing is lost while it is off."""
    stream = app.stream("clicks")
    stream.on_records(enabled=False)(app.calls(nothing))
    (mapping,) = app.mappings
    _put(stream, "a")
    assert (app.drain(), mapping.state) == ([], "Disabled")
    assert mapping.last_processing_result == "No records processed"
    mapping.enable()
    app.drain()
    assert (_batches(app), mapping.state) == ([["a"]], "Enabled")
    assert mapping.last_processing_result == "OK"
    mapping.disable()
    _put(stream, "b")
    assert app.drain() == []
    mapping.enable()
    app.drain()
    assert _batches(app) == [["b"]]


def test_one_mapping_of_a_source_and_a_function(app: InlineApp) -> None:
    """Again the same is none; another one is refused; a function defined anew takes over."""
    stream = app.stream("clicks")
    reader = app.calls(nothing)
    stream.on_records()(reader)
    stream.on_records()(reader)
    with pytest.raises(DefinitionError, match="already exists"):
        stream.on_records(batch_size=7)(reader)
    _put(stream, "a")
    app.drain()
    stream.on_records(batch_size=7)(app.calls(nothing))
    (mapping,) = app.mappings
    assert mapping.settings.batch_size == 7
    _put(stream, "b")
    app.drain()
    assert _batches(app) == [["a"], ["b"]]


def test_a_deny_holds(app: InlineApp) -> None:
    """To declare a mapping allows it to read; a Deny of the function's is stronger."""
    stream = app.stream("clicks")
    denied = deny("kinesis:GetRecords", on=stream)(app.calls(nothing, "denied"))
    stream.on_records()(denied)
    _put(stream, "a")
    assert app.drain() == []


def test_deny_of_a_stream_by_its_label_holds_for_its_table(app: InlineApp) -> None:
    """The label isn't known when the mapping is declared, so the Deny may be about it."""
    table = app.table("people", partition_key="id", stream="KEYS_ONLY")
    label = f"{table.arn}/stream/2026-01-01T00:00:00.000"
    table.on_change()(deny("dynamodb:GetRecords", on=label)(app.calls(nothing, "denied")))
    table.put({"id": "a"})
    assert app.drain() == []


def test_in_the_background(app: InlineApp) -> None:
    """What is put while the app runs is delivered at once."""
    stream = app.stream("clicks", shards=4)
    stream.on_records(parallelization_factor=2)(app.calls(nothing))
    with app.running():
        stream.put_many((str(number), f"key {number}") for number in range(100))
        while sum(map(len, (one["Records"] for one in list(app.received)))) < 100:
            with app._state.changes.condition:
                app._state.changes.condition.wait(0.05)
    assert sorted(one for batch in _batches(app) for one in batch) == sorted(map(str, range(100)))


def test_a_claim_that_is_dropped(app: InlineApp) -> None:
    """The batch is due again, as it was."""
    stream = app.stream("clicks")
    stream.on_records(batch_size=2)(app.calls(nothing))
    _put(stream, "abc")
    work = app._deliverer._works[1]
    work.look()
    for _ in range(2):
        task = work.claim()
        assert task is not None
        assert "2 records of" in task.label
        task.drop()
    app.drain()
    assert _batches(app) == [["a", "b"], ["c"]]


def _until_received(app: InlineApp, count: int) -> None:
    while sum(len(event["Records"]) for event in list(app.received)) < count:
        app._state.changes.tell()  # time stands still: what is new is looked for
        with app._state.changes.condition:
            app._state.changes.condition.wait(0.05)


def test_declared_anew_while_it_runs(app: InlineApp) -> None:
    """As in a notebook: new settings take effect, other parts of a shard, too."""
    stream = app.stream("clicks")
    stream.on_records()(app.calls(nothing))
    with app.running():
        _put(stream, "ab")
        _until_received(app, 2)
        stream.on_records(batch_size=1, parallelization_factor=2)(app.calls(nothing))
        (declared,) = app.mappings
        while not any(lane.mapping is declared._declared for lane in _lanes(app)):
            app._state.changes.tell()
            with app._state.changes.condition:
                app._state.changes.condition.wait(0.05)
        _put(stream, "cd")
        _until_received(app, 4)
    assert [len(batch) for batch in _batches(app)][-2:] == [1, 1]


def _lanes(app: InlineApp) -> list[Any]:
    work: Any = app._deliverer._works[1]
    return list(work._lanes.values())


def test_a_deny_is_told_of(app: InlineApp, caplog: Any) -> None:
    """Once."""
    stream = app.stream("clicks")
    stream.on_records()(deny("kinesis:GetRecords", on=stream)(app.calls(nothing)))
    for _ in range(3):
        app.drain()
    assert caplog.text.count("nothing is read of") == 1
