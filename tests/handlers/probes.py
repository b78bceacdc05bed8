"""What several test modules look at: processes, and waiting for something to be so."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Any

import psutil

from faaskit import Invoker
from faaskit.invoke import Invocation

__all__ = [
    "Held",
    "Lifeline",
    "Script",
    "alive",
    "family",
    "launcher_of",
    "pids_printed",
    "templates_of",
    "until",
    "wait_gone",
]

_PATIENCE_S = 20  # for what comes in a moment; a limit, never waited out


class Held:
    """A handler that runs until it is let go or killed, as its test sees it."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE_S)
        self._connection = connection
        self.name = connection.recv(64).decode()

    def let_go(self, word: str) -> None:
        """Have the handler return that word."""
        self._connection.sendall(word.encode())

    def wait_word(self) -> str:
        """Return what the handler says next."""
        return self._connection.recv(64).decode()

    def wait_end(self) -> None:
        """Wait until its process is gone, and all that it forked."""
        assert self._connection.recv(1) == b""

    def close(self) -> None:
        """Close this side."""
        self._connection.close()


class Lifeline:
    """
    Where handlers ring when they run, and by which a test sees that they are dead.

    A handler connects, tells its name, and closes nothing: the kernel does that when the
    last process that holds the socket ends. Unlike a pid or a file of the handler's, it
    means the same whatever namespaces the sandbox puts between them.
    """

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.settimeout(_PATIENCE_S)
        self._held: list[Held] = []
        self.port: int = self._server.getsockname()[1]

    def next(self) -> Held:
        """Return the next handler that rings."""
        held = Held(self._server.accept()[0])
        self._held.append(held)
        return held

    def has_rung(self) -> bool:
        """Whether somebody has rung who was not taken by ``next``."""
        self._server.settimeout(0)
        try:
            self._server.accept()[0].close()
        except BlockingIOError:
            return False
        finally:
            self._server.settimeout(_PATIENCE_S)
        return True

    def close(self) -> None:
        """Close all of it: whoever is still held returns."""
        for held in self._held:
            held.close()
        self._server.close()


class Script:
    """
    A script of the user's in a process of its own, watched until nobody of it is left.

    Args:
        folder: For the script's file.
        text: What it does.
        arguments: Its ``sys.argv[1:]``.
    """

    def __init__(self, folder: Path, text: str, *arguments: object) -> None:
        file = folder / "script.py"
        file.write_text(textwrap.dedent(text))
        watcher = Path(__file__).with_name("to_the_last.py")
        # 3.12 warns of a fork beside threads: that is what some of them are about.
        quiet = ("-W", "ignore::DeprecationWarning")
        self._watcher = subprocess.Popen(
            [sys.executable, str(watcher), *quiet, str(file), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._watcher.stdin is not None
        assert self._watcher.stdout is not None
        self._stdin: IO[str] = self._watcher.stdin
        self._stdout: IO[str] = self._watcher.stdout

    def wait_line(self, wanted: str) -> None:
        """Wait until it prints that line."""
        seen = []
        for line in self._stdout:
            if line == f"{wanted}\n":
                return
            seen.append(line)
        msg = f"it ended without printing {wanted!r}; it printed {seen}"
        raise AssertionError(msg)

    def go_on(self) -> None:
        """Let its ``input()`` return."""
        self._stdin.write("\n")
        self._stdin.flush()

    def signal(self, number: int) -> None:
        """Send its process a signal."""
        psutil.Process(self._watcher.pid).children()[0].send_signal(number)

    def wait_last(self) -> int:
        """Wait until it and all that it started are gone; return its exit code."""
        return self._watcher.wait(_PATIENCE_S)

    def close(self) -> None:
        """Kill what is left, after a test that failed."""
        if self._watcher.poll() is None:
            for process in psutil.Process(self._watcher.pid).children(recursive=True):
                process.kill()
        self._stdin.close()
        self._stdout.close()
        self._watcher.wait(_PATIENCE_S)


def alive(process: int | psutil.Process) -> bool:
    """
    Whether a process is there and no zombie.

    By its start time, too, where it is a psutil.Process: pids are soon used again.
    """
    try:
        found = psutil.Process(process) if isinstance(process, int) else process
        return found.is_running() and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """Wait until something is so and return it; the limit is for what never comes."""
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    msg = f"it never came: {what}"
    raise AssertionError(msg)


def wait_gone(pids: Iterable[int | psutil.Process], seconds: float = 20) -> None:
    """Wait until none of these processes is alive."""
    until(lambda: not any(map(alive, pids)), f"the end of {pids}", seconds)


def launcher_of(invoker: Invoker) -> int:
    """Return the pid of an Invoker's launcher."""
    keeper = invoker._backend._keeper  # type: ignore[attr-defined]
    return int(keeper.pid)


def templates_of(invoker: Invoker) -> list[psutil.Process]:
    """Return the processes of an Invoker's templates: in a jail, of their doorkeepers."""
    found: list[psutil.Process] = []
    for child in psutil.Process(launcher_of(invoker)).children():
        with contextlib.suppress(psutil.NoSuchProcess):  # a helper that has ended
            if any("_faaskit_child.template" in word for word in child.cmdline()):
                found.append(child)
    return found


def parked_of(invoker: Invoker) -> list[psutil.Process]:
    """Return the processes of environments that wait for a call, on the host."""
    backend = invoker._backend
    table = backend._keeper.table  # type: ignore[attr-defined]
    rows = [
        one.row
        for template in backend._templates.values()  # type: ignore[attr-defined]
        for queue in template._ahead.values()
        for one in queue
    ]
    return [psutil.Process(table.pid[row]) for row in rows if table.pid[row]]


def running_of(invoker: Invoker) -> list[psutil.Process]:
    """Return the processes of environments that have an event, on the host."""
    table = invoker._backend._keeper.table  # type: ignore[attr-defined]
    # A row keeps what stood in it last, until it is another environment's.
    pids = {table.pid[row] for row, deadline in enumerate(table.deadline) if deadline > 0}
    launcher = psutil.Process(launcher_of(invoker))
    return [below for below in launcher.children(recursive=True) if below.pid in pids]


def family(invoker: Invoker) -> set[psutil.Process]:
    """Return an Invoker's launcher and all below it."""
    launcher = psutil.Process(launcher_of(invoker))
    return {launcher, *launcher.children(recursive=True)}


def pids_printed(invocation: Invocation) -> list[int]:
    """Return the pids that a handler printed as ``pid N``."""
    return [int(number) for number in re.findall(r"^pid (\d+)", invocation.logs, re.MULTILINE)]
