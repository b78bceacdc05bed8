"""The Invoker: what goes in, what comes out, and who may run."""

from __future__ import annotations

import asyncio
import json
import math
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import plain_deeds
import pytest
from probes import Lifeline

from faaskit import Function, Invoker, exceptions, function

pytestmark = pytest.mark.timeout(50)

ACT: Function = function(plain_deeds.act, name="act", memory_size=256, timeout=30)
REQUEST_LIMIT = 6_291_456
RESPONSE_LIMIT = 6_291_556
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture(scope="module")
def invoker() -> Iterator[Invoker]:
    """One Invoker for all: no call may matter to the next."""
    with Invoker() as made:
        yield made


# Events


def recursive() -> list[Any]:
    """Return a list that holds itself."""
    made: list[Any] = []
    made.append(made)
    return made


def deep() -> list[Any]:
    """Return lists in lists, more than JSON's encoder follows."""
    made: list[Any] = []
    for _ in range(200_000):
        made = [made]
    return made


@pytest.mark.parametrize(
    "event",
    [object(), {1, 2}, b"bytes", [math.nan], {"a": math.inf}, {(1, 2): 3}, "\ud800", recursive()],
    ids=["object", "set", "bytes", "NaN", "infinity", "tuple key", "half a pair", "recursive"],
)
def test_an_event_that_is_not_json(invoker: Invoker, event: Any) -> None:
    """It is refused here, by every way to call, before anything runs or is billed."""
    before = len(invoker.bill.records())
    for call in (invoker.invoke, invoker.submit):
        with pytest.raises(exceptions.PayloadError, match="'act' is not JSON"):
            call(ACT, event)
    with pytest.raises(exceptions.PayloadError, match="'act' is not JSON"):
        list(invoker.map(ACT, [event]))
    with pytest.raises(exceptions.PayloadError, match="'act' is not JSON"):
        asyncio.run(invoker.ainvoke(ACT, event))
    assert len(invoker.bill.records()) == before


def test_an_event_nested_without_end(invoker: Invoker) -> None:
    """Too deep for the encoder is not JSON, either, rather than a RecursionError."""
    with pytest.raises(exceptions.PayloadError, match="is not JSON"):
        invoker.invoke(ACT, deep())


@pytest.mark.parametrize(
    "event", [None, True, 0, 1.5, "naïve ☃", [], {}, [1, {"a": [None]}], 2**70], ids=repr
)
def test_events_arrive_as_they_are(invoker: Invoker, event: Any) -> None:
    """Any JSON value goes in and comes back."""
    assert invoker.invoke(ACT, event).result() == event


def filled(size: int) -> dict[str, str]:
    """Return an event of exactly so many bytes of JSON."""
    event = {"do": "measures", "filler": ""}
    event["filler"] = "x" * (size - len(json.dumps(event)))
    return event


def test_an_event_of_exactly_the_limit(invoker: Invoker) -> None:
    """6,291,456 bytes arrive, all of them."""
    event = filled(REQUEST_LIMIT)
    assert invoker.invoke(ACT, event).result() == len(event["filler"])


def test_an_event_over_the_limit(invoker: Invoker) -> None:
    """One byte more is refused, with both figures."""
    with pytest.raises(exceptions.PayloadError, match="put the data in a bucket") as caught:
        invoker.invoke(ACT, filled(REQUEST_LIMIT + 1))
    assert (caught.value.size, caught.value.limit) == (REQUEST_LIMIT + 1, REQUEST_LIMIT)


