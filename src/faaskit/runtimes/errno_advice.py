"""The advice for an error of the kernel's while the sandbox was set up. Pure."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Any

from faaskit.exceptions import SandboxError

__all__ = ["ADVICE", "PASSING", "sandbox_error"]

# Limits of this user's or this host's that others may be at, and leave again.
PASSING = frozenset({errno.EAGAIN, errno.ENOMEM, errno.ETOOMANYREFS})

ADVICE: Mapping[int, str] = {
    errno.EAGAIN: (
        "the limit on processes and threads is reached, of this user (ulimit -u) or of this "
        "process's cgroup (pids.max): raise it, or lower the Invoker's max_concurrency"
    ),
    errno.ETOOMANYREFS: (
        "processes of this user have too many descriptors on their way through Unix sockets, "
        "faaskit's or others': the call can be made again; if it fails again, raise the limit on "
        "open files (ulimit -n), or end the program that leaves them unread"
    ),
    errno.EMFILE: (
        "this process or faaskit's launcher has too many files open: raise ulimit -n, or lower "
        "the Invoker's max_concurrency"
    ),
    errno.ENFILE: "this host has too many files open: raise the sysctl fs.file-max",
    errno.ENOMEM: (
        "the memory of this host, or of this process's cgroup, is used up: allow more, or lower "
        "the Invoker's max_concurrency"
    ),
    errno.ENOSPC: (
        "the disk of the temporary folder (TMPDIR) is full, or a limit of the kernel on "
        "namespaces is reached: free some space, or raise the sysctls user.max_*_namespaces"
    ),
}

# What an environment reports may have been written by hostile code.
_LARGEST_ERRNO = 4095
_TEXT_LENGTH = 500


def sandbox_error(facts: Mapping[str, Any], subject: str, default_step: str) -> SandboxError:
    """
    Return the error for a step of the sandbox's own that failed.

    Args:
        facts: ``step``, a verb with its object; ``errno``; and a text, ``detail`` or
            ``message``. None of them is trusted to be there, or of its type.
        subject: The thing that failed, such as "an environment".
        default_step: For facts that name none.
    """
    step = _text(facts.get("step")) or default_step
    number = _number(facts.get("errno"))
    detail = _text(facts.get("detail")) or _text(facts.get("message"))
    reason = detail or "the reason is unknown"
    if number is not None:
        # The exception's own text is worth its place where it names a call or a file.
        known = detail in ("", repr(OSError(number, os.strerror(number))))
        name = errno.errorcode.get(number, str(number))
        reason = f"{os.strerror(number)} ({name if known else f'{name}: {detail}'})"
        if number in ADVICE:
            reason += f"; {ADVICE[number]}"
    return SandboxError(f"{subject} could not {step}: {reason}", step=step, errno=number)


def _number(number: Any) -> int | None:
    if isinstance(number, int) and not isinstance(number, bool) and 0 < number <= _LARGEST_ERRNO:
        return number
    return None


def _text(text: Any) -> str:
    return text[:_TEXT_LENGTH] if isinstance(text, str) else ""
