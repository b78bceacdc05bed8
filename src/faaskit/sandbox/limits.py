"""
The kernel's own limits: rlimits, which a template sets itself, and groups of processes.

Environments inherit a template's rlimits, so what is the same for all is set once there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource

__all__ = [
    "FILE_DESCRIPTORS",
    "PROCESSES",
    "PidsGroups",
    "limit_template",
    "own_pids_group",
    "remove_group",
]

FILE_DESCRIPTORS = 1024
PROCESSES = 1024

_PIDS_HIERARCHY = "/sys/fs/cgroup/pids"


def limit_template(data_limit: int, file_limit: int, *, jailed: bool) -> None:
    """
    Set the limits of this process, a template before it loads any code. Sizes in bytes.

    Not from outside: for the limits of a process of another user the launcher would need a
    capability that root often lacks in a container.

    The memory backstop is a soft limit here: an environment of the same template may have
    a larger memory size, and lowers the hard one for itself.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _lower(resource.RLIMIT_NOFILE, FILE_DESCRIPTORS)
    for which, limit in ((resource.RLIMIT_DATA, data_limit), (resource.RLIMIT_FSIZE, file_limit)):
        hard = resource.getrlimit(which)[1]
        resource.setrlimit(which, (limit, hard))
    if os.getuid() != 0:
        # It counts every process and thread of this user on the host, so the limit is set
        # above what there is now. As root it binds nobody: that takes the pids cgroup.
        _lower(resource.RLIMIT_NPROC, _user_total())
    elif jailed:  # and so a user that nobody else is
        _lower(resource.RLIMIT_NPROC, 8 * PROCESSES)


def _lower(which: int, wanted: int) -> None:
    hard = resource.getrlimit(which)[1]
    value = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(which, (value, value))


def _user_total() -> int:
    own, total = os.getuid(), 8 * PROCESSES  # for several environments at once
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == own:
                total += len(os.listdir(f"/proc/{name}/task"))
        except OSError:  # it ended meanwhile
            continue
    return total


def own_pids_group() -> str | None:
    """
    Return the folder of this process's group in the pids hierarchy, if it may be divided.

    Only cgroup v1 has such a hierarchy of its own. Under v2 a group that has processes
    can't have groups below it, so it takes a manager's delegation.
    """
    try:
        with open("/proc/self/cgroup", encoding="ascii", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    for line in lines:
        _, names, path = line.split(":", 2)
        if "pids" in names.split(","):
            folder = _PIDS_HIERARCHY + path.rstrip("/")
            return folder if os.access(folder, os.W_OK) else None
    return None


class PidsGroups:
    """
    One group of at most ``PROCESSES`` processes and threads for each environment.

    Making and removing a group for each call would cost more than moving into one that is
    there, so groups are used again once they are empty.

    Args:
        name: Of the folder; says whose it is.
    """

    def __init__(self, name: str) -> None:
        self._parent: str | None = None
        self._free: list[str] = []
        self._doors: dict[str, int] = {}
        self._made = 0
        own = own_pids_group()
        if own is not None:
            folder = f"{own}/{name}"
            try:
                os.mkdir(folder)
            except OSError:
                # A read-only mount looks writable to root: then there are no groups here.
                return
            self._parent = folder

    def take(self) -> str:
        """Return an empty group's folder, or an empty string where there are no groups."""
        if self._parent is None:
            return ""
        if self._free:
            return self._free.pop()
        folder = f"{self._parent}/{self._made}"
        self._made += 1
        try:
            os.mkdir(folder)
            self._write(folder, str(PROCESSES))
        except OSError:
            self._parent = None
            return ""
        return folder

    def door(self, folder: str) -> int:
        """Return a descriptor, kept open, by which a process of any user joins a group."""
        if folder not in self._doors:
            path = f"{folder}/cgroup.procs"
            self._doors[folder] = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        return self._doors[folder]

    def members(self, folder: str) -> list[int]:
        """Return the pids in a group."""
        if not folder:
            return []
        with open(f"{folder}/cgroup.procs", encoding="ascii") as file:
            return [int(line) for line in file]

    def freeze(self, folder: str) -> None:
        """Let nothing in a group fork any more: a fork bomb then can't outrun its killer."""
        if folder:
            with contextlib.suppress(OSError):  # a folder that somebody removed holds nobody
                self._write(folder, "0")

    def freeze_all(self) -> None:
        """Let nothing fork any more, in any group."""
        if self._parent is not None:
            for index in range(self._made):
                self.freeze(f"{self._parent}/{index}")

    def give_back(self, folder: str) -> None:
        """Make an empty group ready for the next environment."""
        if folder:
            self._write(folder, str(PROCESSES))
            self._free.append(folder)

    def close(self) -> None:
        """Remove all groups; those that still have a process are left to the next sweep."""
        if self._parent is None:
            return
        for index in range(self._made):
            remove_group(f"{self._parent}/{index}")
        remove_group(self._parent)

    def _write(self, folder: str, value: str) -> None:
        with open(f"{folder}/pids.max", "w", encoding="ascii") as file:
            file.write(value)


def remove_group(folder: str) -> None:
    """Remove an empty group; one that still has a process stays."""
    try:
        os.rmdir(folder)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EBUSY):
            raise
