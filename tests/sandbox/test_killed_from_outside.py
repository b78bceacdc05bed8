"""Processes killed from outside: a SandboxError at the most, and the next call works."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as NotYet
from pathlib import Path

import forking_init
import hostile
import psutil
import pytest
from probes import (
    Lifeline,
    Script,
    alive,
    family,
    launcher_of,
    parked_of,
    running_of,
    templates_of,
    until,
    wait_gone,
)

from faaskit import Invoker, exceptions, function
from faaskit.functions import Function
from faaskit.invoke import Invocation

pytestmark = pytest.mark.timeout(50)

LEVELS = pytest.mark.parametrize("level", ["process", "namespace"])
ACT: Function = function(hostile.act, name="act", memory_size=256, timeout=30)


@pytest.fixture(params=["process", "namespace"])
def invoker(request: pytest.FixtureRequest) -> Iterator[Invoker]:
    """An Invoker whose function has run once, and that leaves nobody."""
    with Invoker(request.param) as made:
        assert made.invoke(ACT).payload == "calm"
        yield made
        processes = family(made)
    wait_gone(processes)


def start(invoker: Invoker, lifeline: Lifeline) -> tuple[Future[Invocation], psutil.Process]:
    """Have a call sleep, and return it with its process."""
    future = invoker.submit(ACT, {"do": "sleeps", "port": lifeline.port})
    ringing = lifeline.next()
    assert ringing.name == "asleep"
    ringing.close()
    (process,) = until(lambda: running_of(invoker), "its pid")
    return future, process


def test_an_idle_template_is_replaced(invoker: Invoker) -> None:
    """A template killed between two calls is made again by the next."""
    for template in templates_of(invoker):
        processes = [template, *template.children(recursive=True)]
        template.kill()
        wait_gone(processes)  # an environment that had the event by then would be an error
    assert invoker.invoke(ACT).payload == "calm"


@LEVELS
def test_a_template_whose_socket_outlives_it(lifeline: Lifeline, level: str) -> None:
    """A process that it left holds it open: the launcher does not wait for its end."""
    left = function(
        forking_init.act, name="left", timeout=20, environment={"FORK_PORT": str(lifeline.port)}
    )
    with Invoker(level) as invoker:
        assert invoker.invoke(left).payload == "calm"
        assert lifeline.next().name == "left"
        for template in templates_of(invoker):
            gone = [template, *template.children(recursive=True)]
            template.kill()
            wait_gone(gone)
        assert invoker.invoke(left).payload == "calm"
        processes = family(invoker)
    wait_gone(processes)


def test_idle_environments_are_replaced(invoker: Invoker) -> None:
    """A parked environment that was killed is not given an event."""
    for environment in until(lambda: parked_of(invoker), "a parked environment"):
        environment.kill()
        wait_gone([environment])
    for _ in range(5):
        assert invoker.invoke(ACT).payload == "calm"


def test_an_idle_launcher_is_replaced(invoker: Invoker) -> None:
    """A launcher killed between two calls is started again by the next."""
    before = family(invoker)
    os.kill(launcher_of(invoker), signal.SIGKILL)
    wait_gone(before)
    assert invoker.invoke(ACT).payload == "calm"
    assert launcher_of(invoker) not in before


def test_a_running_environment_was_killed(invoker: Invoker, lifeline: Lifeline) -> None:
    """From inside or outside, SIGKILL is a signal: nobody can tell which it was."""
    future, process = start(invoker, lifeline)
    process.kill()
    assert future.result(20).status == "signal"
    assert invoker.invoke(ACT).payload == "calm"


def test_an_end_that_is_reported_late(invoker: Invoker, lifeline: Lifeline) -> None:
    """A template that takes its time, as on a busy host: still the signal, not an exit."""
    future, process = start(invoker, lifeline)
    template = process.parent()
    assert template is not None
    template.suspend()
    process.kill()
    with pytest.raises(NotYet):
        future.result(0.6)  # longer than who has closed its channel, but lives, is waited for
    template.resume()
    assert future.result(20).status == "signal"
    assert invoker.invoke(ACT).payload == "calm"


def test_a_template_killed_under_a_running_call(invoker: Invoker, lifeline: Lifeline) -> None:
    """The sandbox failed: an exception, no bill, and the process is gone."""
    future, process = start(invoker, lifeline)
    billed = invoker.bill.total_usd
    for template in templates_of(invoker):
        template.kill()
    with pytest.raises(exceptions.SandboxError):
        future.result(20)
    wait_gone([process])
    assert invoker.bill.total_usd == billed
    assert invoker.invoke(ACT).payload == "calm"


def test_a_launcher_killed_under_a_running_call(invoker: Invoker, lifeline: Lifeline) -> None:
    """The same for the launcher, and nothing of its family survives it."""
    future, _ = start(invoker, lifeline)
    before = family(invoker)
    billed = invoker.bill.total_usd
    os.kill(launcher_of(invoker), signal.SIGKILL)
    with pytest.raises(exceptions.SandboxError):
        future.result(20)
    wait_gone(before)
    assert invoker.bill.total_usd == billed
    assert invoker.invoke(ACT).payload == "calm"


@LEVELS
def test_closing_kills_what_runs(lifeline: Lifeline, level: str) -> None:
    """close() while a call runs: the call ends with an error, and nobody is left."""
    invoker = Invoker(level)
    future, _ = start(invoker, lifeline)
    processes = family(invoker)
    invoker.close()
    assert not any(map(alive, processes))
    with pytest.raises(CancelledError):
        future.result(20)
    with pytest.raises(exceptions.SandboxError, match="closed"):
        invoker.invoke(ACT)
    invoker.close()


@LEVELS
def test_the_next_launcher_sweeps_what_a_killed_one_left(lifeline: Lifeline, level: str) -> None:
    """Processes and folders of a launcher that was killed are gone soon after the next began."""
    with Invoker(level) as first:
        future, _ = start(first, lifeline)
        event = {"do": "leaves_a_daemon", "hang": True, "port": lifeline.port}
        invocation = first.submit(ACT, event)
        assert lifeline.next().name == "with a daemon"
        pid = launcher_of(first)
        folders = Path(tempfile.gettempdir())
        processes = family(first)
        os.kill(pid, signal.SIGKILL)
        for lost in (future, invocation):
            with pytest.raises(exceptions.SandboxError):
                lost.result(20)
        assert list(folders.glob(f"faaskit-*-{pid}-*"))
        with Invoker(level) as second:
            assert second.invoke(ACT).payload == "calm"
            wait_gone(processes)
            until(lambda: not list(folders.glob(f"faaskit-*-{pid}-*")), "the folder's end")


SCRIPT = """
    import sys
    import hostile
    from faaskit import Invoker, function
    invoker = Invoker(sys.argv[2])
    act = function(hostile.act, timeout=60)
    try:
        invoker.invoke(act, {"do": "leaves_a_daemon", "hang": True, "port": int(sys.argv[1])})
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    invoker.close()
"""


@LEVELS
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 128 + 15), (signal.SIGKILL, 128 + 9)]
)
def test_nobody_outlives_the_app(
    tmp_path: Path, lifeline: Lifeline, number: signal.Signals, code: int, level: str
) -> None:
    """Ctrl-C, SIGTERM or kill -9 of the app in the middle of a call: no process is left."""
    script = Script(tmp_path, SCRIPT, lifeline.port, level)
    try:
        running = lifeline.next()
        script.signal(number)
        running.wait_end()  # the function and its daemon
        if number == signal.SIGINT:
            script.wait_line("interrupted")
        assert script.wait_last() == code
    finally:
        script.close()


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_five_hundred_kills(invoker: Invoker, lifeline: Lifeline) -> None:
    """Whoever is killed, 500 times: the next call works, and descriptors stay flat."""
    descriptors = psutil.Process().num_fds()
    for turn in range(500):
        future, process = start(invoker, lifeline)
        victims = [process.pid, templates_of(invoker)[0].pid, launcher_of(invoker)]
        os.kill(victims[turn % 3], signal.SIGKILL)
        with_error = future.exception(20)
        assert with_error is None or isinstance(with_error, exceptions.SandboxError)
        assert invoker.invoke(ACT).payload == "calm"
    # The pool may have grown meanwhile, by four for each that is ready.
    assert psutil.Process().num_fds() <= descriptors + 40
