"""
The kernel's limits of a process, which a template sets itself. Runs in the child; stdlib only.

Environments inherit a template's rlimits, so what is the same for all is set once there. Not
from outside: for the limits of a process of another user the launcher would need a capability
that root often lacks in a container.
"""

from __future__ import annotations

import contextlib
import os
import platform
import resource

__all__ = [
    "FILE_DESCRIPTORS",
    "PROCESSES",
    "end_first_when_memory_is_short",
    "limit_processes",
    "limit_template",
    "raise_processes",
]

FILE_DESCRIPTORS = 1024
PROCESSES = 1024

_ALL_PROCESSES = 8 * PROCESSES  # of several environments at once


def end_first_when_memory_is_short() -> None:
    """Make the kernel take this process and its descendants before the app, on a full host."""
    # Some containers let nobody write it; no limit of the function depends on it.
    with (
        contextlib.suppress(OSError),
        open("/proc/self/oom_score_adj", "w", encoding="ascii") as file,
    ):
        file.write("1000")


def limit_template(data_limit: int, file_limit: int) -> None:
    """
    Set the limits of this process, a template before it loads any code. Sizes in bytes.

    The memory backstop is a soft limit here: an environment of the same template may have
    a larger memory size, and lowers the hard one for itself.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_NOFILE, FILE_DESCRIPTORS)
    for which, limit in ((resource.RLIMIT_DATA, data_limit), (resource.RLIMIT_FSIZE, file_limit)):
        hard = resource.getrlimit(which)[1]
        resource.setrlimit(which, (limit, hard))


def limit_processes(*, jailed: bool) -> None:
    """
    Bound the processes and threads of INIT, and of all environments of this template together.

    Since Linux 5.14 a user namespace counts its own, so in a jail nobody else's are in the way;
    set before it was entered, the same limit would bind all functions of this user together.
    Elsewhere the kernel counts this user's on the whole host, and the limit is set above what
    there is now. As root it binds nobody: that takes the pids cgroup.
    """
    if os.getuid() == 0 and not jailed:
        return
    there = 0 if jailed and _counts_by_namespace() else _user_total()
    hard = _lower(resource.RLIMIT_NPROC, there + _ALL_PROCESSES)
    # A few more than there may be: one that is over is noticed and ended, not only refused.
    resource.setrlimit(resource.RLIMIT_NPROC, (min(there + PROCESSES + 64, hard), hard))


def raise_processes() -> None:
    """Lift INIT's own bound on processes and threads, once it is over."""
    hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
    resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))


def _counts_by_namespace() -> bool:
    numbers = platform.release().split("-")[0].split(".")[:2]
    return [int("".join(filter(str.isdigit, number)) or 0) for number in numbers] >= [5, 14]


def _lower(which: int, wanted: int) -> int:
    hard = resource.getrlimit(which)[1]
    value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(which, (value, value))
    return value


def _user_total() -> int:
    own, total = os.getuid(), 0
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == own:
                total += len(os.listdir(f"/proc/{name}/task"))
        except OSError:  # it ended meanwhile
            continue
    return total
