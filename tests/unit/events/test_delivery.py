"""Delivery: by AWS's rules on retries, and nothing lost between the queue and the function."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

from faaskit.clock import SystemClock
from faaskit.definition import FunctionConfig
from faaskit.events.asynchronous import AsynchronousQueue
from faaskit.events.attempts import Attempts
from faaskit.events.delivery import Deliverer
from faaskit.events.targets import Parcel
from faaskit.exceptions import DefinitionError, FaaskitError, SandboxError, ThrottledError
from faaskit.resources.state import State
from faaskit.runtimes.contract import ServiceFailure, ServiceReply
from faaskit.testing import FakeClock


@frozen
class _Function:
    config: FunctionConfig

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:us-east-1:123456789012:function:{self.name}"


@frozen
class _Invocation:
    event: Any
    request_id: str
    ok: bool = True
    raw: bytes = b"null"


class _Bench:
    """A deliverer whose functions do what ``outcomes`` says, one after another, then succeed."""

    def __init__(self, folder: Path, clock: FakeClock | SystemClock) -> None:
        self.clock = clock
        self.state = State(folder, app="photos")
        self.queue = AsynchronousQueue(self.state, clock)
        self.functions: dict[str, _Function] = {}
        self.outcomes: list[Exception | bool | Callable[[], object]] = []
        self.tried: list[tuple[str, Any, str]] = []
        self.attempts: Attempts[_Function, _Invocation] = Attempts(
            self.queue,
            functions=lambda: self.functions,
            invoke=self.invoke,
            forward=self.forward,
            clock=clock,
        )
        self.deliverer: Deliverer[_Invocation] = Deliverer(
            (self.attempts,), lambda: self.state.changes, clock=clock
        )
        self.sent: list[tuple[str, Parcel]] = []
        self.failures: list[str] = []
        self.define()

    def define(self, name: str = "f", **settings: Any) -> None:
        self.functions[name] = _Function(FunctionConfig(name=name, **settings))

    def invoke(self, function: _Function, event: Any, request_id: str) -> _Invocation:
        self.tried.append((function.name, event, request_id))
        outcome = self.outcomes.pop(0) if self.outcomes else True
        if isinstance(outcome, BaseException):
            raise outcome
        if callable(outcome):
            outcome()
            outcome = True
        raw = b"null" if outcome else b'{"errorType": "ValueError"}'
        return _Invocation(event, request_id, ok=outcome, raw=raw)

    def forward(self, function: str, parcel: Parcel) -> ServiceReply:
        self.sent.append((function, parcel))
        if not self.failures:
            return ServiceReply({})
        return ServiceReply(failure=ServiceFailure(self.failures.pop(0), "no"))

    def send(self, event: Any = 1, function: str = "f") -> str:
        return self.queue.send(function, json.dumps(event).encode())

    def advance(self, seconds: float) -> int:
        """Move the clock, deliver, and return how many invocations that made."""
        assert isinstance(self.clock, FakeClock)
        self.clock.advance(seconds=seconds)
        return len(self.deliverer.drain())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[_Bench]:
    """A deliverer on a new folder, with a clock that is moved by hand."""
    bench = _Bench(tmp_path, FakeClock("2026-01-01T00:00:00Z"))
    yield bench
    bench.state.close()


@pytest.fixture
def live(tmp_path: Path) -> Iterator[_Bench]:
    """A deliverer on a new folder, with the host's clock."""
    bench = _Bench(tmp_path, SystemClock())
    yield bench
    bench.deliverer.stop()
    bench.state.close()


# --- drain ------------------------------------------------------------------------------


def test_all_that_is_due_is_delivered_in_order(bench: _Bench) -> None:
    """One after another, with the event and the request id that was given out."""
    bench.define("g")
    ids = [bench.send({"n": 1}), bench.send({"n": 2}, "g"), bench.send({"n": 3})]
    invocations = bench.deliverer.drain()
    assert bench.tried == [
        ("f", {"n": 1}, ids[0]),
        ("g", {"n": 2}, ids[1]),
        ("f", {"n": 3}, ids[2]),
    ]
    assert [invocation.request_id for invocation in invocations] == ids
    assert (bench.queue.pending(), bench.queue.dead()) == ([], [])
    assert bench.deliverer.drain() == []


