"""Ending process trees, whatever they do against it. Runs in the launcher; stdlib only."""

from __future__ import annotations

import contextlib
import os
import signal

from . import usage

__all__ = ["kill", "kill_tree"]

_ROUNDS = 100


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that may be gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def kill_tree(pid: int) -> int:
    """
    Kill a process and everything below it; return how many were killed.

    Killing one by one loses against a tree that forks faster than it is walked. So all are
    stopped first, over and over until a walk finds nobody new: what is stopped can't fork.
    The root is stopped first of all, so that its pid stays taken until the end.
    """
    below = usage.descendants(pid)
    if not below:
        kill(pid)
        return 1
    kill(pid, signal.SIGSTOP)
    stopped: set[int] = set()
    for _ in range(_ROUNDS):
        new = [child for child in usage.descendants(pid) if child not in stopped]
        if not new:
            break
        for child in new:
            kill(child, signal.SIGSTOP)
        stopped.update(new)
    for child in stopped:
        kill(child)
    kill(pid)
    return len(stopped) + 1
