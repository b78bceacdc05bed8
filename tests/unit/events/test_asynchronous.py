"""The queue: what was accepted stays until it is done or given up, claimed by one at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from faaskit.definition import ASYNC_REQUEST_LIMIT_BYTES
from faaskit.events.asynchronous import AsynchronousQueue, Delivery
from faaskit.events.retries import Again, Dead
from faaskit.exceptions import PayloadError
from faaskit.resources.state import State
from faaskit.testing import FakeClock

_ALL = ["f", "g"]


class _Bench:
    def __init__(self, folder: Path, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock("2026-01-01T00:00:00Z")
        self.state = State(folder, app="photos")
        self.queue = AsynchronousQueue(self.state, self.clock)

    def claim(self) -> Delivery:
        self.queue.take_over()
        delivery = self.queue.claim(_ALL)
        assert delivery is not None
        return delivery

    def again(self, delivery: Delivery, seconds: float) -> None:
        due = self.clock.now() + timedelta(seconds=seconds)
        self.queue.settle(delivery, Again(due), attempts=1, throttles=0, detail="")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[_Bench]:
    """A queue in a new folder."""
    bench = _Bench(tmp_path)
    yield bench
    bench.state.close()


def test_what_is_accepted_can_be_claimed_once(bench: _Bench) -> None:
    """The claim has what is needed to run it; meanwhile no one else gets it."""
    request_id = bench.queue.send("f", b'{"a": 1}')
    bench.clock.advance(seconds=5)
    delivery = bench.claim()
    assert (delivery.request_id, delivery.function, delivery.event) == (
        request_id,
        "f",
        b'{"a": 1}',
    )
    assert delivery.accepted == bench.clock.now() - timedelta(seconds=5)
    assert delivery.tried == bench.clock.now()
    assert (delivery.attempts, delivery.throttles) == (0, 0)
    assert bench.queue.claim(_ALL) is None
    (pending,) = bench.queue.pending()
    assert pending.under_way


def test_done_is_done(bench: _Bench) -> None:
    """What succeeded is gone."""
    bench.queue.send("f", b"1")
    bench.queue.done(bench.claim())
    assert (bench.queue.pending(), bench.queue.dead()) == ([], [])
    assert bench.queue.claim(_ALL) is None


def test_order_is_by_due_time_then_by_acceptance(bench: _Bench) -> None:
    """The same for everyone who looks, whatever the function."""
    for event, function in ((b"1", "f"), (b"2", "g"), (b"3", "f"), (b"4", "g")):
        bench.queue.send(function, event)
    first, second = bench.claim(), bench.claim()
    bench.again(first, 20)
    bench.again(second, 10)
    bench.clock.advance(seconds=20)
    assert [bench.claim().event for _ in range(4)] == [b"3", b"4", b"2", b"1"]


def test_due_is_due(bench: _Bench) -> None:
    """A retry is claimed when its time has come, not before, with the same request id."""
    request_id = bench.queue.send("f", b"1")
    first = bench.claim()
    bench.again(first, 60)
    assert bench.queue.claim(_ALL) is None
    assert bench.queue.next_due(_ALL) == bench.clock.now() + timedelta(seconds=60)
    bench.clock.advance(seconds=59.999)
    assert bench.queue.claim(_ALL) is None
    bench.clock.advance(seconds=0.001)
    second = bench.claim()
    assert second.request_id == first.request_id == request_id
    assert (second.attempts, second.tried) == (1, first.tried)
    assert bench.queue.next_due(_ALL) is None


def test_events_for_others_wait(bench: _Bench) -> None:
    """A process claims for the functions that it has, and leaves the rest alone."""
    bench.queue.send("elsewhere", b"1")
    assert bench.queue.claim(_ALL) is None
    assert bench.queue.claim([]) is None
    assert bench.queue.next_due(_ALL) is None
    assert bench.queue.next_due([]) is None
    assert len(bench.queue.pending()) == 1
    assert bench.queue.claim(["elsewhere"]) is not None


def test_event_is_a_part_of_its_transaction(bench: _Bench) -> None:
    """What is undone has no event."""

    def undone() -> None:
        with bench.state.writing() as connection:
            bench.queue.enqueue(connection, "f", b"1")
            raise KeyError

    with pytest.raises(KeyError):
        undone()
    assert bench.queue.pending() == []


def test_limit_is_lambdas(bench: _Bench) -> None:
    """1 MB is taken, one byte more is not, and says so."""
    assert ASYNC_REQUEST_LIMIT_BYTES == 1024**2
    bench.queue.send("f", b"1" * ASYNC_REQUEST_LIMIT_BYTES)
    with pytest.raises(PayloadError, match=r"1048577 byte payload .* \(limit 1048576") as caught:
        bench.queue.send("f", b"1" * (ASYNC_REQUEST_LIMIT_BYTES + 1))
    assert (caught.value.size, caught.value.limit) == (1048577, 1048576)
    assert len(bench.queue.pending()) == 1


def test_what_is_given_up_is_kept_with_the_reason(bench: _Bench) -> None:
    """It is never tried again, and can be looked at."""
    bench.queue.send("f", b'{"a": 1}')
    delivery = bench.claim()
    bench.clock.advance(seconds=1)
    bench.queue.settle(
        delivery, Dead("RetriesExhausted"), attempts=3, throttles=0, detail="x" * 5000
    )
    assert bench.queue.pending() == []
    (dead,) = bench.queue.dead()
    assert (dead.request_id, dead.function, dead.event) == (delivery.request_id, "f", b'{"a": 1}')
    assert (dead.reason, dead.attempts, dead.detail) == ("RetriesExhausted", 3, "x" * 1000)
    assert (dead.accepted, dead.died) == (delivery.accepted, bench.clock.now())


def test_the_dead_are_bounded(bench: _Bench) -> None:
    """The last 1,000 are kept."""
    with bench.state.writing() as connection:
        connection.executemany(
            "INSERT INTO dead_events VALUES"
            " (?, '', 'f', '', 0, 0, 3, 'RetriesExhausted', '', NULL)",
            [(number,) for number in range(1, 1001)],
        )
    bench.queue.send("f", b"1")
    delivery = bench.claim()
    bench.queue.settle(delivery, Dead("RetriesExhausted"), attempts=3, throttles=0, detail="")
    dead = bench.queue.dead()
    assert len(dead) == 1000
    assert dead[-1].request_id == delivery.request_id


def test_handing_back_is_as_if_it_had_not_been(bench: _Bench) -> None:
    """The event is due as before, and its age has not begun."""
    bench.queue.send("f", b"1")
    first = bench.claim()
    bench.clock.advance(hours=1)
    bench.queue.hand_back(first)
    second = bench.claim()
    assert second.tried == bench.clock.now()
    bench.again(second, 0)
    third = bench.claim()
    bench.clock.advance(hours=1)
    bench.queue.hand_back(third)
    assert bench.claim().tried == second.tried


def test_answer_that_comes_too_late_changes_nothing(bench: _Bench) -> None:
    """Once a claim was handed back, its end is no longer the event's end."""
    bench.queue.send("f", b"1")
    late = bench.claim()
    bench.queue.hand_back_all()
    second = bench.claim()
    bench.queue.done(late)
    bench.again(late, 60)
    bench.queue.hand_back(late)
    bench.queue.settle(late, Dead("RetriesExhausted"), attempts=3, throttles=0, detail="")
    assert bench.queue.dead() == []
    (pending,) = bench.queue.pending()
    assert pending.under_way
    bench.queue.done(second)
    assert bench.queue.pending() == []


