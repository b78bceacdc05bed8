"""What goes wrong in INIT: the status that it would be in the handler, and another try."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import init_deeds
import pytest
from probes import family, wait_gone

from faaskit import Invoker, exceptions, function
from faaskit.functions import Function

pytestmark = pytest.mark.timeout(50)


@pytest.fixture(params=["process", "namespace"])
def invoker(request: pytest.FixtureRequest) -> Iterator[Invoker]:
    """An Invoker that leaves nobody."""
    with Invoker(request.param) as made:
        yield made
        processes = family(made) if made._backend._keeper else set()  # type: ignore[attr-defined]
    wait_gone(processes)


def doing(deed: str, **parameters: Any) -> Function:
    """Return a function whose INIT does that."""
    made: Function = function(
        init_deeds.handler, name="init", environment={"DEED": deed}, **parameters
    )
    return made


@pytest.mark.parametrize("snapshot", [True, False])
@pytest.mark.parametrize(
    ("deed", "status", "kind", "message"),
    [
        ("raise", "error", "ValueError", "INIT went wrong"),
        ("import", "error", "Runtime.ImportModuleError", "Unable to import module 'init_deeds'"),
        ("exit", "exit", "Runtime.ExitError", "exit status 4"),
        ("leave", "exit", "Runtime.ExitError", "exit status 5"),
        ("hoard", "out_of_memory", "Runtime.ExitError", "signal: killed"),
    ],
)
def test_what_fails_in_init_fails_the_call(
    invoker: Invoker, deed: str, status: str, kind: str, message: str, snapshot: bool
) -> None:
    """INIT's failure is the invocation's, in AWS's words; the next call tries again."""
    made = doing(deed, snapshot=snapshot)
    for _ in range(2):
        invocation = invoker.invoke(made)
        assert invocation.status == status
        assert invocation.payload["errorType"] == kind
        assert message in invocation.payload["errorMessage"]
        assert invocation.meter.init_duration_ms is not None
        # The watchdog holds it, not only the backstop, which leaves room for threads' stacks.
        assert invocation.meter.max_memory_used_mb < 2 * made.config.memory_size
        with pytest.raises(exceptions.InvocationError):
            invocation.result()


def test_an_init_that_hangs_times_out(invoker: Invoker) -> None:
    """Without a snapshot INIT has AWS's 10 s; then it is a timeout, and killed."""
    invocation = invoker.invoke(doing("hang", snapshot=False))
    assert invocation.status == "timeout"
    assert invocation.payload["errorType"] == "Sandbox.Timedout"
    assert "Task timed out after 10.00 seconds" in invocation.payload["errorMessage"]


def test_an_init_that_failed_once_is_run_again(tmp_path: Path) -> None:
    """A failed INIT leaves nothing: the next call has a new template."""
    made: Function = function(
        init_deeds.handler, environment={"DEED": "once", "FLAG": str(tmp_path / "flag")}
    )
    with Invoker("process") as invoker:  # it remembers by a file that it has failed
        assert invoker.invoke(made).status == "error"
        assert invoker.invoke(made, 1).result() == [1, 1]


def test_init_prints_once_for_all(invoker: Invoker) -> None:
    """INIT's output stands in the log of the call that waited for it, before START."""
    made = doing("print")
    first, second = invoker.invoke(made, 1), invoker.invoke(made.with_config(timeout=9), 2)
    assert first.logs.startswith("hello from INIT\nSTART RequestId")
    assert "hello" not in second.logs
    assert (first.meter.init_duration_ms is None, second.meter.init_duration_ms) == (False, None)
    assert [first.payload, second.payload] == [[1, 1], [2, 1]]


def test_without_a_snapshot_init_runs_in_each(invoker: Invoker) -> None:
    """snapshot=False: INIT afresh in every environment, and on every meter."""
    made = doing("print", snapshot=False)
    for event in range(3):
        invocation = invoker.invoke(made, event)
        assert invocation.payload == [event, 1]
        assert invocation.logs.count("hello from INIT") == 1
        assert invocation.meter.init_duration_ms is not None


def test_snapstart_hooks_run_where_they_do_on_aws(invoker: Invoker) -> None:
    """Before the snapshot in reverse, once for all; after each restore in order."""
    made = doing("hooks")
    wanted = ["before, second", "before, first", "after, first", "after, second"]
    for _ in range(3):
        assert invoker.invoke(made, "seen").result() == wanted
    # Without a snapshot there is nothing to restore.
    assert invoker.invoke(doing("hooks", snapshot=False), "seen").result() == []


