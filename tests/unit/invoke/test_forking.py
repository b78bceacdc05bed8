"""A user's program that forks: what it invokes before, beside and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from probes import Lifeline, Script

pytestmark = pytest.mark.timeout(50)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Script]]:
    """Start one script, and end it whatever happens."""
    made: list[Script] = []

    def start(text: str, *arguments: object) -> Script:
        made.append(Script(tmp_path, text, *arguments))
        return made[0]

    yield start
    for script in made:
        script.close()


FORKING = """
    import os, sys
    import plain_deeds
    from faaskit import Invoker, function

    moment, port = sys.argv[1], int(sys.argv[2])
    act = function(plain_deeds.act, timeout=30)
    invoker = Invoker()
    if moment != "before a call":
        assert invoker.invoke(act, 1).result() == 1
    if moment == "during a call":
        held = invoker.submit(act, {"do": "holds", "port": port})
        input()
    child = os.fork()
    name = "parent" if child else "child"
    for number in range(3):
        assert invoker.invoke(act, [name, number]).result() == [name, number]
        assert invoker.submit(act, name).result(20).result() == name
    if child:
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        print("the child is gone", flush=True)
        if moment == "during a call":
            assert held.result(20).result() == "on"
        # The child closed its Invoker; this one was never closed.
        assert invoker.invoke(act, "after").result() == "after"
    invoker.close()
    if child:
        print("both", flush=True)
"""


@pytest.mark.parametrize("moment", ["before a call", "after a call", "during a call"])
def test_after_a_fork_both_can_invoke(
    start: Callable[..., Script], lifeline: Lifeline, moment: str
) -> None:
    """
    A fork shares no process and no socket with its parent.

    It closes its own Invoker, and what the parent has running does not notice.
    """
    script = start(FORKING, moment, lifeline.port)
    if moment == "during a call":
        held = lifeline.next()
        script.go_on()
    script.wait_line("the child is gone")
    if moment == "during a call":
        held.let_go("on")
    script.wait_line("both")
    assert script.wait_last() == 0


POOL = """
    import multiprocessing
    import plain_deeds
    from faaskit import function

    act = function(plain_deeds.act, timeout=30)

    def call(number):
        return act.invoke(number).result()

    assert call("before") == "before"
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map_async(call, range(6))
        assert [call(number) for number in range(3)] == [0, 1, 2]
        assert found.get(30) == list(range(6))
    assert call("after") == "after"
    print("all")
"""


def test_in_a_pool_of_processes(start: Callable[..., Script]) -> None:
    """Workers end by a signal or os._exit, and leave nobody all the same."""
    script = start(POOL)
    script.wait_line("all")
    assert script.wait_last() == 0