def test_attempt_that_was_cut_off_is_none(bench: _Bench, tmp_path: Path) -> None:
    """The age counts from a try that came to an end: whoever died at it delivered nothing."""
    bench.queue.send("f", b"1")
    died = _Bench(tmp_path, bench.clock)
    died.claim()
    died.state.close()
    bench.clock.advance(hours=7)
    taken = bench.claim()
    assert (taken.tried, taken.fresh) == (bench.clock.now(), True)
    bench.queue.hand_back_all()
    bench.clock.advance(hours=7)
    lost = bench.claim()
    assert (lost.tried, lost.fresh) == (bench.clock.now(), True)


@pytest.mark.parametrize(("attempts", "throttles"), [(1, 0), (0, 1)])
def test_age_of_a_retry_that_was_cut_off_goes_on(
    bench: _Bench, tmp_path: Path, attempts: int, throttles: int
) -> None:
    """An earlier try did come to an end."""
    tried = bench.clock.now()
    bench.queue.send("f", b"1")
    bench.queue.settle(
        bench.claim(), Again(tried), attempts=attempts, throttles=throttles, detail=""
    )
    died = _Bench(tmp_path, bench.clock)
    died.claim()
    died.state.close()
    bench.clock.advance(seconds=5)
    assert bench.claim().tried == tried
    bench.queue.hand_back_all()
    assert bench.claim().tried == tried


def test_handing_all_back_leaves_what_is_under_way(bench: _Bench) -> None:
    """Claims that a thread is still at stay; those that it lost are due again."""
    for event in (b"1", b"2"):
        bench.queue.send("f", event)
    lost, kept = bench.claim(), bench.claim()
    bench.queue.hand_back_all(but={(kept.id, kept.claim)})
    assert bench.claim().event == lost.event
    assert bench.queue.claim(_ALL) is None


def test_two_states_share_one_queue(bench: _Bench, tmp_path: Path) -> None:
    """Each event is claimed by one of them; what one of them leaves, the other takes over."""
    other = _Bench(tmp_path, bench.clock)
    for number in range(4):
        bench.queue.send("f", b"%d" % number)
    claims = [bench.claim(), other.claim(), bench.claim(), other.claim()]
    assert [claim.event for claim in claims] == [b"0", b"1", b"2", b"3"]
    assert bench.queue.claim(_ALL) is None
    other.queue.hand_back_all()
    assert bench.claim().event == b"1"
    bench.queue.done(claims[3])
    other.state.close()
    assert bench.claim().event == b"3"


_CLAIMER = """
import sys
from faaskit.clock import SystemClock
from faaskit.events.asynchronous import AsynchronousQueue
from faaskit.resources.state import State
queue = AsynchronousQueue(State(sys.argv[1], app="photos"), SystemClock())
print(queue.claim(["f"]).request_id, flush=True)
sys.stdin.read()
"""


def test_claim_of_the_killed_is_taken_over_at_once(tmp_path: Path) -> None:
    """While another process is at an event no one else gets it; from its death on they do."""
    bench = _Bench(tmp_path, FakeClock("2100-01-01T00:00:00Z"))
    with bench.state.writing() as connection:
        connection.execute(
            "INSERT INTO events (request_id, function, event, accepted_ms, due_ms)"
            " VALUES ('id', 'f', '1', 0, 0)"
        )
    with subprocess.Popen(
        [sys.executable, "-c", _CLAIMER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    ) as claimer:
        assert claimer.stdout is not None
        assert claimer.stdout.readline() == "id\n"
        try:
            bench.queue.take_over()
            assert bench.queue.claim(_ALL) is None
        finally:
            claimer.kill()
        claimer.wait()
        assert bench.claim().request_id == "id"
    bench.state.close()
