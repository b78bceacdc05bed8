"""A notebook: functions of its cells, in a real Jupyter kernel."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from probes import Lifeline, wait_gone

pytestmark = pytest.mark.timeout(50)

_PATIENCE_S = 30


class Notebook:
    """A kernel, and what its cells print."""

    def __init__(self) -> None:
        self.kernel = KernelManager()
        self.kernel.start_kernel()
        self._client: BlockingKernelClient = self.kernel.client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=_PATIENCE_S)

    def begin(self, cell: str) -> str:
        """Start a cell, and return its number for ``end``."""
        return str(self._client.execute(textwrap.dedent(cell)))

    def end(self, number: str) -> tuple[str, str]:
        """Wait for a cell's end; return what it printed, and the name of its error or ''."""
        while True:
            reply = self._client.get_shell_msg(timeout=_PATIENCE_S)
            # A kernel that starts slowly is asked more than once whether it is there, and
            # answers all of them.
            if reply["parent_header"]["msg_id"] == number:
                break
        printed = ""
        while True:
            message = self._client.get_iopub_msg(timeout=_PATIENCE_S)
            if message["parent_header"].get("msg_id") != number:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                printed += content["text"]
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                return printed, reply["content"].get("ename", "")

    def run(self, cell: str) -> str:
        """Run a cell that has no error, and return what it printed."""
        printed, error = self.end(self.begin(cell))
        assert not error, f"{error} in the cell:\n{cell}"
        return printed

    def value(self, expression: str) -> Any:
        """Return what an expression is, of Python's own literals."""
        return ast.literal_eval(self.run(f"print(repr({expression}))"))

    def family(self) -> list[psutil.Process]:
        """Return the kernel and all that it started."""
        kernel = psutil.Process(self.value("__import__('os').getpid()"))
        return [kernel, *kernel.children(recursive=True)]

    def close(self) -> None:
        """End the kernel as the user does who closes the notebook."""
        self._client.stop_channels()
        self.kernel.shutdown_kernel()


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notebook]:
    """A new kernel, with none of the developer's own settings and history."""
    for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    made = Notebook()
    yield made
    made.close()


def test_a_function_of_a_cell(notebook: Notebook) -> None:
    """Defined in one cell with the globals of another, run in a third; the log is its own."""
    notebook.run("""
        import math
        from faaskit import function
        factor = 3

        def helper(n):
            return math.floor(n * factor)
    """)
    notebook.run("""
        @function(memory_size=256, timeout=30)
        def scale(event, context):
            print("scaling")
            return {"n": helper(event["n"]), "where": __name__}
    """)
    printed = notebook.run("found = scale.invoke({'n': 2.5})")
    assert "scaling" not in printed
    assert notebook.value("found.result()") == {"n": 7, "where": "__main__"}
    logs = notebook.value("found.logs")
    assert [line.split()[0] for line in logs.splitlines()] == ["START", "scaling", "END", "REPORT"]


def test_a_cell_run_again(notebook: Notebook) -> None:
    """The new code and the new globals run, of a bare function and of an App's."""
    notebook.run("""
        from faaskit import App, function
        app = App("notebook")
    """)
    cell = """
        word = {word!r}

        @function(timeout=30)
        def bare(event, context):
            return [word, {word!r}]

        @app.function(timeout=30)
        def owned(event, context):
            return [word, {word!r}]
    """
    for word in ("first", "second"):
        notebook.run(cell.format(word=word))
        assert notebook.value("bare.invoke().result()") == [word, word]
        assert notebook.value("owned.invoke().result()") == [word, word]
    notebook.run("app.close()")


def test_the_memory_of_a_cell_is_tuned(notebook: Notebook) -> None:
    """The same code at other sizes, side by side: what the user looks at is there."""
    notebook.run("""
        from faaskit import function

        @function(timeout=30)
        def work(event, context):
            return context.memory_limit_in_mb

        found = [work.with_config(memory_size=size).invoke() for size in (128, 512)]
    """)
    assert notebook.value("[i.result() for i in found]") == ["128", "512"]
    assert notebook.value("[i.meter.memory_size for i in found]") == [128, 512]
    assert notebook.value("all(i.meter.cost_usd > 0 for i in found)") is True


def test_await_in_a_cell(notebook: Notebook, lifeline: Lifeline) -> None:
    """The kernel has a loop that runs: cells await in it, and two calls run side by side."""
    notebook.run(f"""
        import asyncio, socket
        from faaskit import function

        @function(timeout=30)
        def hold(event, context):
            line = socket.create_connection(("127.0.0.1", {lifeline.port}))
            line.sendall(event.encode())
            return line.recv(64).decode()
    """)
    cell = notebook.begin("""
        found = await asyncio.gather(hold.ainvoke("a"), hold.ainvoke("b"))
        print([i.result() for i in found])
    """)
    for held in [lifeline.next(), lifeline.next()]:
        held.let_go(f"{held.name}!")
    printed, error = notebook.end(cell)
    assert (printed.splitlines()[-1:], error) == (["['a!', 'b!']"], "")


HOLD = """
    import socket
    from faaskit import function

    @function(timeout=60)
    def hold(event, context):
        line = socket.create_connection(("127.0.0.1", event))
        line.sendall(b"held")
        line.recv(64)
        return "let go"
"""


def test_a_cell_is_interrupted(notebook: Notebook, lifeline: Lifeline) -> None:
    """The stop button: KeyboardInterrupt, the function is dead, the next cell can invoke."""
    notebook.run(HOLD)
    cell = notebook.begin(f"hold.invoke({lifeline.port})")
    running = lifeline.next()
    notebook.kernel.interrupt_kernel()
    assert notebook.end(cell)[1] == "KeyboardInterrupt"
    running.wait_end()
    cell = notebook.begin(f"print(hold.invoke({lifeline.port}).result())")
    lifeline.next().let_go("on")
    assert notebook.end(cell) == ("let go\n", "")


@pytest.mark.parametrize("now", [False, True], ids=["restart", "kill"])
def test_the_kernel_is_restarted(notebook: Notebook, lifeline: Lifeline, now: bool) -> None:
    """In the middle of a call, asked or killed: nobody is left of the old kernel."""
    notebook.run(HOLD)
    notebook.run(f"future = hold.submit({lifeline.port})")
    running = lifeline.next()
    before = notebook.family()
    assert len(before) >= 4  # the kernel, its launcher, a template, the function
    notebook.kernel.restart_kernel(now=now)
    running.wait_end()
    wait_gone(before)


def test_what_can_not_travel_from_a_cell(notebook: Notebook) -> None:
    """The error names the variable of the notebook."""
    notebook.run("""
        from faaskit import function
        my_numbers = (number for number in range(3))

        @function(timeout=30)
        def count(event, context):
            return list(my_numbers)

        try:
            count.invoke()
        except Exception as error:
            said = type(error).__name__, str(error)
    """)
    kind, message = notebook.value("said")
    assert kind == "DefinitionError"
    assert "my_numbers" in message
