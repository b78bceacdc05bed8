"""One handle, two sides: in the app it acts, inside a function it asks; failures raise."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

from faaskit.exceptions import (
    AccessDeniedError,
    NoSuchBucketError,
    NoSuchKeyError,
    ServiceError,
    ThrottledError,
)
from faaskit.gate.ask import ask
from faaskit.runtimes.contract import ServiceCall, ServiceFailure, ServiceReply
from faaskit.runtimes.failures import error_of


class _Owner:
    def __init__(self, reply: ServiceReply) -> None:
        self.reply = reply
        self.calls: list[ServiceCall] = []

    def perform(self, call: ServiceCall) -> ServiceReply:
        self.calls.append(call)
        return self.reply


def test_in_the_app_the_owner_acts() -> None:
    """The call is carried out as it is, and its reply comes back."""
    owner = _Owner(ServiceReply({"ETag": "x"}, b"body"))
    assert ask(owner, "s3", "GetObject", {"Key": "k"}, b"in") == owner.reply
    assert owner.calls == [ServiceCall("s3", "GetObject", {"Key": "k"}, b"in")]


def test_inside_a_function_the_gate_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call goes over the link, a failure comes back over it, and the owner does nothing."""
    sent: list[Any] = []
    replies = [
        ({"output": {"ETag": "x"}}, b"body"),
        ({"failure": {"code": "NoSuchKey", "message": "gone", "details": {"Key": "k"}}}, None),
    ]

    def service_call(*call: Any) -> Any:
        sent.append(call)
        return replies.pop(0)

    child = SimpleNamespace(service_call=service_call)
    monkeypatch.setitem(sys.modules, "_faaskit_child.inside", child)
    owner = _Owner(ServiceReply())
    reply = ask(owner, "s3", "GetObject", {"Key": "k"})
    assert (dict(reply.output), reply.body) == ({"ETag": "x"}, b"body")
    with pytest.raises(NoSuchKeyError, match="gone: 'k'"):
        ask(owner, "s3", "GetObject", {"Key": "k"})
    assert sent == [("s3", "GetObject", {"Key": "k"}, None)] * 2
    assert owner.calls == []


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDenied", AccessDeniedError),
        ("AccessDeniedException", AccessDeniedError),
        ("NoSuchKey", NoSuchKeyError),
        ("NoSuchBucket", NoSuchBucketError),
        ("TooManyRequestsException", ThrottledError),
        ("InvalidArgument", ServiceError),
        ("AccessDeniedPerhaps", ServiceError),
    ],
)
def test_failure_and_its_exception(code: str, kind: type[Exception]) -> None:
    """Each code has its kind of exception; what comes from AWS is kept."""
    details = {"action": "s3:GetObject", "resource": "arn", "reason": "why", "Reason": "Caller"}
    error = error_of(ServiceFailure(code, "words", details))
    assert type(error) is kind
    assert error.message == "words"
    if isinstance(error, AccessDeniedError):
        assert (error.action, error.resource, error.reason) == ("s3:GetObject", "arn", "why")
    if isinstance(error, ServiceError):
        assert error.code == code
    if isinstance(error, ThrottledError):
        assert error.reason == "Caller"


def test_denial_without_details() -> None:
    """A denial that says no more than that it is one is a denial all the same."""
    error = error_of(ServiceFailure("AccessDenied", "no"))
    assert isinstance(error, AccessDeniedError)
    assert (error.action, error.resource, error.reason) == ("", "", "")
