"""Threads that carry out service calls: one call under way, what is abandoned is bounded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

import pytest
from probes import until

from faaskit.invoke.call_threads import ABANDONED_MAX, Answering, CallThreads
from faaskit.runtimes.contract import ServiceCall, ServiceReply

pytestmark = pytest.mark.timeout(40)


class Upstream:
    """A service whose answers wait until they are let go."""

    def __init__(self) -> None:
        self.threads = CallThreads()
        self.replies: SimpleQueue[tuple[int, ServiceReply]] = SimpleQueue()
        self.begun: SimpleQueue[int] = SimpleQueue()
        self.go_on = threading.Event()

    def serve(self, call: ServiceCall) -> ServiceReply:
        """Answer with the call's own parameters."""
        self.begun.put(call.id)
        assert self.go_on.wait(30)
        return ServiceReply(call.parameters)

    def invocation(self) -> Answering:
        """Return the calls of one more invocation."""
        return Answering(self.threads, self.serve, lambda *reply: self.replies.put(reply))

    def call(self, answering: Answering, number: int) -> None:
        """Begin a call and wait until it is carried out."""
        answering.begin(ServiceCall("s3", "GetObject", {"number": number}, id=number))
        assert self.begun.get(timeout=20) == number


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    """One that nobody has called."""
    made = Upstream()
    yield made
    made.go_on.set()


def test_call_is_answered_in_another_thread(upstream: Upstream) -> None:
    """Whoever begins it does not wait."""
    upstream.call(upstream.invocation(), 1)
    assert upstream.replies.empty()
    upstream.go_on.set()
    assert upstream.replies.get(timeout=20) == (1, ServiceReply({"number": 1}))


def test_abandoned_call_is_not_answered(upstream: Upstream) -> None:
    """Its function is gone; what took its place hears nothing of it."""
    gone, here = upstream.invocation(), upstream.invocation()
    upstream.call(gone, 1)
    upstream.call(here, 2)
    gone.end()
    upstream.go_on.set()
    assert upstream.replies.get(timeout=20)[0] == 2
    until(lambda: len(upstream.threads._idle) == 2, "both threads to be idle")
    assert upstream.replies.empty()


def test_calls_are_refused_beside_too_many_abandoned_ones(upstream: Upstream) -> None:
    """An upstream that hangs collects no more threads; they are taken again when it answers."""
    for number in range(ABANDONED_MAX):
        answering = upstream.invocation()
        upstream.call(answering, number)
        answering.end()
    refused = upstream.invocation()
    refused.begin(ServiceCall("s3", "GetObject", {}, id=999))
    number, reply = upstream.replies.get(timeout=20)
    assert (number, reply.failure and reply.failure.code) == (999, "ServiceUnavailable")
    upstream.go_on.set()
    until(lambda: not upstream.threads.full, "the end of what was abandoned")
    upstream.call(refused, 1000)
    assert upstream.replies.get(timeout=20) == (1000, ServiceReply({"number": 1000}))


def test_abandoned_bodies_are_bounded_as_well(upstream: Upstream) -> None:
    """Few calls may hold much."""
    answering = upstream.invocation()
    body = bytes(1 << 28)
    answering.begin(ServiceCall("s3", "PutObject", {}, body, id=1))
    assert upstream.begun.get(timeout=20) == 1
    assert not upstream.threads.full
    answering.end()
    assert upstream.threads.full


def test_call_that_raises_is_answered(upstream: Upstream, caplog: pytest.LogCaptureFixture) -> None:
    """With no word of what went wrong, which is in the app's log."""

    def serve(_: ServiceCall) -> Any:
        msg = "a path of the app's"
        raise ValueError(msg)

    answering = Answering(upstream.threads, serve, lambda *reply: upstream.replies.put(reply))
    answering.begin(ServiceCall("s3", "GetObject", {}, id=1))
    _, reply = upstream.replies.get(timeout=20)
    assert reply.failure is not None
    assert reply.failure.code == "InternalFailure"
    assert "path" not in reply.failure.message
    assert "a path of the app's" in caplog.text
