"""Whatever a handler does: the right status, AWS's payload, and nobody else notices."""

from __future__ import annotations

import contextlib
import re
import signal
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hostile
import psutil
import pytest
from probes import family, pids_printed, until, wait_gone

from faaskit import Invoker, exceptions, function
from faaskit.functions import Function
from faaskit.invoke import Invocation

pytestmark = pytest.mark.timeout(50)

ACT: Function = function(hostile.act, name="act", memory_size=256, timeout=20)
BRIEF = ACT.with_config(timeout=1)
SMALL = ACT.with_config(memory_size=128)


@pytest.fixture(scope="module", params=["process", "namespace"])
def invoker(request: pytest.FixtureRequest) -> Iterator[Invoker]:
    """One Invoker for all of a level: what one handler does must not matter to the next."""
    with Invoker(request.param) as made:
        yield made
        processes = family(made)
    wait_gone(processes)


def check(invoker: Invoker, made: Function, event: Any) -> Invocation:
    """Invoke, then see that the next invocation of the same function is untouched."""
    invocation = invoker.invoke(made, event)
    after = invoker.invoke(made, None)
    assert (after.status, after.payload) == ("ok", "calm"), after.logs
    if invoker.isolation == "process":  # else its pids are not this host's
        wait_gone(pids_printed(invocation))
    return invocation


@pytest.mark.parametrize(
    ("deed", "kind", "message"),
    [
        ("raises", "ValueError", "boom"),
        ("raises_unpicklable", "_HoldsALockError", "it holds a lock"),
        ("raises_textless", "_HasNoTextError", "<exception str() failed>"),
        ("raises_interrupt", "KeyboardInterrupt", ""),
        ("raises_own_memory_error", "MemoryError", "mine"),
    ],
)
def test_an_exception_is_an_error_object(
    invoker: Invoker, deed: str, kind: str, message: str
) -> None:
    """What a handler raises comes back as AWS's error object, whatever class it is."""
    invocation = check(invoker, ACT, {"do": deed})
    assert invocation.status == "error"
    payload = invocation.payload
    assert list(payload) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    assert payload["errorType"] == kind
    assert payload["errorMessage"] == message
    assert payload["requestId"] == invocation.request_id
    assert f"in {deed}" in payload["stackTrace"][-1]
    assert isinstance(invocation.error, exceptions.FunctionError)
    assert invocation.error.error_type == kind
    with pytest.raises(exceptions.FunctionError):
        invocation.result()
    assert f"[ERROR] {kind}: {message}".rstrip() in invocation.logs


def test_endless_recursion_is_an_error(invoker: Invoker) -> None:
    """Python's own limit ends it: an error like any other."""
    invocation = check(invoker, ACT, {"do": "recurses"})
    assert (invocation.status, invocation.payload["errorType"]) == ("error", "RecursionError")


@pytest.mark.parametrize(
    ("event", "code", "reason"),
    [
        ({"do": "exits"}, 0, "Runtime exited without providing a reason"),
        ({"do": "exits", "code": "x"}, 1, "Runtime exited with error: exit status 1"),
        ({"do": "exits", "code": 9}, 9, "Runtime exited with error: exit status 9"),
        ({"do": "leaves", "code": 0}, 0, "Runtime exited without providing a reason"),
        ({"do": "leaves", "code": 3}, 3, "Runtime exited with error: exit status 3"),
    ],
)
def test_an_exit_is_no_result(
    invoker: Invoker, event: dict[str, Any], code: int, reason: str
) -> None:
    """A process that ends before it gave a result failed, even with exit code 0."""
    invocation = check(invoker, ACT, event)
    assert invocation.status == "exit"
    assert invocation.payload == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {invocation.request_id} Error: {reason}",
    }
    assert isinstance(invocation.error, exceptions.FunctionExitError)
    assert invocation.error.exit_code == code
    if event.get("code") == "x":
        assert "\nx\n" in invocation.logs