def test_the_limit_counts_bytes_and_not_characters(invoker: Invoker) -> None:
    """A letter of two bytes counts as two, as on the wire."""
    with pytest.raises(exceptions.PayloadError) as caught:
        invoker.invoke(ACT, "é" * (REQUEST_LIMIT // 2))
    assert caught.value.size == REQUEST_LIMIT + 2


# Results


def test_a_result_of_exactly_the_limit(invoker: Invoker) -> None:
    """AWS takes 100 bytes over 6 MB."""
    invocation = invoker.invoke(ACT, {"do": "returns much", "size": RESPONSE_LIMIT})
    assert invocation.ok, invocation.payload
    assert len(invocation.raw) == RESPONSE_LIMIT


def test_a_result_over_the_limit(invoker: Invoker) -> None:
    """One byte more is AWS's error, and a PayloadError for who asks for the result."""
    invocation = invoker.invoke(ACT, {"do": "returns much", "size": RESPONSE_LIMIT + 1})
    assert invocation.status == "error"
    assert invocation.payload["errorType"] == "Function.ResponseSizeTooLarge"
    with pytest.raises(exceptions.PayloadError) as caught:
        invocation.result()
    assert caught.value.request_id == invocation.request_id


@pytest.mark.parametrize("what", ["object", "set"])
def test_a_result_that_is_not_json(invoker: Invoker, what: str) -> None:
    """What JSON can't hold is AWS's MarshalError, with the type's name in it."""
    invocation = invoker.invoke(ACT, {"do": "returns", "what": what})
    assert invocation.status == "error"
    assert invocation.payload["errorType"] == "Runtime.MarshalError"
    assert f"type {what} is not JSON serializable" in invocation.payload["errorMessage"]
    with pytest.raises(exceptions.FunctionError, match="MarshalError"):
        invocation.result()


@pytest.mark.parametrize(
    ("what", "raw", "payload"),
    [
        ("None", b"null", None),
        ("bytes", b"\xff\x00no JSON", b"\xff\x00no JSON"),
        ("JSON bytes", b'{"a": 1}', {"a": 1}),
        ("decimals", b'{"price": 1.10, "exact": 0.1234567890123456789}', None),
        ("text", None, "naïve ☃"),
    ],
)
def test_results_that_need_care(
    invoker: Invoker, what: str, raw: bytes | None, payload: Any
) -> None:
    """None is null, bytes are as they are, and no digit of a Decimal is lost."""
    invocation = invoker.invoke(ACT, {"do": "returns", "what": what})
    assert invocation.ok
    if raw is not None:
        assert invocation.raw == raw
    if what == "decimals":
        found = json.loads(invocation.raw, parse_float=Decimal)
        assert found["exact"] == Decimal("0.1234567890123456789")
    else:
        assert invocation.result() == payload


# Concurrency


def test_reserved_concurrency_throttles(invoker: Invoker, lifeline: Lifeline) -> None:
    """Over it a call is refused at once, in its Future; when there is room the next runs."""
    made = ACT.with_config(name="reserved", reserved_concurrency=1)
    first = invoker.submit(made, {"do": "holds", "port": lifeline.port})
    running = lifeline.next()
    second = invoker.submit(made, {})
    error = second.exception(timeout=20)
    assert isinstance(error, exceptions.ThrottledError)
    assert error.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
    with pytest.raises(exceptions.ThrottledError, match=re.escape("Rate Exceeded.")):
        invoker.invoke(made, {})
    assert invoker.invoke(ACT, "another function").ok
    running.let_go("done")
    assert first.result(timeout=20).result() == "done"
    assert invoker.invoke(made, "again").result() == "again"


def test_a_reserved_concurrency_of_zero_refuses_all(invoker: Invoker) -> None:
    """AWS's way to switch a function off."""
    with pytest.raises(exceptions.ThrottledError):
        invoker.invoke(ACT.with_config(reserved_concurrency=0), {})


def test_max_concurrency_is_of_all_functions_together(lifeline: Lifeline) -> None:
    """Over the Invoker's own limit, a call of whatever function is throttled."""
    with Invoker(max_concurrency=1) as small:
        future = small.submit(ACT, {"do": "holds", "port": lifeline.port})
        lifeline.next()
        with pytest.raises(exceptions.ThrottledError) as caught:
            small.invoke(ACT.with_config(name="other"), {})
        assert caught.value.reason == "ConcurrentInvocationLimitExceeded"
        future.cancel()


def test_threads_do_not_mix_their_calls(invoker: Invoker) -> None:
    """Eight threads with ten calls each: everyone gets their own results."""

    def ten(thread: int) -> list[list[int]]:
        return [invoker.invoke(ACT, [thread, number]).result() for number in range(10)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(ten, range(8)))
    assert found == [[[thread, number] for number in range(10)] for thread in range(8)]


# map


def test_map_is_lazy_and_in_order(invoker: Invoker) -> None:
    """Events are taken as there is room for them; results come in their order."""
    taken: list[int] = []

    def events() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    found = invoker.map(ACT, events(), concurrency=3)
    assert taken == []
    assert [next(found).result() for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(taken) <= 5 + 3
    found.close()  # type: ignore[attr-defined]  # it is a generator


def test_map_gives_failures_as_values(invoker: Invoker) -> None:
    """A call that fails stands in its place, and the others go on."""
    events = [1, {"do": "raises", "message": "boom"}, {"do": "returns", "what": "set"}, 4]
    found = list(invoker.map(ACT, events))
    assert [invocation.status for invocation in found] == ["ok", "error", "error", "ok"]
    assert found[1].payload["errorMessage"] == "boom"
    assert [found[0].result(), found[3].result()] == [1, 4]


def test_map_gives_what_came_before_a_bad_event(invoker: Invoker) -> None:
    """An event that can't be sent raises in its turn, after the results before it."""
    found = invoker.map(ACT, [1, 2, object(), 4], concurrency=4)
    assert [next(found).result(), next(found).result()] == [1, 2]
    with pytest.raises(exceptions.PayloadError):
        next(found)
    assert list(found) == []


def test_map_does_not_throttle_itself(invoker: Invoker) -> None:
    """It keeps to the function's reserved concurrency of its own accord."""
    made = ACT.with_config(name="narrow", reserved_concurrency=1)
    assert [i.result() for i in invoker.map(made, range(5))] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("concurrency", [0, -1, True, 1.5])
def test_map_refuses_a_concurrency_that_is_none(invoker: Invoker, concurrency: Any) -> None:
    """At once, not at the first result."""
    with pytest.raises(exceptions.DefinitionError, match="concurrency="):
        invoker.map(ACT, [], concurrency=concurrency)


# Bill


def test_the_bill_is_the_sum_of_the_meters() -> None:
    """Every call is on it, failed ones as well, to the last digit."""
    other = ACT.with_config(name="other", memory_size=1024, ephemeral_storage=2048)
    with Invoker() as fresh:
        found = [fresh.invoke(ACT, 1), fresh.invoke(ACT, {"do": "raises", "message": "boom"})]
        found += fresh.map(other, [1, 2, {"do": "returns", "what": "set"}])
    bill = fresh.bill
    assert bill.total_usd == sum(invocation.meter.cost_usd for invocation in found) > 0
    by_function = bill.by_function()
    assert {name: (b.invocations, b.errors) for name, b in by_function.items()} == {
        "act": (2, 1),
        "other": (3, 1),
    }
    assert {record.request_id for record in bill.records()} == {i.request_id for i in found}


# Processes


def test_leaving_the_block_waits_for_what_was_submitted() -> None:
    """With no exception on its way, nothing that was submitted is lost."""
    with Invoker() as fresh:
        futures = [fresh.submit(ACT, number) for number in range(4)]
    assert [future.result(timeout=0).result() for future in futures] == [0, 1, 2, 3]
    with pytest.raises(exceptions.SandboxError, match="closed"):
        fresh.invoke(ACT, 1)


def test_nothing_is_started_before_the_first_call() -> None:
    """An Invoker that runs nothing costs no process and no thread."""
    before = threading.active_count()
    with Invoker() as fresh:
        assert fresh._backend._keeper is None  # type: ignore[attr-defined]
        assert threading.active_count() == before
    assert fresh.closed


def test_cpu_time_is_of_the_handler(invoker: Invoker) -> None:
    """A short call has used some CPU, also where it is over before anybody can look."""
    for _ in range(30):
        invocation = invoker.invoke(ACT, {"do": "returns", "value": 1})
        assert invocation.meter.cpu_time_ms > 0
        time.sleep(0.005)  # a call after a pause finds an environment parked and a core idle
