"""
Cgroups: the kernel's limits of a whole process tree. Runs in the launcher; stdlib only.

One group for each template and each environment, with as many of the controllers ``pids``,
``memory`` and ``cpu`` as this process may use: under version 1 a hierarchy for each, whose
groups root makes, or whoever root has given a folder; under version 2 one hierarchy, in a
folder that was delegated. Making and removing a group for each call would cost more than
joining one that is there, so groups are used again once they are empty.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
from collections import deque

from .hierarchies import homes, turned_on
from .limits import PROCESSES

__all__ = ["Group", "Groups", "remove_group"]

_PERIOD_US = 20_000
_FILES_TO_KEEP = 8192  # six for each group that was ever needed at one time
_LEAST_QUOTA_US = 1000  # the kernel takes no less
# What a former environment may leave charged to a group that the next one gets: pages of files
# that it was the first to read, which the kernel takes back when they are in the way.
_LEFT_CHARGED = 16 * 1024 * 1024


def _read(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 1 << 16).decode("ascii", "replace")
    finally:
        os.close(descriptor)


def _write(path: str, value: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, value.encode())
    finally:
        os.close(descriptor)


_NAMES = {
    1: {
        "limit": "memory.limit_in_bytes",
        "usage": "memory.usage_in_bytes",
        "events": "memory.oom_control",
        "throttled": "throttled_time",
    },
    2: {
        "limit": "memory.max",
        "usage": "memory.current",
        "events": "memory.events",
        "throttled": "throttled_usec",
    },
}


class Group:
    """
    One tree's groups, one in each hierarchy.

    Args:
        number: Its own.
        folders: Its folder for each controller, and the version.
        keep_open: Whether the files that are used at each call stay open between calls: to find
            one is most of a read.
    """

    def __init__(
        self, number: int, folders: dict[str, tuple[int, str]], *, keep_open: bool
    ) -> None:
        self.number = number
        self._folders = folders
        self._keep_open = keep_open
        self._memory_limit = 0
        self._oom_kills = 0
        self._may_fork = True
        self._has_quota = False
        self._doors: list[int] = []
        self._first = next(iter(folders.values()))[1]  # where the members are listed
        self._files: dict[str, int] = {}  # by their path

    def open_doors(self) -> list[int]:
        """
        Return descriptors by which a process of any user joins it, writing 0.

        Raises:
            OSError: Somebody has removed it, or this process has too many files open.
        """
        try:
            if not self._doors:
                for _, folder in dict.fromkeys(self._folders.values()):
                    path = f"{folder}/cgroup.procs"
                    self._doors.append(os.open(path, os.O_WRONLY | os.O_CLOEXEC))
        except OSError:
            self.close()
            raise
        return self._doors

    def release_doors(self) -> None:
        """Close the descriptors of ``open_doors``, unless they are kept."""
        if not self._keep_open:
            self.close()

    def close(self) -> None:
        """Close what it has open."""
        while self._doors:
            os.close(self._doors.pop())
        while self._files:
            os.close(self._files.popitem()[1])

    def _reread(self, controller: str, name: str) -> str:
        path = f"{self._folders[controller][1]}/{name}"
        if not self._keep_open:
            return _read(path)
        if path not in self._files:
            self._files[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return os.pread(self._files[path], 4096, 0).decode("ascii", "replace")

    def tasks(self) -> int:
        """
        Return how many processes and threads are in it, dead ones included that nobody reaped.

        Raises:
            OSError: Somebody has removed it.
        """
        return int(self._reread("pids", "pids.current"))

    def remove(self) -> None:
        """Close it and remove its folders, where nobody is in them any more."""
        self.close()
        for folder in {folder for _, folder in self._folders.values()}:
            remove_group(folder)

    def exists(self) -> bool:
        """Return whether its folders are there."""
        return os.path.isdir(self._first)

    @property
    def counts_memory(self) -> bool:
        """True if the kernel limits its memory."""
        return "memory" in self._folders

    @property
    def limits_cpu(self) -> bool:
        """True if the kernel can hold it to a share of CPU."""
        return "cpu" in self._folders

    @property
    def counts_processes(self) -> bool:
        """True if the kernel limits its processes and threads."""
        return "pids" in self._folders

    def members(self) -> list[int]:
        """Return the pids in it; none where somebody has removed it."""
        try:
            found = _members(self._first)
        except OSError:
            return []
        return [pid for pid in found if pid]  # 0 is one of an outer pid namespace

    # Processes

    def forbid_forks(self) -> None:
        """Let nothing in it fork any more: a fork bomb then can't outrun whoever ends it."""
        if self.counts_processes:
            self._may_fork = False
            with contextlib.suppress(OSError):  # a folder that somebody removed holds nobody
                _write(f"{self._folders['pids'][1]}/pids.max", "0")

    def allow_forks(self) -> None:
        """Let it have as many processes and threads as a function may."""
        if self.counts_processes:
            _write(f"{self._folders['pids'][1]}/pids.max", str(PROCESSES))
            self._may_fork = True

    # Memory

    def limit_memory(self, limit: int) -> None:
        """
        Set how many bytes of memory of any kind it may hold, swapped out or not.

        Raises:
            OSError: It holds more, and the kernel could not take that back.
        """
        if not self.counts_memory or limit == self._memory_limit:
            return
        version, folder = self._folders["memory"]
        if version == 2:  # noqa: PLR2004
            _write(f"{folder}/memory.max", str(limit))
            _try_write(f"{folder}/memory.swap.max", "0")
            _try_write(f"{folder}/memory.oom.group", "1")
        else:
            # With swap the second may never be below the first, whichever way they move.
            swap = f"{folder}/memory.memsw.limit_in_bytes"
            if limit > self._memory_limit > 0:
                _try_write(swap, str(limit))
            _write(f"{folder}/memory.limit_in_bytes", str(limit))
            _try_write(swap, str(limit))
        self._memory_limit = limit

    def memory(self) -> int:
        """Return the bytes that are charged to it, pages of files included."""
        version, _ = self._folders["memory"]
        return int(self._reread("memory", _NAMES[version]["usage"]))

    def shared_memory(self) -> int:
        """
        Return the bytes of files in memory that are charged to it, mapped or not.

        These are those of /tmp, of /dev/shm, without a name, of System V, and shared mappings
        of no file, whoever has a descriptor of them, and be it a message that nobody received.
        """
        return _value(_read(f"{self._folders['memory'][1]}/memory.stat"), "shmem")

    def ran_out_of_memory(self) -> bool:
        """Return whether the kernel has killed for memory in it since this was asked last."""
        if not self.counts_memory:
            return False
        version, _ = self._folders["memory"]
        try:
            kills = _value(self._reread("memory", _NAMES[version]["events"]), "oom_kill")
        except OSError:
            return False
        before, self._oom_kills = self._oom_kills, kills
        return kills > before

    # CPU

    def hold_cpu(self, vcpus: float) -> None:
        """
        Hold it to a share of CPU.

        Raises:
            OSError: Somebody has removed it.
        """
        version, folder = self._folders["cpu"]
        quota = max(_LEAST_QUOTA_US, int(vcpus * _PERIOD_US))
        period = max(_PERIOD_US, int(quota / vcpus))
        if version == 1:
            _write(f"{folder}/cpu.cfs_period_us", str(period))
            _write(f"{folder}/cpu.cfs_quota_us", str(quota))
        else:
            _write(f"{folder}/cpu.max", f"{quota} {period}")
        self._has_quota = True

    def free_cpu(self) -> None:
        """Hold it to no share of CPU any more: what is to die has to run for that."""
        if not self._has_quota:
            return
        self._has_quota = False
        version, folder = self._folders["cpu"]
        if version == 1:
            _try_write(f"{folder}/cpu.cfs_quota_us", "-1")
        else:
            _try_write(f"{folder}/cpu.max", "max")

    def throttled_ns(self) -> int:
        """Return for how long its share has kept it from running, over all that use the group."""
        version, folder = self._folders["cpu"]
        try:
            value = _value(_read(f"{folder}/cpu.stat"), _NAMES[version]["throttled"])
        except OSError:
            return 0
        return value if version == 1 else value * 1000

    # Using it again

    def is_clean(self) -> bool:
        """Return whether nobody is in it, and little of what was charged to it is left."""
        occupied = self.tasks() if self.counts_processes else len(_members(self._first))
        if occupied:
            return False
        if not self.counts_memory or self.memory() <= _LEFT_CHARGED:
            return True
        # Pages of files may stay: the kernel takes them back when they are in the way.
        stat = _read(f"{self._folders['memory'][1]}/memory.stat")
        return sum(_value(stat, name) for name in ("rss", "anon", "shmem")) <= _LEFT_CHARGED

    def make_ready(self) -> None:
        """Undo what was set for the one that had it."""
        self.free_cpu()
        self.ran_out_of_memory()
        if not self._may_fork:
            self.allow_forks()