@pytest.mark.parametrize(
    ("deed", "reason", "in_init"),
    [("bad before", "no snapshot", True), ("bad after", "not restored", False)],
)
def test_a_snapstart_hook_that_fails_fails_the_call(
    invoker: Invoker, deed: str, reason: str, in_init: bool
) -> None:
    """As INIT's failure, or before the handler is called."""
    made = doing(deed)
    for _ in range(2):
        invocation = invoker.invoke(made, 1)
        assert invocation.status == "error"
        assert invocation.payload["errorMessage"] == reason
        if in_init:
            assert invocation.meter.init_duration_ms is not None


def test_a_thread_of_init_means_no_snapshot(invoker: Invoker) -> None:
    """A thread can't be copied: it is said once, and INIT runs in every environment."""
    made = doing("thread")
    with pytest.warns(RuntimeWarning, match="leaves a thread running after INIT"):
        first = invoker.invoke(made, 1)
    second = invoker.invoke(made, 2)
    assert [first.payload, second.payload] == [[1, 1], [2, 1]]
    assert second.meter.init_duration_ms is not None


def test_a_fork_hook_that_hangs_does_not_hang_the_app(invoker: Invoker) -> None:
    """INIT may register what runs in every fork; that must not block the call for ever."""
    try:
        invocation = invoker.invoke(doing("hang in fork"))
    except exceptions.SandboxError:
        return
    assert invocation.status != "ok"


def test_a_template_that_keeps_its_pids_back_harms_nobody_else(invoker: Invoker) -> None:
    """INIT code silences its template: its own call fails, another's timeout still holds."""

    def sleeps(event: Any, context: Any) -> None:
        import time

        time.sleep(60)

    patient: Function = function(timeout=1)(sleeps)
    invoker.warm(patient)
    silent = invoker.submit(doing("silence the template", timeout=30))
    other = invoker.invoke(patient)
    assert other.status == "timeout"
    assert other.meter.duration_ms < 4000
    with pytest.raises(exceptions.SandboxError):
        silent.result(40)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("def handler(:\n", "Runtime.UserCodeSyntaxError", "Syntax error in module"),
        ("other = 1\n", "Runtime.HandlerNotFound", "Handler 'handler' missing on module"),
        ("handler = 1\n", "Runtime.HandlerNotFound", "not callable"),
        (None, "Runtime.ImportModuleError", "Unable to import module"),
    ],
    ids=["syntax", "missing", "not callable", "no module"],
)
def test_a_module_that_can_not_be_used(
    invoker: Invoker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str | None,
    kind: str,
    message: str,
) -> None:
    """A handler that is not found has AWS's name for why; once it is mended it runs."""
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "changing.py"
    good = "def handler(event, context):\n    return 'good, and longer than what was here'\n"
    file.write_text(good)
    import changing  # type: ignore[import-not-found]

    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made: Function = function(changing.handler)
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    for cached in tmp_path.rglob("*.pyc"):
        cached.unlink()
    invocation = invoker.invoke(made)
    assert invocation.status == "error"
    assert invocation.payload["errorType"] == kind
    assert message in invocation.payload["errorMessage"]
    file.write_text(good)
    assert invoker.invoke(made).payload == "good, and longer than what was here"
    del sys.modules["changing"]


def test_warm_runs_init_ahead_and_bills_it(invoker: Invoker) -> None:
    """warm: INIT now, its time billed to the function; the calls after it wait for none."""
    made = doing("print")
    invoker.warm(made, 3)
    (init,) = invoker.bill.records()
    init_ms = init.meter.init_duration_ms
    assert init_ms is not None
    assert (init.function_name, init.request_id, init.status) == ("init", "", "init")
    assert init.meter.billed_duration_ms == math.ceil(init_ms) > 0
    # No request: its time is all that it costs.
    assert init.meter.cost_usd == init.meter.memory_tier.usd_per_ms * math.ceil(init_ms)
    invocation = invoker.invoke(made, 1)
    assert invocation.meter.init_duration_ms is None
    assert invocation.meter.billed_duration_ms == math.ceil(invocation.meter.duration_ms)
    assert "hello from INIT" not in invocation.logs
    assert invoker.bill.total_usd == init.meter.cost_usd + invocation.meter.cost_usd
    bill = invoker.bill.by_function()["init"]
    assert (bill.inits, bill.invocations) == (1, 1)


def test_warm_raises_what_init_raises(invoker: Invoker) -> None:
    """Warm has no invocation to put a failure into: it raises, and INIT is billed still."""
    with pytest.raises(exceptions.FunctionError, match="INIT went wrong"):
        invoker.warm(doing("raise"))
    assert invoker.bill.total_usd > 0
