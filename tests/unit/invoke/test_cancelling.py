"""Ending a call before its end: Future.cancel, a cancelled task, a closed map, Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import init_deeds
import plain_deeds
import pytest
from probes import Lifeline, Script

from faaskit import Function, Invoker, exceptions, function

pytestmark = pytest.mark.timeout(50)

ACT: Function = function(plain_deeds.act, name="act", memory_size=256, timeout=30)


@pytest.fixture(scope="module")
def invoker() -> Iterator[Invoker]:
    """One Invoker for all: no call may matter to the next."""
    with Invoker() as made:
        yield made


# A Future


def test_cancelling_a_future_kills_the_function(invoker: Invoker, lifeline: Lifeline) -> None:
    """Cancelled while it runs: the process is gone, and nothing is billed."""
    before = len(invoker.bill.records())
    future = invoker.submit(ACT, {"do": "holds", "port": lifeline.port})
    running = lifeline.next()
    assert future.cancel()
    assert future.cancelled()
    running.wait_end()
    with pytest.raises(CancelledError):
        future.result(timeout=20)
    assert invoker.invoke(ACT, "next").result() == "next"
    assert len(invoker.bill.records()) == before + 1


def test_a_future_that_is_done_can_not_be_cancelled(invoker: Invoker) -> None:
    """What has ended stays ended."""
    future = invoker.submit(ACT, 1)
    assert future.result(timeout=20).result() == 1
    assert not future.cancel()
    assert future.result().ok


def test_cancelled_during_init_the_handler_never_runs(lifeline: Lifeline) -> None:
    """Neither the call that drives INIT nor the one that waits for it; nothing is billed."""
    made: Function = function(
        init_deeds.handler,
        name="init",
        timeout=30,
        environment={"DEED": "hold", "PORT": str(lifeline.port)},
    )
    with Invoker() as fresh:
        futures = [fresh.submit(made, {"port": lifeline.port}) for _ in range(2)]
        init = lifeline.next()
        assert [future.cancel() for future in futures] == [True, True]
        init.let_go("on")
    # Leaving the block has waited for both: whoever was to ring has rung.
    assert not lifeline.has_rung()
    assert fresh.bill.records() == ()


def test_cancelled_while_it_waits_for_room_it_never_runs(lifeline: Lifeline) -> None:
    """A call that waits its turn for the host's memory is taken out of it."""
    large = ACT.with_config(memory_size=10_240)
    held = {"do": "holds", "port": lifeline.port}
    with Invoker() as fresh:
        room_mb = fresh._room().memory_mb  # of this host, or of the container that the test is in
        running = [fresh.submit(large, held) for _ in range(max(1, int(room_mb // 10_240)))]
        holders = [lifeline.next() for _ in running]
        waiting = fresh.submit(large, held)
        assert waiting.cancel()
        for holder in holders:
            holder.let_go("done")
        assert all(future.result(timeout=20).ok for future in running)
    assert not lifeline.has_rung()
    assert len(fresh.bill.records()) == len(running)


# map


def test_closing_map_kills_what_runs(invoker: Invoker, lifeline: Lifeline) -> None:
    """Who stops early leaves nothing running."""
    found = invoker.map(ACT, [1, {"do": "holds", "port": lifeline.port}])
    next(found)
    running = lifeline.next()
    found.close()  # type: ignore[attr-defined]  # it is a generator
    running.wait_end()


# asyncio


def test_ainvoke_runs_side_by_side(invoker: Invoker, lifeline: Lifeline) -> None:
    """
    Many at once: all run before the first ends, and each gets its own result.

    They are let go one by one from a coroutine of the same loop, so that a call which
    blocked the loop would wait for itself.
    """
    count = 12

    async def let_all_go() -> None:
        running = [await asyncio.to_thread(lifeline.next) for _ in range(count)]
        for held in running:
            held.let_go(f"{held.name}!")

    async def main() -> list[Any]:
        events = [
            {"do": "holds", "port": lifeline.port, "name": str(number)} for number in range(count)
        ]
        letting_go = asyncio.create_task(let_all_go())
        found = await asyncio.gather(*(invoker.ainvoke(ACT, event) for event in events))
        await letting_go
        return [invocation.result() for invocation in found]

    assert asyncio.run(main()) == [f"{number}!" for number in range(count)]


def test_cancelling_a_task_kills_its_function_alone(invoker: Invoker, lifeline: Lifeline) -> None:
    """The cancelled one is dead and its place is free; the one beside it goes on."""
    made = ACT.with_config(name="two", reserved_concurrency=2)
    event = {"do": "holds", "port": lifeline.port}

    async def again() -> Any:
        try:
            return (await invoker.ainvoke(made, "again")).result()
        except exceptions.ThrottledError:
            return None

    async def main() -> tuple[Any, Any]:
        stays = asyncio.create_task(invoker.ainvoke(made, {**event, "name": "stays"}))
        held = await asyncio.to_thread(lifeline.next)
        goes = asyncio.create_task(invoker.ainvoke(made, {**event, "name": "goes"}))
        killed = await asyncio.to_thread(lifeline.next)
        assert (held.name, killed.name) == ("stays", "goes")
        assert await again() is None
        goes.cancel()
        with pytest.raises(asyncio.CancelledError):
            await goes
        await asyncio.to_thread(killed.wait_end)
        found = None
        while found is None:  # the test's timeout ends it
            found = await again()
        held.let_go("on")
        return found, (await stays).result()

    assert asyncio.run(main()) == ("again", "on")


# Ctrl-C

INTERRUPTED = """
    import sys
    import plain_deeds
    from faaskit import function

    act = function(plain_deeds.act, timeout=60)
    try:
        act.invoke({"do": "holds", "port": int(sys.argv[1])})
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    input()
    print(act.invoke("again").result())
"""


def test_after_ctrl_c_the_script_can_go_on(tmp_path: Path, lifeline: Lifeline) -> None:
    """Ctrl-C in the middle of a call: KeyboardInterrupt, the function dead, the next call runs."""
    script = Script(tmp_path, INTERRUPTED, lifeline.port)
    try:
        running = lifeline.next()
        script.signal(signal.SIGINT)
        script.wait_line("interrupted")
        running.wait_end()  # dead while the script lives on
        script.go_on()
        script.wait_line("again")
        assert script.wait_last() == 0
    finally:
        script.close()


NESTED = """
    import sys
    import plain_deeds
    from faaskit import allow, function

    act = function(plain_deeds.act, timeout=60)

    @allow("lambda:InvokeFunction", on=act)
    @function(timeout=60)
    def call(event, context):
        return act.invoke(event).result()

    try:
        call.invoke({"do": "holds", "port": int(sys.argv[1])})
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    input()
"""


def test_ctrl_c_kills_what_the_function_invoked(tmp_path: Path, lifeline: Lifeline) -> None:
    """Nobody waits for it any more, and the script lives on."""
    script = Script(tmp_path, NESTED, lifeline.port)
    try:
        running = lifeline.next()
        script.signal(signal.SIGINT)
        script.wait_line("interrupted")
        running.wait_end()
        script.go_on()
        assert script.wait_last() == 0
    finally:
        script.close()