@pytest.mark.parametrize(
    ("event", "number", "words"),
    [
        ({"do": "kills_itself", "signal": signal.SIGKILL}, signal.SIGKILL, "killed"),
        ({"do": "kills_itself", "signal": signal.SIGTERM}, signal.SIGTERM, "terminated"),
        ({"do": "segfaults"}, signal.SIGSEGV, "segmentation fault"),
        ({"do": "overflows_the_c_stack"}, signal.SIGSEGV, "segmentation fault"),
    ],
    ids=["SIGKILL", "SIGTERM", "segfault", "stack"],
)
def test_a_signal_is_told(invoker: Invoker, event: Any, number: int, words: str) -> None:
    """A process that a signal ended is told so, with the signal."""
    invocation = check(invoker, ACT, event)
    assert invocation.status == "signal"
    message = invocation.payload["errorMessage"]
    assert invocation.payload["errorType"] == "Runtime.ExitError"
    assert f"Runtime exited with error: signal: {words}" in message
    assert isinstance(invocation.error, exceptions.FunctionSignalError)
    assert invocation.error.signal == number


@pytest.mark.parametrize(
    "event",
    [
        {"do": "closes_everything", "from": 0},
        {"do": "closes_everything", "from": 3},
        {"do": "closes_everything", "from": 0, "stay": True},
        {"do": "closes_everything", "from": 3, "stay": True},
        {"do": "writes_garbage_everywhere"},
    ],
    ids=["closes all", "closes all but 0 to 2", "and stays", "and stays, but 0 to 2", "garbage"],
)
def test_without_its_channel_it_has_exited(invoker: Invoker, event: Any) -> None:
    """Who breaks the channel to the app gave no result; it is no fault of the sandbox."""
    invocation = check(invoker, ACT, event)
    assert invocation.status == "exit"
    assert isinstance(invocation.error, exceptions.FunctionExitError)


def frame(kind: int, payload: bytes, *, last: int = 1, zero: int = 0, size: int = -1) -> str:
    """Return a frame as hex; ``size`` may lie."""
    length = len(payload) if size < 0 else size
    return (struct.pack(">BBHII", kind, last, zero, 7, length) + payload).hex()


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (frame(5, b'"lie"'), {"ok"}),  # whoever runs the handler may choose its result
        (frame(5, b"", size=0xFFFFFFFF), {"exit"}),
        (frame(99, b"x"), {"exit"}),
        (frame(1, b"x"), {"exit"}),
        (frame(2, b"x"), {"exit"}),
        (frame(3, b""), {"ok"}),
        (frame(4, b""), {"ok"}),
        (frame(5, b"", last=0), {"exit"}),
        (frame(5, b"1", zero=1), {"exit"}),
        (frame(5, b"\xff\xfe"), {"ok"}),
        (frame(5, b"[" * 200_000), {"ok", "exit"}),
        (frame(6, b"[]"), {"exit"}),
        (frame(6, b"5"), {"exit"}),
        (frame(6, b"no JSON"), {"exit"}),
        (frame(6, b'{"out_of_memory": 0}'), {"exit"}),
        (frame(6, b'{"out_of_memory": 0, "phase": 0}'), {"error", "exit"}),
        (frame(6, b'{"out_of_memory": 0, "phase": 0, "stackTrace": 5}'), {"error", "exit"}),
        (frame(6, b'{"out_of_memory": 0, "phase": 0, "errorType": [1]}'), {"error", "exit"}),
        (frame(6, b"[" * 200_000), {"exit"}),
        (frame(7, b""), {"ok", "exit"}),
        (frame(7, b"\xff\xff\xff\xff"), {"ok", "exit"}),
        (frame(7, b"\0\0\0\x02[]"), {"ok", "exit"}),
        (frame(7, b"\0\0\0\x02{}"), {"ok", "exit"}),
        (frame(8, b"\0\0\0\x02{}"), {"ok"}),
    ],
)
def test_frames_of_its_own_spoil_its_own_call_alone(
    invoker: Invoker, data: str, statuses: set[str]
) -> None:
    """A handler that speaks the protocol can spoil its own result and nothing else."""
    invocation = check(invoker, ACT, {"do": "sends", "hex": data})
    assert invocation.status in statuses
    assert (invocation.error is None) == invocation.ok
    assert isinstance(repr(invocation.payload), str)


def test_it_has_no_descriptor_but_its_own(invoker: Invoker) -> None:
    """The standard streams, the event's pipe and the reply's: nothing of whoever made it."""

    def descriptors(event: Any, context: Any) -> Any:
        from pathlib import Path

        # Without the one by which they are listed, which is gone by the time it is asked for.
        found = list(Path("/proc/self/fd").iterdir())
        return sorted(int(one.name) for one in found if one.is_symlink())

    found = invoker.invoke(function(descriptors, memory_size=128)).result()
    assert found[:3] == [0, 1, 2]
    assert len(found) == 5


