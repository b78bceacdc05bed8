"""The lambda service: a function that invokes another one through the gate."""

from __future__ import annotations

import base64
import logging
from typing import Any

import pytest
from attrs import frozen

from faaskit.exceptions import (
    DefinitionError,
    PayloadError,
    SandboxError,
    ServiceError,
    ThrottledError,
)
from faaskit.gate.invoking import LambdaService
from faaskit.gate.operations.requirements import requirements
from faaskit.gate.service import Caller, Refusal
from faaskit.runtimes.contract import ServiceCall, ServiceFailure, ServiceReply

_ARN = "arn:aws:lambda:us-east-1:123456789012:function:resize"


@frozen
class _Invocation:
    ok: bool = True
    raw: bytes = b'"done"'
    logs: str = "START\nEND\n"

    def to_wire(self) -> dict[str, Any]:
        return {"status": "ok" if self.ok else "error"}


class _Function:
    def __init__(self) -> None:
        self.events: list[Any] = []
        self.sent: list[Any] = []
        self.outcome: _Invocation | Exception = _Invocation()

    def invoke(self, event: Any) -> _Invocation:
        self.events.append(event)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def send(self, event: Any) -> str:
        self.sent.append(event)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return "the-id"


class _Bench:
    def __init__(self) -> None:
        self.function = _Function()
        functions = {"resize": self.function}
        self.service = LambdaService(functions.get, region="us-east-1", account="123456789012")

    def call(self, body: bytes | None = None, **parameters: Any) -> ServiceReply:
        call = ServiceCall("lambda", "Invoke", {"FunctionName": "resize", **parameters}, body)
        return self.service.perform(call, Caller("me"))

    def failure(self, body: Any = None, **parameters: Any) -> ServiceFailure:
        with pytest.raises(Refusal) as caught:
            self.call(body, **parameters)
        return caught.value.failure

    def arn(self, **parameters: Any) -> str:
        (needed,) = requirements(
            ServiceCall("lambda", "Invoke", parameters), region="us-east-1", account="123456789012"
        )
        assert (needed.action, needed.context) == ("lambda:InvokeFunction", {})
        assert not needed.unknown.resource
        return needed.resource


@pytest.fixture
def bench() -> _Bench:
    """A service with one function, ``resize``."""
    return _Bench()


def test_invoke_waits_for_the_result(bench: _Bench) -> None:
    """The event gets there, and AWS's output comes back with the result as the body."""
    reply = bench.call(b'{"key": [1, "\xc3\xa9"]}')
    output = {"StatusCode": 200, "ExecutedVersion": "$LATEST", "Invocation": {"status": "ok"}}
    assert reply == ServiceReply(output, b'"done"')
    assert bench.function.events == [{"key": [1, "é"]}]


def test_failed_function_is_no_failed_call(bench: _Bench) -> None:
    """A function error is a success of the call, marked as AWS does."""
    bench.function.outcome = _Invocation(ok=False, raw=b'{"errorType": "X"}')
    reply = bench.call(b"1")
    assert reply.output["StatusCode"] == 200
    assert reply.output["FunctionError"] == "Unhandled"
    assert reply.body == b'{"errorType": "X"}'


@pytest.mark.parametrize("body", [None, b""])
def test_no_payload_is_an_empty_object(bench: _Bench, body: bytes | None) -> None:
    """As on AWS."""
    bench.call(body)
    assert bench.function.events == [{}]


def test_tail_of_the_log(bench: _Bench) -> None:
    """On request, the last 4 KB, in base64."""
    bench.function.outcome = _Invocation(logs="a" * 10 + "b" * 4096)
    assert "LogResult" not in bench.call(LogType="None").output
    assert base64.b64decode(bench.call(LogType="Tail").output["LogResult"]) == b"b" * 4096


def test_event_is_sent(bench: _Bench) -> None:
    """An asynchronous invocation is accepted, not waited for."""
    reply = bench.call(b"[1]", InvocationType="Event")
    metadata = {"RequestId": "the-id", "HTTPStatusCode": 202}
    assert reply == ServiceReply({"StatusCode": 202, "ResponseMetadata": metadata})
    assert (bench.function.sent, bench.function.events) == ([[1]], [])


def test_dry_run_runs_nothing(bench: _Bench) -> None:
    """A dry run says that it could."""
    assert bench.call(b"1", InvocationType="DryRun") == ServiceReply({"StatusCode": 204})
    assert (bench.function.sent, bench.function.events) == ([], [])


