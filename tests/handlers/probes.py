"""What several test modules look at: processes, and waiting for something to be so."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import Any

import psutil

from faaskit import Invoker
from faaskit.invoke import Invocation

__all__ = ["alive", "family", "launcher_of", "pids_printed", "templates_of", "until", "wait_gone"]


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
    """Return the processes of an Invoker's templates."""
    return psutil.Process(launcher_of(invoker)).children()


def family(invoker: Invoker) -> set[psutil.Process]:
    """Return an Invoker's launcher and all below it."""
    launcher = psutil.Process(launcher_of(invoker))
    return {launcher, *launcher.children(recursive=True)}


def pids_printed(invocation: Invocation) -> list[int]:
    """Return the pids that a handler printed as ``pid N``."""
    return [int(number) for number in re.findall(r"^pid (\d+)", invocation.logs, re.MULTILINE)]
