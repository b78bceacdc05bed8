"""The Invoker: what goes in, what comes out, and who may run."""

from __future__ import annotations

import asyncio
import json
import math
import os
import re
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import plain_deeds
import pytest
from probes import until, wait_gone

from faaskit import Function, Invocation, Invoker, exceptions, function

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


def sleeping(invoker: Invoker, made: Function, mark: Path) -> tuple[Future[Invocation], int]:
    """Have a call sleep; return its Future and its process."""
    future = invoker.submit(made, {"do": "sleeps", "started": str(mark)})
    until(mark.exists, "the handler's start")
    return future, int(mark.read_text())


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


def test_reserved_concurrency_throttles(invoker: Invoker, tmp_path: Path) -> None:
    """Over it a call is refused at once, in its Future; when there is room the next runs."""
    made = ACT.with_config(name="reserved", reserved_concurrency=1)
    first, pid = sleeping(invoker, made, tmp_path / "mark")
    second = invoker.submit(made, {})
    error = second.exception(timeout=20)
    assert isinstance(error, exceptions.ThrottledError)
    assert error.reason == "ReservedFunctionConcurrentInvocationLimitExceeded"
    with pytest.raises(exceptions.ThrottledError, match=re.escape("Rate Exceeded.")):
        invoker.invoke(made, {})
    assert invoker.invoke(ACT, "another function").ok
    assert first.cancel()
    wait_gone([pid])

    def again() -> Any:
        try:
            return invoker.invoke(made, "again")
        except exceptions.ThrottledError:
            return None

    assert until(again, "room for the next").result() == "again"


def test_a_reserved_concurrency_of_zero_refuses_all(invoker: Invoker) -> None:
    """AWS's way to switch a function off."""
    with pytest.raises(exceptions.ThrottledError):
        invoker.invoke(ACT.with_config(reserved_concurrency=0), {})


def test_max_concurrency_is_of_all_functions_together(tmp_path: Path) -> None:
    """Over the Invoker's own limit, a call of whatever function is throttled."""
    with Invoker(max_concurrency=1) as small:
        future, _ = sleeping(small, ACT, tmp_path / "mark")
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


def test_closing_map_kills_what_runs(invoker: Invoker, tmp_path: Path) -> None:
    """Who stops early leaves nothing running."""
    mark = tmp_path / "mark"
    found = invoker.map(ACT, [1, {"do": "sleeps", "started": str(mark)}])
    next(found)
    pid = int(until(lambda: mark.exists() and mark.read_text(), "the handler's start"))
    found.close()  # type: ignore[attr-defined]  # it is a generator
    wait_gone([pid])


# Cancelling


def test_cancelling_a_future_kills_the_process(invoker: Invoker, tmp_path: Path) -> None:
    """Cancelled while it runs: the process is gone, and nothing is billed."""
    before = len(invoker.bill.records())
    future, pid = sleeping(invoker, ACT, tmp_path / "mark")
    assert future.cancel()
    assert future.cancelled()
    wait_gone([pid])
    with pytest.raises(CancelledError):
        future.result(timeout=20)
    assert invoker.invoke(ACT, "next").result() == "next"
    assert len(invoker.bill.records()) == before + 1


def test_a_future_that_is_done_can_not_be_cancelled(invoker: Invoker) -> None:
    """What has ended stays ended."""
    future = invoker.submit(ACT, 1)
    assert future.result(timeout=20).result() == 1
    assert not future.cancel()
    assert future.result().ok


def test_cancelling_ainvoke_kills_the_process(invoker: Invoker, tmp_path: Path) -> None:
    """A cancelled task takes its function with it; the event loop was free all the time."""
    mark = tmp_path / "mark"

    async def main() -> int:
        event = {"do": "sleeps", "started": str(mark)}
        task = asyncio.create_task(invoker.ainvoke(ACT, event))
        while not mark.exists():  # noqa: ASYNC110  # another process makes it
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return int(mark.read_text())

    wait_gone([asyncio.run(main())])


def test_ainvoke_runs_side_by_side(invoker: Invoker) -> None:
    """Each of those gathered gets its own result."""

    async def main() -> list[Any]:
        found = await asyncio.gather(*(invoker.ainvoke(ACT, number) for number in range(6)))
        return [invocation.result() for invocation in found]

    assert asyncio.run(main()) == [0, 1, 2, 3, 4, 5]


# What a handler sees


