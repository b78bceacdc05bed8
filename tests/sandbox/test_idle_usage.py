"""Code of INIT's that runs on when nobody has called: noticed, bounded, ended."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator

import hostile
import hostile_init
import psutil
import pytest
from probes import family, launcher_of, until, wait_gone

from faaskit import Invoker, exceptions, function
from faaskit.functions import Function

HONEST: Function = function(hostile.act, name="honest", memory_size=256, timeout=20)


@pytest.fixture(scope="module", params=["process", "namespace"])
def invoker(request: pytest.FixtureRequest) -> Iterator[Invoker]:
    """One Invoker for all of a level."""
    with Invoker(request.param) as made:
        yield made
        processes = family(made)
    wait_gone(processes)


def attacker(attack: str) -> Function:
    """Return a function whose INIT does that."""
    made: Function = function(
        hostile_init.handler, name="attacker", memory_size=128, timeout=5,
        environment={"ATTACK": attack},
    )  # fmt: skip
    return made


def busy(invoker: Invoker, seconds: float = 1) -> float:
    """Return the CPU time that everything below the launcher uses in a while, in seconds."""
    launcher = psutil.Process(launcher_of(invoker))
    before = _cpu(launcher)
    time.sleep(seconds)  # the measure itself, not a wait for something
    after = _cpu(launcher)
    return sum(max(0.0, cpu - before.get(pid, cpu)) for pid, cpu in after.items())


def _cpu(launcher: psutil.Process) -> dict[psutil.Process, float]:
    found: dict[psutil.Process, float] = {}
    for process in launcher.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            found[process] = times.user + times.system
    return found


@pytest.mark.parametrize("attack", ["burn in parked", "burn in a process", "hold in a process"])
def test_init_that_leaves_something_running_has_no_snapshot(invoker: Invoker, attack: str) -> None:
    """A thread that a fork hook starts, or a process: a warning names it, and it is gone."""
    with pytest.warns(RuntimeWarning, match="(a process|a hook)"):
        invocation = invoker.invoke(attacker(attack), 1)
    assert invocation.status in {"ok", "timeout", "out_of_memory"}
    assert invoker.invoke(HONEST).result() == "calm"
    until(lambda: busy(invoker) < 0.3, "the end of what computes in vain", 30)


def test_template_that_computes_is_ended(invoker: Invoker) -> None:
    """A timer of INIT's goes off after it: the template ends, and with it what it does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with contextlib.suppress(exceptions.SandboxError):
            invoker.invoke(attacker("burn in template"))
    assert invoker.invoke(HONEST).result() == "calm"
    until(lambda: busy(invoker) < 0.3, "the end of the template that computes", 30)