def _members(folder: str) -> list[int]:
    return [int(line) for line in _read_all(f"{folder}/cgroup.procs").split()]


def _read_all(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _value(text: str, name: str) -> int:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0


def _try_write(path: str, value: str) -> None:
    with contextlib.suppress(OSError):
        _write(path, value)


class Groups:
    """
    The groups of one launcher.

    Args:
        name: Of their folders; says whose they are.

    Attributes:
        controllers: Those that can be used here; empty where there are none.
    """

    def __init__(self, name: str) -> None:
        self._parents: dict[str, tuple[int, str]] = {}
        self._free: deque[Group] = deque()
        self._all: list[Group] = []
        self._made = 0
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self._keep_open = hard >= _FILES_TO_KEEP
        for hierarchy, controllers, home in homes():
            folder = f"{home}/{name}"
            try:
                os.mkdir(folder)
                if hierarchy.version == 2:  # noqa: PLR2004
                    controllers = turned_on(folder, tuple(sorted(controllers)))  # noqa: PLW2901
            except OSError:
                continue  # a read-only mount looks writable to root: there are none here
            for controller in controllers:
                self._parents[controller] = hierarchy.version, folder
        self.controllers = frozenset(self._parents)

    def take(self) -> Group | None:
        """
        Return a group that nobody is in, None where there are no cgroups.

        Raises:
            OSError: One could not be made, though there were some.
        """
        if not self._parents:
            return None
        while self._free:
            group = self._free.popleft()
            if group.exists():
                return group
            self.discard(group)  # somebody has removed it
        number, self._made = self._made, self._made + 1
        folders: dict[str, tuple[int, str]] = {}
        for controller, (version, parent) in self._parents.items():
            folders[controller] = version, f"{parent}/{number}"
        for _, folder in set(folders.values()):
            os.makedirs(folder, exist_ok=True)  # with the parent, if somebody removed that
        group = Group(number, folders, keep_open=self._keep_open)
        group.allow_forks()
        self._all.append(group)
        return group

    def give_back(self, group: Group) -> None:
        """
        Take a group that is clean for the next one.

        The one that was given back longest ago is used next: what the kernel frees later, such
        as a large page table, is gone from it by then.
        """
        try:
            group.make_ready()
        except OSError:
            self.discard(group)
        else:
            self._free.append(group)

    def discard(self, group: Group) -> None:
        """Remove a group that is of no more use, because somebody removed its folder."""
        with contextlib.suppress(OSError):
            group.remove()
        if group in self._all:
            self._all.remove(group)

    def forbid_all_forks(self) -> None:
        """Let nothing fork any more, in any group."""
        for group in self._all:
            group.forbid_forks()
            group.free_cpu()

    def close_files(self) -> None:
        """Close what the groups have open: nobody joins any more."""
        for group in self._all:
            group.close()

    def close(self) -> None:
        """Remove all groups; those that still have a process are left to the next sweep."""
        for group in self._all:
            with contextlib.suppress(OSError):
                group.remove()
        for _, folder in set(self._parents.values()):
            with contextlib.suppress(OSError):
                remove_group(folder)


def remove_group(folder: str) -> None:
    """Remove an empty group; one that still has a process stays."""
    try:
        os.rmdir(folder)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EBUSY):
            raise