@pytest.mark.parametrize(
    ("parameters", "arn"),
    [
        ({"FunctionName": "resize"}, _ARN),
        ({"FunctionName": _ARN}, _ARN),
        ({"FunctionName": "123456789012:function:resize"}, _ARN),
        ({"FunctionName": "resize:$LATEST"}, f"{_ARN}:$LATEST"),
        ({"FunctionName": f"{_ARN}:prod"}, f"{_ARN}:prod"),
        ({"FunctionName": "resize", "Qualifier": "7"}, f"{_ARN}:7"),
        ({"FunctionName": "resize:7", "Qualifier": "7"}, f"{_ARN}:7"),
    ],
)
def test_permission_is_on_the_function_as_addressed(
    bench: _Bench, parameters: dict[str, str], arn: str
) -> None:
    """A qualifier is a part of the ARN, since policies tell versions apart."""
    assert bench.arn(**parameters) == arn


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"FunctionName": "nope"}, f"Function not found: {_ARN[:-6]}nope:$LATEST"),
        ({"Qualifier": "7"}, f"Function not found: {_ARN}:7"),
        (
            {"FunctionName": _ARN.replace("1234", "9999")},
            f"Function not found: {_ARN.replace('1234', '9999')}:$LATEST",
        ),
        (
            {"FunctionName": _ARN.replace("us-east-1", "eu-west-1")},
            "Functions from 'eu-west-1' are not reachable in this region ('us-east-1')",
        ),
    ],
)
def test_functions_that_there_are_not(bench: _Bench, parameters: dict[str, str], said: str) -> None:
    """AWS's code and words."""
    assert bench.failure(**parameters) == ServiceFailure("ResourceNotFoundException", said)


@pytest.mark.parametrize(
    "parameters",
    [
        {"FunctionName": None},
        {"FunctionName": ""},
        {"FunctionName": "a b"},
        {"FunctionName": "resize\n"},
        {"FunctionName": "arn:aws:s3:::bucket"},
        {"FunctionName": ["resize"]},
        {"FunctionName": "resize:7", "Qualifier": "8"},
        {"Qualifier": "*"},
        {"InvocationType": "Fast"},
        {"LogType": "Head"},
        {"ClientContext": "e30="},
    ],
)
def test_parameters_that_are_refused(bench: _Bench, parameters: dict[str, Any]) -> None:
    """What AWS does not take, or what would have no effect; nothing runs."""
    assert bench.failure(**parameters).code == "InvalidParameterValueException"
    assert bench.function.events == []


@pytest.mark.parametrize("body", [b"{", b"\xff", b"NaN", b"[-Infinity]", b"[" * 100_000])
def test_payload_that_is_no_json(bench: _Bench, body: bytes) -> None:
    """What can't be parsed does not get to the function."""
    failure = bench.failure(body)
    assert failure.code == "InvalidRequestContentException"
    assert failure.message.startswith("Could not parse request body into json")
    assert bench.function.events == []


@pytest.mark.parametrize(("kind", "limit"), [("RequestResponse", 6_291_456), ("Event", 1_048_576)])
def test_payload_over_the_limit(bench: _Bench, kind: str, limit: int) -> None:
    """Each kind of invocation has its limit; what has just that size is taken."""
    bench.call(b"1" + b" " * (limit - 1), InvocationType=kind)
    assert bench.function.events + bench.function.sent == [1]
    assert bench.failure(b"1" + b" " * limit, InvocationType=kind) == ServiceFailure(
        "RequestTooLargeException",
        f"{limit + 1} byte payload is too large for the {kind} invocation type "
        f"(limit {limit} bytes)",
    )


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (
            ThrottledError("over", reason="ReservedFunctionConcurrentInvocationLimitExceeded"),
            ServiceFailure(
                "TooManyRequestsException",
                "Rate Exceeded.",
                {"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded"},
            ),
        ),
        (PayloadError("too large"), ServiceFailure("RequestTooLargeException", "too large")),
        (
            DefinitionError("it can't travel"),
            ServiceFailure("InvalidParameterValueException", "it can't travel"),
        ),
        (
            ServiceError("a loop", code="RecursiveInvocationException"),
            ServiceFailure("RecursiveInvocationException", "a loop"),
        ),
    ],
)
@pytest.mark.parametrize("kind", ["RequestResponse", "Event"])
def test_invocation_that_is_not_taken(
    bench: _Bench, kind: str, error: Exception, failure: ServiceFailure
) -> None:
    """A throttle and a payload that is refused further in have AWS's codes."""
    bench.function.outcome = error
    assert bench.failure(InvocationType=kind) == failure


def test_fault_of_the_host_gives_nothing_away(
    bench: _Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller learns that it was not its fault; the log has the rest."""
    bench.function.outcome = SandboxError("/secret/path is full", step="fork")
    with caplog.at_level(logging.ERROR):
        failure = bench.failure()
    assert failure.code == "ServiceException"
    assert "secret" not in failure.message
    assert "secret" in caplog.text


def test_other_operations_are_not_there(bench: _Bench) -> None:
    """Only Invoke is."""
    with pytest.raises(Refusal) as caught:
        bench.service.perform(ServiceCall("lambda", "DeleteFunction", {}), Caller("me"))
    assert caught.value.failure.code == "UnknownOperationException"


def test_nothing_else_is_disclosed(bench: _Bench) -> None:
    """Who may invoke a function may know whether it exists."""
    call = ServiceCall("lambda", "Invoke", {"FunctionName": "resize"})
    assert bench.service.discloses(call, ServiceFailure("ResourceNotFoundException", "")) is None
