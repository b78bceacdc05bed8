"""The few calls to the kernel that Python has no name for. Runs in the child; stdlib only."""

from __future__ import annotations

import ctypes
import os
import signal

__all__ = ["adopt_orphans", "die_with_parent", "tie_to_template"]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36

_libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def die_with_parent() -> None:
    """
    Have the kernel kill this process when its parent ends.

    It fires when the *thread* that forked it ends. The launcher and the template have one
    thread for all their life; the app does not, so the launcher can't use it.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, instead of pid 1."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def tie_to_template(template: int) -> None:
    """
    What an environment asks for itself, first of all.

    Args:
        template: Its pid, as the template itself knew it before the fork: one that has ended
            since is not this process's parent any more, and its signal would never come.

    A daemon that the function makes by forking twice becomes this process's child, not the
    launcher's: while the function runs it is found below it, and counted.
    """
    die_with_parent()
    adopt_orphans()
    if os.getppid() != template:
        os._exit(1)
