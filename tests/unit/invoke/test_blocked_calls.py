"""A service call that blocks: the function's time is up all the same, and others go on."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from probes import Lifeline, until

from faaskit import App, Function, Invoker, allow, function

pytestmark = pytest.mark.timeout(80)

# Timeouts are held within 50 ms on a quiet machine; these are shared. What is looked for here
# would keep an invocation until the end of its test.
_SLACK_MS = 5_000
_TIMEOUT_S = 1


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """An App that keeps its state in a folder, opened already."""
    with App("blocked", state=tmp_path / "state") as made:
        made.bucket("notes").put("a", b"hello")
        made.invoker.isolation  # noqa: B018 - it is tried now, not on the first call's time
        yield made


@contextlib.contextmanager
def busy(app: App) -> Iterator[None]:
    """Keep every write to the state folder waiting, as another program's write does."""
    folder = app._state.folder
    with (folder / "write.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def storing(app: App, timeout: int = _TIMEOUT_S) -> Function:
    """Declare a function that puts an object into the app's bucket."""
    notes = app.bucket("notes")

    @app.function(name="store", timeout=timeout, memory_size=512)
    @allow("s3:PutObject", on=notes.objects("*"))
    def store(event: Any, context: Any) -> Any:
        notes.put(event, b"stored")
        return event

    return store


def test_timeout_ends_invocation_while_state_folder_is_busy(app: App) -> None:
    """It is told and billed to the kill; the write that was under way is done later."""
    store = storing(app)
    assert store.invoke("warm").ok
    with busy(app):
        began = time.monotonic()
        invocation = store.invoke("late")
        took_ms = (time.monotonic() - began) * 1000
    assert invocation.status == "timeout"
    assert took_ms < _TIMEOUT_S * 1000 + _SLACK_MS
    assert invocation.meter.duration_ms < _TIMEOUT_S * 1000 + _SLACK_MS
    # AWS carries out what it was sent, too. No later call is given the reply to this one.
    until(lambda: [one.key for one in app.bucket("notes").list()] == ["a", "late", "warm"], "late")
    assert store.invoke("next").result() == "next"


def test_first_invocation_of_app_ends_on_time_while_state_folder_is_busy(app: App) -> None:
    """Nothing that the app writes down of an invocation holds its end up either."""
    with busy(app):
        began = time.monotonic()
        invocation = storing(app).invoke("late")
        took_ms = (time.monotonic() - began) * 1000
    init_ms = invocation.meter.init_duration_ms or 0.0
    assert invocation.status == "timeout"
    assert took_ms - init_ms < _TIMEOUT_S * 1000 + _SLACK_MS


def test_result_is_returned_while_a_call_of_another_thread_blocks(app: App) -> None:
    """A handler that returns has returned: what a thread of its own waits for is not."""
    notes = app.bucket("notes")

    @app.function(timeout=30, memory_size=512)
    @allow("s3:PutObject", on=notes.objects("*"))
    def leave(event: Any, context: Any) -> Any:
        import threading

        threading.Thread(target=notes.put, args=("thread", b""), daemon=True).start()
        time.sleep(0.2)
        return "returned"

    with busy(app):
        invocation = leave.invoke()
    assert invocation.result() == "returned"
    assert invocation.meter.duration_ms < 5_000


def test_timeout_ends_caller_while_the_function_that_it_invoked_runs(lifeline: Lifeline) -> None:
    """As on AWS, the one that was invoked runs on to its own end, and is billed."""

    def hold(event: Any, context: Any) -> Any:
        import socket

        with socket.create_connection(("127.0.0.1", event)) as line:
            line.sendall(b"callee")
            return line.recv(64).decode()

    callee: Function = function(hold, name="blocked-callee", timeout=40)

    def call(event: Any, context: Any) -> Any:
        return callee.invoke(event).result()

    caller: Function = function(call, name="blocked-caller", timeout=_TIMEOUT_S)
    caller = allow("lambda:InvokeFunction", on=callee)(caller)
    with Invoker() as invoker:
        invoker.warm(callee)
        invoker.warm(caller)
        future = invoker.submit(caller, lifeline.port)
        held = lifeline.next()
        invocation = future.result(timeout=30)
        assert invocation.status == "timeout"
        assert invocation.meter.duration_ms < _TIMEOUT_S * 1000 + _SLACK_MS
        held.let_go("done")
        until(lambda: len(invoker.bill.records()) == 4, "the callee's bill")
        assert [one.status for one in invoker.bill.records()[2:]] == ["timeout", "ok"]


def test_cancelling_the_caller_cancels_what_it_invoked(lifeline: Lifeline) -> None:
    """Nobody wants the result of either."""

    def hold(event: Any, context: Any) -> Any:
        import socket

        with socket.create_connection(("127.0.0.1", event)) as line:
            line.sendall(b"callee")
            return line.recv(64).decode()

    callee: Function = function(hold, name="cancelled-callee", timeout=40)

    def call(event: Any, context: Any) -> Any:
        return callee.invoke(event).result()

    caller: Function = function(call, name="cancelled-caller", timeout=40)
    caller = allow("lambda:InvokeFunction", on=callee)(caller)
    with Invoker() as invoker:
        future = invoker.submit(caller, lifeline.port)
        held = lifeline.next()
        assert future.cancel()
        held.wait_end()
        until(lambda: not invoker._concurrency._running, "the end of both")
    assert invoker.bill.records() == ()


def test_a_later_call_never_gets_the_reply_to_an_abandoned_one(app: App) -> None:
    """Many that time out beside many that do not: each has its own answer or none."""
    notes = app.bucket("notes")

    @app.function(timeout=_TIMEOUT_S, memory_size=256)
    @allow("s3:*", on=[notes, notes.objects("*")])
    def write(event: Any, context: Any) -> Any:
        notes.put(event, event.encode())
        return (notes.get(event).body or b"").decode()

    names = [f"n{number}" for number in range(8)]
    assert write.invoke("warm").ok
    with busy(app):
        blocked = list(write.map(names, concurrency=8))
    assert {one.status for one in blocked} == {"timeout"}
    slow = write.with_config(timeout=30)
    assert [one.result() for one in slow.map(names, concurrency=8)] == names
