"""
INIT code that attacks: it spoils its own function at most, never another's, nor the launcher.

It runs in the template, with the template's socket to the launcher in reach.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from concurrent.futures import wait

import hostile
import hostile_init
import pytest
from probes import family, launcher_of, wait_gone

from faaskit import Invoker, exceptions, function
from faaskit.functions import Function

HONEST: Function = function(hostile.act, name="honest", memory_size=256, timeout=20)
OUTCOMES = {"ok", "error", "exit", "signal", "timeout", "out_of_memory"}


@pytest.fixture(scope="module", params=["process", "namespace"])
def invoker(request: pytest.FixtureRequest) -> Iterator[Invoker]:
    """One Invoker for all attacks of a level: it survives them, and closes at the end."""
    with Invoker(request.param) as made:
        made.warm(HONEST, 2)
        yield made
        processes = family(made)
    wait_gone(processes)


def attacker(attack: str, **parameters: object) -> Function:
    """Return a function whose INIT attacks so; each is one of its own."""
    variables = {"ATTACK": attack, **{name.upper(): str(v) for name, v in parameters.items()}}
    made: Function = function(
        hostile_init.handler, name="attacker", memory_size=128, timeout=2, environment=variables
    )
    return made


def attack(invoker: Invoker, made: Function) -> None:
    """Call it, and see that neither the launcher nor a neighbour notices."""
    launcher = launcher_of(invoker)
    with contextlib.suppress(exceptions.SandboxError):  # a template that was killed
        assert invoker.invoke(made, {"n": 1}).status in OUTCOMES
    assert invoker.invoke(HONEST).status == "ok"
    assert launcher_of(invoker) == launcher


@pytest.mark.parametrize("seed", range(5))
def test_crafted_reports_spoil_their_own_function_alone(invoker: Invoker, seed: int) -> None:
    """Lies about pids, errnos and figures; depth, Infinity and text from the days of JSON."""
    attack(invoker, attacker("send crafted reports", seed=seed))


@pytest.mark.parametrize("seed", range(10))
def test_random_reports_spoil_their_own_function_alone(invoker: Invoker, seed: int) -> None:
    """Random numbers in the right shape, and random bytes."""
    attack(invoker, attacker("send random reports", seed=seed))


def test_flood_of_reports_spoils_its_own_function_alone(invoker: Invoker) -> None:
    """A template that never stops reporting is ended; its neighbour's calls go on."""
    for seed in range(3):
        attack(invoker, attacker("flood with reports", seed=seed))


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_launcher_survives_minutes_of_reports(invoker: Invoker) -> None:
    """Random reports for SOAK_SECONDS, each time by another template."""
    end = time.monotonic() + float(os.environ.get("SOAK_SECONDS", "180"))
    seed = 1000
    while time.monotonic() < end:
        seed += 1
        kind = ("send random reports", "flood with reports", "send crafted reports")[seed % 3]
        attack(invoker, attacker(kind, seed=seed))
    assert seed > 1010


@pytest.mark.parametrize("isolation", ["process", "namespace"])
def test_template_that_reads_no_orders_blocks_nobody(isolation: str) -> None:
    """Its orders pile up: neither a neighbour nor ``close`` waits for it."""
    with Invoker(isolation) as made:
        assert made.invoke(HONEST).status == "ok"
        calls = [made.submit(attacker("never read")) for _ in range(24)]
        for _ in range(5):
            assert made.invoke(HONEST).status == "ok"
        processes = family(made)
    wait_gone(processes)
    _, waiting = wait(calls, 20)
    assert not waiting
