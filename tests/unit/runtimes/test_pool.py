"""What is kept ready: how it grows, who gives up what, and what idle minutes do to it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import plain_deeds
import pytest
from probes import templates_of, until

from faaskit import Function, Invoker, function
from faaskit.runtimes.local import LocalBackend

pytestmark = pytest.mark.timeout(100)

LEVELS = pytest.mark.parametrize("jailed", [False, True], ids=["process", "namespace"])


@pytest.fixture
def start() -> Iterator[Callable[..., Invoker]]:
    """Make an Invoker on a backend of one's own, and close it whatever happens."""
    made: list[Invoker] = []

    def start(**parameters: Any) -> Invoker:
        made.append(Invoker(backend=LocalBackend(**parameters)))
        return made[0]

    yield start
    for invoker in made:
        invoker.close()


def acting(name: str) -> Function:
    """Return a function with a template of its own."""
    return function(plain_deeds.act, name=name, timeout=30)


def parked(invoker: Invoker) -> int:
    """Return how many environments there are, by the processes that they are."""
    templates = templates_of(invoker)
    below = sum(len(template.children(recursive=True)) for template in templates)
    backend = invoker._backend
    if backend.jailed:  # type: ignore[attr-defined]
        # A template is the last of four, and each environment has a first process beside it.
        return (below - 3 * len(templates)) // 2
    return below


@LEVELS
def test_what_is_ready_ends_with_idleness(start: Callable[..., Invoker], jailed: bool) -> None:
    """Nothing but the template is left, and the next call needs no INIT."""
    invoker = start(jailed=jailed, idle_s=0.5)
    act = acting("idle")
    for number in range(10):
        assert invoker.invoke(act, number).result() == number
    until(lambda: parked(invoker) == 0, "no environment is left")
    assert len(templates_of(invoker)) == 1
    invocation = invoker.invoke(act, "again")
    assert invocation.result() == "again"
    assert invocation.meter.init_duration_ms is None
    until(lambda: parked(invoker) == 0, "no environment is left again")


@LEVELS
def test_what_warm_asked_for_stays(start: Callable[..., Invoker], jailed: bool) -> None:
    """It was asked to be ready, whenever the first call comes."""
    invoker = start(jailed=jailed, idle_s=0.2)
    idle, warmed = acting("idle"), acting("warmed")
    invoker.warm(warmed, 3)
    assert invoker.invoke(idle, 1).ok
    until(lambda: parked(invoker) == 3, "the other's have ended, and no more")


@LEVELS
def test_no_call_is_lost_to_idleness(start: Callable[..., Invoker], jailed: bool) -> None:
    """Environments that leave just when they are wanted: the event goes to another one."""
    invoker = start(jailed=jailed, idle_s=0.03)
    act = acting("raced")
    chance = random.Random(3)
    for number in range(150):
        assert invoker.invoke(act, number).result() == number
        time.sleep(chance.random() * 0.08)  # around the time at which they leave


@LEVELS
def test_the_functions_called_longest_ago_give_up_theirs(
    start: Callable[..., Invoker], jailed: bool
) -> None:
    """All functions together have no more ready than there is room for."""
    invoker = start(jailed=jailed, most_ready=12)
    functions = [acting(f"one-of-{number}") for number in range(5)]
    for each in functions:
        for number in range(6):
            assert invoker.invoke(each, number).result() == number
    # What a call orders is over the bound until the next one looks.
    until(lambda: parked(invoker) <= 12 + 2, "no more than there is room for")
    assert parked(invoker) > 0
    for each in functions:
        assert invoker.invoke(each, "still").result() == "still"
