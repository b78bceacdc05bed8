"""What a handler sees and writes, exactly as on AWS: context, variables, log, REPORT."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import plain_deeds
import pytest

from faaskit import Function, Invocation, Invoker, function

pytestmark = pytest.mark.timeout(50)

# In isolation "namespace" /tmp is a file system of the function's own; code that lies there is
# where AWS has it.
CODE = Path(plain_deeds.__file__)
if Invoker().isolation == "namespace" and CODE.is_relative_to("/tmp"):
    CODE = Path("/var/task", CODE.name)

ACT: Function = function(plain_deeds.act, name="act", memory_size=256, timeout=30)
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


@pytest.fixture(scope="module")
def invoker() -> Iterator[Invoker]:
    """One Invoker whose INIT is over: what a log has of it is another test's."""
    with Invoker() as made:
        made.warm(ACT)
        yield made


# The context and the variables


def test_the_context(invoker: Invoker) -> None:
    """It has AWS's attributes and methods, all of them and no other, of this invocation."""
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
    assert found["methods"] == ["get_remaining_time_in_millis", "log", "w3c"]
    assert found["identity"] == {"cognito_identity_id": None, "cognito_identity_pool_id": None}
    assert found["w3c"] == {}
    assert re.fullmatch(UUID, invocation.request_id)


def test_the_remaining_time_runs_down(invoker: Invoker) -> None:
    """In whole milliseconds, from the timeout on."""
    before, after = invoker.invoke(ACT, {"do": "tells"}).result()["remaining"]
    assert isinstance(before, int)
    assert isinstance(after, int)
    assert 0 < after <= before - 50  # which is how long it slept between the two
    assert 25_000 < before <= 30_000


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
        "LAMBDA_TASK_ROOT": str(CODE.parent),
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


# The log


def framed(invocation: Invocation) -> list[str]:
    """Check START, END and REPORT; return the lines of the handler between them."""
    request_id = invocation.request_id
    assert invocation.logs.endswith("\n")
    first, *written, end, report = invocation.logs[:-1].split("\n")
    assert first == f"START RequestId: {request_id} Version: $LATEST"
    assert end == f"END RequestId: {request_id}"
    assert report == invocation.meter.report_line()
    return written


def test_the_log(invoker: Invoker) -> None:
    """START, what was written in its order, END, REPORT; a last line gets its newline."""
    lines = framed(invoker.invoke(ACT, {"do": "writes"}))
    assert sorted(lines[:2]) == ["by the context", "to stdout"]
    assert lines[2].endswith("\ta warning")
    assert lines[3:] == ["to stderr, without a newline"]


def test_the_lines_of_logging(invoker: Invoker) -> None:
    """``[LEVEL]``, the time in UTC to the millisecond, the request id, the message; tabs."""
    made = ACT.with_config(name="paris", environment={"TZ": "Europe/Paris"})
    before = datetime.now(timezone.utc) - timedelta(milliseconds=1)  # it is cut off, not rounded
    invocation = invoker.invoke(made, {"do": "logs"})
    lines = invocation.logs.partition("START")[2].splitlines()[1:-2]
    entries = [line.split("\t") for line in lines if line.startswith("[")]
    assert [[level, request_id, message] for level, _, request_id, message in entries] == [
        ["[DEBUG]", invocation.request_id, "at debug"],
        ["[INFO]", invocation.request_id, "at info"],
        ["[WARNING]", invocation.request_id, "at warning"],
        ["[ERROR]", invocation.request_id, "at error"],
        ["[CRITICAL]", invocation.request_id, "at critical"],
        ["[ERROR]", invocation.request_id, "it went wrong"],
    ]
    for _, time, _, _ in entries:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)
        found = datetime.strptime(time, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
        assert before <= found <= datetime.now(timezone.utc)
    assert lines[6] == "Traceback (most recent call last):"
    assert lines[-1] == "ValueError: caught"


def test_the_lines_of_an_error(invoker: Invoker) -> None:
    """``[ERROR]``, then the traceback, its indent in no-break spaces; no Status in REPORT."""
    invocation = invoker.invoke(ACT, {"do": "raises", "message": "boom"})
    lines = framed(invocation)
    assert lines[:2] == ["[ERROR] ValueError: boom", "Traceback (most recent call last):"]
    file = re.escape(str(CODE))
    assert re.fullmatch(rf'\u00a0{{2}}File "{file}", line \d+, in act', lines[2])
    assert lines[-1] == '\u00a0\u00a0\u00a0\u00a0raise ValueError(event["message"])'
    assert not any("_faaskit" in line for line in lines)
    assert invocation.meter.report_line().endswith(" MB\t")


# REPORT


@pytest.mark.parametrize(
    ("event", "ending"),
    [
        ({}, ""),
        ({"do": "raises", "message": "boom"}, ""),
        ({"do": "sleeps"}, "Status: timeout"),
        ({"do": "exits", "code": 3}, "Status: error\tError Type: Runtime.ExitError"),
        ({"do": "hoards"}, "Status: error\tError Type: Runtime.OutOfMemory"),
    ],
    ids=["ok", "error", "timeout", "exit", "out of memory"],
)
def test_the_report_line(invoker: Invoker, event: Any, ending: str) -> None:
    """Fields end in a tab; what ended the environment stands after the last."""
    made = ACT.with_config(timeout=1) if event.get("do") == "sleeps" else ACT
    invocation = invoker.invoke(made, event)
    assert framed(invocation)[1:] == [] or event.get("do") == "raises"
    found = re.fullmatch(
        rf"REPORT RequestId: {invocation.request_id}\tDuration: (\d+\.\d\d) ms\t"
        rf"Billed Duration: (\d+) ms\tMemory Size: 256 MB\tMax Memory Used: (\d+) MB\t{ending}",
        invocation.meter.report_line(),
    )
    assert found
    duration_ms, billed_ms, used_mb = map(float, found.groups())
    measured_ms = invocation.meter.duration_ms  # 1.0005 is shown as 1.00, and billed as 2
    assert duration_ms == pytest.approx(measured_ms, abs=0.006)
    assert billed_ms == math.ceil(measured_ms)
    assert 0 < used_mb <= 256


def test_init_is_on_the_first_meter_alone() -> None:
    """The call that waited for INIT has its log and pays for it; the next has neither."""
    with Invoker() as fresh:
        assert fresh.bill.records() == ()
        first, second = fresh.invoke(ACT, 1), fresh.invoke(ACT, 2)
    init_ms = first.meter.init_duration_ms
    assert init_ms is not None
    assert init_ms > 0
    assert first.meter.billed_duration_ms == math.ceil(init_ms + first.meter.duration_ms)
    assert first.logs.startswith("hello from INIT\nSTART")
    assert first.logs.endswith(f"\tInit Duration: {init_ms:.2f} ms\t\n")
    assert second.meter.init_duration_ms is None
    assert second.meter.billed_duration_ms == math.ceil(second.meter.duration_ms)
    assert "hello from INIT" not in second.logs
    assert "Init Duration" not in second.logs
    assert [record.status for record in fresh.bill.records()] == ["ok", "ok"]