def test_the_context(invoker: Invoker) -> None:
    """The attributes are AWS's, and of this invocation."""
    invocation = invoker.invoke(ACT, {"do": "tells"})
    found = invocation.result()
    context = found["context"]
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", context.pop("log_stream_name"))
    assert context == {
        "aws_request_id": invocation.request_id,
        "client_context": None,
        "function_name": "act",
        "function_version": "$LATEST",
        "invoked_function_arn": ACT.arn,
        "log_group_name": "/aws/lambda/act",
        "memory_limit_in_mb": "256",
        "tenant_id": None,
    }
    assert found["identity"] is None
    assert 0 < found["remaining"] <= 30_000
    assert re.fullmatch(UUID, invocation.request_id)


def test_the_environment_variables(invoker: Invoker) -> None:
    """AWS's variables say what they say there; the function's own are there, too."""
    made = ACT.with_config(name="varied", environment={"MODE": "a", "TZ": "Europe/Paris"})
    found = invoker.invoke(made, {"do": "tells"}).result()
    variables = found["environment"]
    assert {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python3.{sys.version_info.minor}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_NAME": "varied",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/varied",
        "AWS_LAMBDA_LOG_STREAM_NAME": found["context"]["log_stream_name"],
        "AWS_REGION": "us-east-1",
        "LAMBDA_TASK_ROOT": str(Path(plain_deeds.__file__).parent),
        "MODE": "a",
        "TZ": "Europe/Paris",
        "_HANDLER": "plain_deeds.act",
    }.items() <= variables.items()
    assert re.fullmatch(
        r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=[01]",
        variables["_X_AMZN_TRACE_ID"],
    )


def test_a_request_id_may_be_given(invoker: Invoker) -> None:
    """Retries share it; so it is the caller's choice."""
    wanted = "11111111-2222-3333-4444-555555555555"
    invocation = invoker.invoke(ACT, {"do": "tells"}, request_id=wanted)
    assert invocation.result()["context"]["aws_request_id"] == invocation.request_id == wanted


# Logs and bill


def test_the_log(invoker: Invoker) -> None:
    """START, what was written in its order, END, REPORT; logging has AWS's format."""
    invoker.invoke(ACT)
    invocation = invoker.invoke(ACT, {"do": "writes"})
    request_id = invocation.request_id
    lines = invocation.logs.splitlines()
    assert lines[0] == f"START RequestId: {request_id} Version: $LATEST"
    assert sorted(lines[1:3]) == ["by the context", "to stdout"]
    assert re.fullmatch(
        rf"\[WARNING\]\t\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z\t{request_id}\ta warning",
        lines[3],
    )
    assert lines[4:6] == ["to stderr, without a newline", f"END RequestId: {request_id}"]
    assert re.fullmatch(
        rf"REPORT RequestId: {request_id}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\t"
        r"Memory Size: 256 MB\tMax Memory Used: \d+ MB\t",
        lines[6],
    )
    assert len(lines) == 7
    assert invocation.logs.endswith("\n")
    assert invocation.meter.report_line() == lines[6]


def test_init_is_on_the_first_meter_alone() -> None:
    """The call that waited for INIT has its log and pays for it; the next has neither."""
    with Invoker() as fresh:
        assert fresh.bill.records() == ()
        first, second = fresh.invoke(ACT, 1), fresh.invoke(ACT, 2)
    assert first.meter.init_duration_ms is not None
    assert first.meter.init_duration_ms > 0
    assert first.logs.startswith("hello from INIT\nSTART")
    assert re.search(r"\tInit Duration: \d+\.\d\d ms\t\n", first.logs)
    assert second.meter.init_duration_ms is None
    assert "hello from INIT" not in second.logs
    assert "Init Duration" not in second.logs


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


FORKING = """
    import os, sys
    import plain_deeds
    from faaskit import Invoker, function

    act = function(plain_deeds.act, timeout=30)
    invoker = Invoker()
    if sys.argv[1] == "after a call":
        assert invoker.invoke(act, 1).result() == 1
    child = os.fork()
    name = "parent" if child else "child"
    for number in range(3):
        assert invoker.invoke(act, [name, number]).result() == [name, number]
        assert invoker.submit(act, name).result(20).result() == name
    invoker.close()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        print("both")
"""


@pytest.mark.parametrize("moment", ["before a call", "after a call"])
def test_after_a_fork_both_can_invoke(tmp_path: Path, moment: str) -> None:
    """A fork of the user's program shares no process and no socket with its parent."""
    script = tmp_path / "forking.py"
    script.write_text(textwrap.dedent(FORKING))
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(script), moment],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("both\n")


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