def test_a_large_log_keeps_its_two_ends(invoker: Invoker) -> None:
    """200 MB of log become 6 MB: the head, the tail, and how much is gone between them."""
    invocation = check(invoker, ACT, {"do": "floods_the_log", "mb": 200})
    assert (invocation.status, invocation.payload) == ("ok", "done")
    assert len(invocation.logs) < 6.1 * 1024 * 1024
    assert "the head" in invocation.logs[:1000]
    assert "the tail" in invocation.logs[-1000:]
    assert re.search(r"\d+ bytes of log were dropped", invocation.logs)


def peak_of_this_process() -> int:
    """Return the most memory that this process has had, in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def test_unread_answers_do_not_fill_the_app(invoker: Invoker) -> None:
    """A handler that calls services without end, and reads no answer, fills its own pipe only."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    before = peak_of_this_process()
    invocation = check(invoker, BRIEF, {"do": "floods_with_calls"})
    assert invocation.status in ("timeout", "exit")
    assert peak_of_this_process() - before < 128 * 1024 * 1024


def grown_by(invoker: Invoker, event: dict[str, Any]) -> tuple[Invocation, int]:
    """Invoke; return the invocation, and by how many MB the app's memory grew at most."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here
    before = peak_of_this_process()
    invocation = check(invoker, ACT, event)
    return invocation, (peak_of_this_process() - before) // (1024 * 1024)


def test_calls_that_never_end_do_not_fill_the_app(invoker: Invoker) -> None:
    """The app holds one message that is not complete; a second one ends the call."""
    invocation, grown_mb = grown_by(invoker, {"do": "begins_many_calls"})
    assert invocation.status == "exit"
    assert "more than 1 messages under way" in str(invocation.error)
    assert grown_mb < 120  # 40 of one call, and what a growing buffer needs


@pytest.mark.parametrize(
    ("text", "mb"),
    [(f'"{"x" * 1000}",', 36), ("[],", 36), ("[],", 15), ('{"a":0},', 15), ("[", 15)],
    ids=["texts over its size", "lists over its size", "lists", "objects", "deep"],
)
def test_json_of_a_call_does_not_fill_the_app(invoker: Invoker, text: str, mb: int) -> None:
    """A call whose JSON would be far larger once parsed is refused, and the function goes on."""
    event = {"do": "calls_with_large_json", "text": text, "mb": mb}
    invocation, grown_mb = grown_by(invoker, event)
    assert invocation.status == "ok", invocation.payload
    assert invocation.payload["code"] == "RequestEntityTooLargeException"
    assert grown_mb < 4 * mb + 40  # parsed, it would be over 25 times its size


def test_json_of_an_error_does_not_fill_the_app(invoker: Invoker) -> None:
    """An error object of lists is no error object: the call ends as one without a result."""
    invocation, grown_mb = grown_by(invoker, {"do": "errs_with_large_json"})
    assert invocation.status == "exit"
    assert "its error object is too large" in str(invocation.error)
    assert grown_mb < 60


@pytest.mark.parametrize("delay", [0.0, 0.005, 0.02])
def test_a_result_during_a_large_call_arrives(invoker: Invoker, delay: float) -> None:
    """A thread in the middle of a call does not spoil the result, which waits for its turn."""
    for _ in range(5):
        invocation = check(invoker, ACT, {"do": "returns_during_a_large_call", "delay": delay})
        assert (invocation.status, invocation.payload) == ("ok", "done"), invocation.error


@pytest.mark.parametrize("deed", ["leaves_a_thread", "leaves_a_grandchild", "leaves_a_daemon"])
def test_what_it_leaves_behind_ends_with_it(invoker: Invoker, deed: str) -> None:
    """The result is there at once, and what the handler started is gone soon after."""
    began = time.monotonic()
    invocation = check(invoker, ACT, {"do": deed})
    assert time.monotonic() - began < 15  # not the 600 s that those would live
    assert (invocation.status, invocation.payload) == ("ok", "done")
    assert bool(pids_printed(invocation)) == (deed != "leaves_a_thread")


@pytest.mark.parametrize(
    "event",
    [
        {"do": "ignores_signals"},
        {"do": "stops_itself"},
        {"do": "holds_the_interpreter"},
        {"do": "leaves_a_daemon", "hang": True},
        {"do": "sleeps"},
    ],
    ids=lambda event: str(event["do"]),
)
def test_a_timeout_ends_whatever_will_not_end(invoker: Invoker, event: Any) -> None:
    """Over its timeout a function is killed, with all its descendants."""
    invocation = check(invoker, BRIEF, event)
    assert invocation.status == "timeout"
    assert invocation.payload == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {invocation.request_id} Error: "
        "Task timed out after 1.00 seconds",
    }
    assert isinstance(invocation.error, exceptions.FunctionTimeoutError)
    assert isinstance(invocation.error, TimeoutError)
    assert 1000 <= invocation.meter.duration_ms < 5000


def test_a_fork_bomb_ends(invoker: Invoker) -> None:
    """Forking without end stays bounded, ends with the timeout and leaves nobody."""
    before = len(psutil.pids())
    invocation = check(invoker, BRIEF, {"do": "forks_without_end"})
    assert invocation.status in ("timeout", "exit", "out_of_memory")
    until(lambda: len(psutil.pids()) < before + 100, "the end of the bomb")


@pytest.mark.parametrize(
    "deed", ["hoards_lists", "hoards_maps", "hoards_in_children", "asks_for_too_much_at_once"]
)
def test_memory_over_its_size_is_out_of_memory(invoker: Invoker, deed: str) -> None:
    """However it takes more than its memory size, it is killed and told so."""
    invocation = check(invoker, SMALL, {"do": deed})
    assert invocation.status == "out_of_memory"
    assert invocation.payload == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {invocation.request_id} Error: "
        "Runtime exited with error: signal: killed",
    }
    assert isinstance(invocation.error, exceptions.FunctionMemoryError)
    assert invocation.error.memory_size == 128
    # It was stopped soon after the limit, not at the end of the host.
    assert invocation.meter.max_memory_used_mb < 640


def test_a_refused_allocation_can_be_caught(invoker: Invoker) -> None:
    """One huge allocation is refused before it is made; a handler may live with that."""
    invocation = check(invoker, SMALL, {"do": "catches_the_refusal"})
    assert (invocation.status, invocation.payload) == ("ok", "refused")


def test_a_file_over_the_storage_is_refused() -> None:
    """
    A file ends at ephemeral_storage: EFBIG, which the handler may catch.

    In isolation "namespace" it is the whole folder that is bounded, by blocks: test_escapes.
    """
    size = 512 * 1024 * 1024
    with Invoker("process") as invoker:
        _write_beyond(invoker, size)


def _write_beyond(invoker: Invoker, size: int) -> None:
    over = check(invoker, ACT, {"do": "writes_too_large_a_file", "offset": size})
    assert (over.status, over.payload["errorType"]) == ("error", "OSError")
    assert "File too large" in over.payload["errorMessage"]
    within = check(invoker, ACT, {"do": "writes_too_large_a_file", "offset": size - 1})
    assert within.payload == "written"


@pytest.mark.parametrize(
    ("deed", "result"),
    [("child_returns", "parent"), ("child_raises", "parent"), ("child_exits", 7)],
)
def test_a_forked_child_does_not_answer(invoker: Invoker, deed: str, result: Any) -> None:
    """A child that comes back up the stack is not taken for the function."""
    invocation = check(invoker, ACT, {"do": deed})
    assert (invocation.status, invocation.payload) == ("ok", result)


def test_each_invocation_is_fresh(invoker: Invoker) -> None:
    """Nothing passes from one invocation to the next, nor from the app."""
    first, second = (invoker.invoke(ACT, {"do": "looks_around"}).result() for _ in range(2))
    for found in (first, second):
        assert found["counter"] == 0
        assert found["files"] == found["here"] == []
        assert found["mark"] is None
        assert found["blocked"] == []
        assert found["core"] == [0, 0]
        assert found["stdin"] == ""
    assert first["descriptors"] == second["descriptors"]
    assert first["umask"] == second["umask"]
    assert first["signals"] == second["signals"]
    for source in ("random", "secret", "uuid", "numpy"):
        assert first[source] != second[source], source


def test_the_apps_variables_stay_outside(invoker: Invoker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function does not see the app's environment variables, not even in /proc."""
    monkeypatch.setenv("A_SECRET_OF_THE_APP", "hunter2")
    with Invoker() as other:
        found = other.invoke(ACT, {"do": "looks_around"}).result()
        assert "A_SECRET_OF_THE_APP" not in found["environment"]
        for process in family(other):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                assert b"hunter2" not in Path(f"/proc/{process}/environ").read_bytes()