def test_events_that_no_function_is_for_are_told_of(
    bench: _Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """A function that was renamed leaves its events behind: they wait, and the log says so once."""
    for event in (1, 2):
        bench.send(event, "old")
    bench.send(3)
    assert len(bench.deliverer.drain()) == 1
    bench.deliverer.drain()
    (record,) = caplog.records
    assert record.getMessage() == (
        "2 events wait for function 'old', which the app does not have; define one of that "
        "name, or they go on waiting"
    )
    bench.define("old")
    assert len(bench.deliverer.drain()) == 2


def test_background_tells_of_events_that_no_function_is_for(
    live: _Bench, caplog: pytest.LogCaptureFixture
) -> None:
    """At its start, before it serves what it can."""
    live.send(1, "old")
    delivered = threading.Event()
    live.outcomes = [delivered.set]
    live.send(2)
    live.deliverer.start(1, None)
    assert delivered.wait(30)
    live.deliverer.stop()
    assert "1 events wait for function 'old'" in caplog.text


def test_what_a_delivery_causes_is_delivered_too(bench: _Bench) -> None:
    """An event that a function sends meanwhile comes last."""
    bench.outcomes = [lambda: bench.send("caused")]
    bench.send("first")
    bench.send("second")
    assert [call.event for call in bench.deliverer.drain()] == ["first", "second", "caused"]


def test_failure_is_tried_three_times(bench: _Bench) -> None:
    """At once, after one minute, after two more; then it is dead, with the last error."""
    bench.outcomes = [False, False, False]
    request_id = bench.send()
    assert bench.advance(0) == 1
    assert bench.advance(59.9) == 0
    assert bench.advance(0.1) == 1
    assert bench.advance(119.9) == 0
    assert bench.advance(0.1) == 1
    assert bench.advance(86_400) == 0
    assert bench.tried == [("f", 1, request_id)] * 3
    (dead,) = bench.queue.dead()
    assert (dead.reason, dead.attempts) == ("RetriesExhausted", 3)
    assert "ValueError" in dead.detail


def test_success_on_a_retry_is_success(bench: _Bench) -> None:
    """What succeeds in the end is done."""
    bench.outcomes = [False, True]
    bench.send()
    assert [bench.advance(0), bench.advance(60)] == [1, 1]
    assert (bench.queue.pending(), bench.queue.dead()) == ([], [])


@pytest.mark.parametrize("retries", [0, 1])
def test_retry_attempts_are_the_functions(bench: _Bench, retries: int) -> None:
    """A function may be tried again less often."""
    bench.define(retry_attempts=retries)
    bench.outcomes = [False] * 3
    bench.send()
    assert sum(bench.advance(600) for _ in range(4)) == 1 + retries
    assert bench.queue.dead()[0].reason == "RetriesExhausted"


def test_event_that_is_too_old_is_not_tried_again(bench: _Bench) -> None:
    """Where nobody was there in time for a retry, it is given up without one."""
    bench.define(max_event_age=100)
    bench.outcomes = [False]
    bench.send()
    assert bench.advance(0) == 1
    assert bench.advance(101) == 0
    (dead,) = bench.queue.dead()
    assert (dead.reason, dead.attempts) == ("EventAgeExceeded", 1)


def test_event_that_was_never_tried_is_never_too_old(bench: _Bench) -> None:
    """What waited for somebody to run at all is delivered, however long that took."""
    bench.define(max_event_age=60)
    bench.outcomes = [False]
    bench.send()
    assert bench.advance(30 * 86_400) == 1
    assert bench.queue.dead() == []
    assert bench.advance(60) == 1
    assert (bench.queue.pending(), bench.queue.dead()) == ([], [])


@pytest.mark.parametrize("error", [ThrottledError("over"), SandboxError("fork", step="fork")])
def test_throttles_and_faults_of_the_host_cost_no_attempt(
    bench: _Bench, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """They back off, 1, 2, 4 … seconds; the function still has its three attempts after."""
    bench.outcomes = [error, error, error, False, error, False, False]
    bench.send()
    with caplog.at_level(logging.WARNING):
        assert bench.advance(0) == 0
    assert type(error).__name__ in caplog.text
    tries = [len(bench.tried)]
    for seconds in (0.9, 0.1, 1.9, 0.1, 3.9, 0.1):
        bench.advance(seconds)
        tries.append(len(bench.tried))
    assert tries == [1, 1, 2, 2, 3, 3, 4]
    assert bench.queue.pending()[0].attempts == 1
    assert bench.advance(60) == 0, "throttled again: the count began anew, at one second"
    assert bench.advance(1) == 1
    assert bench.advance(120) == 1
    (dead,) = bench.queue.dead()
    assert (dead.reason, dead.attempts) == ("RetriesExhausted", 3)


def test_throttled_for_too_long(bench: _Bench) -> None:
    """Only its age ends an event that is never let through."""
    bench.define(max_event_age=60)
    bench.outcomes = [ThrottledError("over")] * 100
    bench.send()
    for _ in range(100):
        bench.advance(1)
    (dead,) = bench.queue.dead()
    assert (dead.reason, dead.attempts) == ("EventAgeExceeded", 0)
    assert len(bench.tried) == 6, "at 0, 1, 3, 7, 15, 31 s; the next would be at 63"


def test_no_concurrency_at_all(bench: _Bench) -> None:
    """A function that may not run has its events given up at once, unrun."""
    bench.define(reserved_concurrency=0)
    bench.send()
    assert bench.deliverer.drain() == []
    assert bench.tried == []
    assert bench.queue.dead()[0].reason == "ZeroReservedConcurrency"


def test_function_that_can_not_run_is_an_error(bench: _Bench) -> None:
    """drain() raises it, and the event is due as before."""
    bench.outcomes = [DefinitionError("can't travel: lock")]
    bench.send()
    with pytest.raises(DefinitionError, match="can't travel"):
        bench.deliverer.drain()
    (pending,) = bench.queue.pending()
    assert (pending.under_way, pending.attempts) == (False, 0)
    assert len(bench.deliverer.drain()) == 1


def test_ctrl_c_loses_nothing(bench: _Bench) -> None:
    """An event that was interrupted is due as before."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    bench.outcomes = [interrupt]
    bench.send()
    with pytest.raises(KeyboardInterrupt):
        bench.deliverer.drain()
    assert len(bench.deliverer.drain()) == 1


# --- in the background ------------------------------------------------------------------


def test_background_delivers_what_comes(live: _Bench) -> None:
    """What waits already, what is sent later, and it tells of each."""
    told: list[Any] = []
    three = threading.Event()

    def tell(invocation: _Invocation) -> None:
        told.append(invocation.event)
        if len(told) == 3:
            three.set()

    live.send(1)
    live.deliverer.start(4, tell)
    live.send(2)
    live.send(3)
    assert three.wait(20)
    live.deliverer.stop()
    assert sorted(told) == [1, 2, 3]
    assert live.queue.pending() == []


def test_background_is_bounded(live: _Bench) -> None:
    """As many at once as asked for, no more, and the next as soon as one is done."""
    lock, running, most = threading.Lock(), [0], [0]
    together = threading.Barrier(3)

    def work() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        together.wait(20)
        with lock:
            running[0] -= 1

    live.outcomes = [work] * 9
    done = threading.Semaphore(0)
    for number in range(9):
        live.send(number)
    live.deliverer.start(3, lambda _: done.release())
    for _ in range(9):
        assert done.acquire(timeout=20)
    live.deliverer.stop()
    assert most == [3]


def test_background_wakes_for_a_retry_of_a_moved_clock(tmp_path: Path) -> None:
    """Moving the clock by hand is enough: nothing is waited for in real time."""
    clock = FakeClock("2026-01-01T00:00:00Z")
    bench = _Bench(tmp_path, clock)
    bench.outcomes = [False, False]
    told = threading.Semaphore(0)
    bench.send()
    bench.deliverer.start(1, lambda _: told.release())
    for seconds in (0, 60, 120):
        clock.advance(seconds=seconds)
        assert told.acquire(timeout=20)
    bench.deliverer.stop()
    assert (bench.queue.pending(), bench.queue.dead()) == ([], [])
    bench.state.close()


def test_background_sees_what_others_send(live: _Bench, tmp_path: Path) -> None:
    """Another process's writes wake nobody here, and are delivered all the same."""
    other = State(tmp_path, app="photos")
    told = threading.Event()
    live.deliverer.start(1, lambda _: told.set())
    AsynchronousQueue(other, SystemClock()).send("f", b"1")
    assert told.wait(20)
    other.close()


def test_background_backs_off_from_what_can_not_run(bench: _Bench) -> None:
    """A function that can't run at all does not keep the dispatcher busy, nor end it."""
    assert isinstance(bench.clock, FakeClock)
    bench.outcomes = [DefinitionError("can't travel: lock")]
    told = threading.Event()
    bench.send()
    bench.deliverer.start(1, lambda _: told.set())
    now = bench.clock.now()
    while (pending := bench.queue.pending()) and pending[0].due == now:
        told.wait(0.01)
    assert [(event.due - now).total_seconds() for event in pending] == [1.0]
    assert len(bench.tried) == 1
    bench.clock.advance(seconds=1)
    assert told.wait(20)
    bench.deliverer.stop()
    assert len(bench.tried) == 2


def test_callback_that_raises_harms_nothing(live: _Bench, caplog: pytest.LogCaptureFixture) -> None:
    """It is in the log; the delivery is done, and the next one comes."""
    second = threading.Event()

    def tell(invocation: _Invocation) -> None:
        if invocation.event == 1:
            msg = "from the callback"
            raise ValueError(msg)
        second.set()

    live.send(1)
    live.deliverer.start(1, tell)
    live.send(2)
    assert second.wait(20)
    live.deliverer.stop()
    assert live.queue.pending() == []
    assert "from the callback" in caplog.text


def test_end_that_can_not_be_noted_is_not_the_end(live: _Bench) -> None:
    """A disk that fails for a moment: the event is delivered again, not stuck for ever."""
    done, told = live.queue.done, threading.Event()

    def fail_once(delivery: Any, **_: Any) -> None:
        live.queue.done = done  # type: ignore[method-assign]
        live.queue.hand_back = fail_again  # type: ignore[method-assign]
        msg = "disk full"
        raise SandboxError(msg, step="state")

    hand_back = live.queue.hand_back

    def fail_again(delivery: Any, **_: Any) -> None:
        live.queue.hand_back = hand_back  # type: ignore[method-assign]
        msg = "disk full"
        raise SandboxError(msg, step="state")

    live.queue.done = fail_once  # type: ignore[method-assign]
    live.send()
    live.deliverer.start(1, lambda _: told.set())
    assert told.wait(20)
    live.deliverer.stop()
    assert len(live.tried) == 2
    assert live.queue.pending() == []


def test_drain_takes_up_what_an_earlier_one_could_not_note(bench: _Bench) -> None:
    """A disk that fails for a moment leaves a claim; the next drain delivers the event again."""
    done, hand_back = bench.queue.done, bench.queue.hand_back

    def fail(delivery: Any, **_: Any) -> None:
        msg = "disk full"
        raise SandboxError(msg, step="state")

    bench.queue.done = bench.queue.hand_back = fail  # type: ignore[method-assign]
    bench.send()
    with pytest.raises(SandboxError, match="disk full"):
        bench.deliverer.drain()
    bench.queue.done, bench.queue.hand_back = done, hand_back  # type: ignore[method-assign]
    assert len(bench.deliverer.drain()) == 1
    assert bench.queue.pending() == []


def test_callback_can_not_stop_what_it_is_a_part_of(live: _Bench) -> None:
    """It would wait for its own thread; it is told so, and delivery goes on."""
    raised: list[BaseException] = []
    told = [threading.Event(), threading.Event()]

    def stop(_: Any) -> None:
        try:
            live.deliverer.stop()
        except Exception as error:  # noqa: BLE001 - whatever it is
            raised.append(error)
        told[len(raised) - 1].set()

    live.deliverer.start(1, stop)
    live.send()
    assert told[0].wait(20)
    live.send()
    assert told[1].wait(20)
    for error in raised:
        assert isinstance(error, FaaskitError)
        assert "on_delivery" in str(error)


def test_forked_child_delivers_by_itself(bench: _Bench) -> None:
    """It has none of its parent's threads, and no lock that one of them held at the fork."""
    bench.send()
    bench.deliverer.start(1, None)
    bench.deliverer.stop()
    bench.send()
    with bench.attempts._claiming:  # as a thread has it that looks for what is due
        child = os.fork()
        if child == 0:
            signal.alarm(20)  # in place of waiting for ever
            status = 1
            try:
                bench.deliverer.start(1, None)
                bench.deliverer.stop()
                bench.deliverer.drain()
                status = len(bench.queue.pending())
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
    assert bench.queue.pending() == []


def test_stop_waits_for_what_is_under_way(live: _Bench) -> None:
    """What was begun is finished and noted; what was not waits."""
    begun, go = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go.wait(20)

    live.outcomes = [work]
    live.send("begun")
    live.send("waits")
    live.deliverer.start(1, None)
    assert begun.wait(20)
    stopper = threading.Thread(target=live.deliverer.stop)
    stopper.start()
    assert live.queue.pending()[0].under_way
    go.set()
    stopper.join(20)
    assert not stopper.is_alive()
    assert [event.event for event in live.queue.pending()] == [b'"waits"']
    assert not live.deliverer.running


def test_interrupted_stop_hands_back(live: _Bench) -> None:
    """Ctrl-C while it waits: the event is due again, and its late end counts for nothing."""
    begun, go = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go.wait(20)

    live.outcomes = [work]
    live.send()
    live.deliverer.start(1, None)
    assert begun.wait(20)
    (worker,) = [thread for thread in threading.enumerate() if thread.name == "faaskit-delivery"]
    background = live.deliverer._background
    assert background is not None

    def interrupted() -> None:
        raise KeyboardInterrupt

    background.join = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        live.deliverer.stop()
    (pending,) = live.queue.pending()
    assert not pending.under_way
    go.set()
    worker.join(20)
    assert len(live.queue.pending()) == 1
    assert len(live.deliverer.drain()) == 1


def test_background_is_started_once(live: _Bench) -> None:
    """A second start is an error, and the first one goes on."""
    live.deliverer.start(1, None)
    with pytest.raises(FaaskitError, match="already"):
        live.deliverer.start(1, None)
    assert live.deliverer.running
    live.deliverer.stop()
    live.deliverer.stop()
    live.deliverer.start(1, None)
