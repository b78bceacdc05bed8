"""Calls beside a function that uses up what is counted for a user, or the watchdog's time."""

from __future__ import annotations

import os
from collections.abc import Iterator

import hoards
import hostile
import hostile_init
import pytest
from probes import Lifeline, family, parked_of, until, wait_gone

from faaskit import Invoker, function
from faaskit.functions import Function

HONEST: Function = function(hostile.act, name="honest", memory_size=256, timeout=20)
BRIEF = HONEST.with_config(timeout=1)
CROWD: Function = function(hoards.crowd, name="crowd", memory_size=512, timeout=60)

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def invoker() -> Iterator[Invoker]:
    """One Invoker; at full speed, so that a crowd does not take long to gather."""
    with Invoker("namespace", cpu_scaling=False) as made:
        made.warm(HONEST, 2)
        yield made
        processes = family(made)
    wait_gone(processes)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run a function as another user")
def test_functions_of_a_root_app_have_host_users_of_their_own() -> None:
    """Limits that the kernel counts for a user are then shared by no two functions."""
    with Invoker("namespace") as made:
        made.warm(HONEST, 1)
        first = {one.uids().real for one in until(lambda: parked_of(made), "a parked one")}
        made.warm(HONEST.with_config(environment={"OTHER": "1"}), 1)
        both = until(lambda: _users(made) - first, "one of the other function") | first
    assert len(first) == 1
    assert len(both) == 2
    assert 0 not in both


def _users(invoker: Invoker) -> set[int]:
    return {one.uids().real for one in parked_of(invoker)}


def test_descriptors_in_flight_keep_nobody_from_starting(
    invoker: Invoker, lifeline: Lifeline
) -> None:
    """The kernel counts them for all of a user's functions, and for the app."""
    event = {"what": "in flight", "count": 1250, "seconds": 4, "port": lifeline.port}
    crowd = invoker.submit(CROWD, event)
    assert lifeline.next().name == "there"
    for _ in range(12):
        assert invoker.invoke(HONEST).result() == "calm"
    # A template of its own is ordered and forked meanwhile, too.
    assert invoker.invoke(HONEST.with_config(environment={"NEW": "1"})).result() == "calm"
    assert not crowd.done()
    assert crowd.result(60).result() >= 1000


def test_threads_keep_nobody_from_starting(invoker: Invoker, lifeline: Lifeline) -> None:
    """Nine calls with a thousand threads each."""
    event = {"what": "threads", "count": 1000, "seconds": 4, "port": lifeline.port}
    crowds = [invoker.submit(CROWD, event) for _ in range(9)]
    for _ in crowds:
        assert lifeline.next().name == "there"
    for _ in range(12):
        assert invoker.invoke(HONEST).result() == "calm"
    for crowd in crowds:
        crowd.result(60)


def test_deadline_holds_beside_a_tree_that_takes_long_to_look_at(
    invoker: Invoker, lifeline: Lifeline
) -> None:
    """150 processes with a thousand descriptors each: loosely, for this machine is shared."""
    event = {
        "what": "processes", "count": 150, "descriptors": 1000, "seconds": 6,
        "port": lifeline.port,
    }  # fmt: skip
    crowd = invoker.submit(CROWD, event)
    assert lifeline.next().name == "there"
    for _ in range(3):
        late = invoker.invoke(BRIEF, {"do": "sleeps", "seconds": 10})
        assert late.status == "timeout"
        assert late.meter.duration_ms < 1500
    assert crowd.result(60).result() == 150


def test_init_that_forks_without_end_is_ended(invoker: Invoker) -> None:
    """Neighbours' calls go on while it lasts, and deadlines hold."""
    bomb = function(
        hostile_init.handler, name="bomb", memory_size=256, timeout=5,
        environment={"ATTACK": "fork without end"},
    )  # fmt: skip
    call = invoker.submit(bomb)
    for _ in range(3):
        late = invoker.invoke(BRIEF, {"do": "sleeps", "seconds": 10})
        assert late.status == "timeout"
        assert late.meter.duration_ms < 3000
        assert invoker.invoke(HONEST).result() == "calm"
    call.cancel()
