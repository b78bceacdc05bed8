"""
What a process tree uses, read from the kernel. Runs in the launcher; stdlib only.

psutil tells the same, at 18 to 1,000 times the price; here microseconds count, because
this is read every few milliseconds for every running function.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

__all__ = [
    "Alone",
    "Files",
    "children",
    "cpu_time_ns",
    "descendants",
    "has_pending",
    "mapped_shared_memory",
    "mounts",
    "page_tables",
    "parent_and_start",
    "peak_resident",
    "reaped_cpu_time_ns",
    "resident",
    "state",
    "threads",
]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_CPUCLOCK_SCHED = 2


def _read(path: str) -> bytes:
    """Return a small file of /proc; empty where the process is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def children(pid: int) -> list[int]:
    """Return the pids of a process's children, those of all its threads."""
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return []
    found: list[int] = []
    for thread in threads:
        found.extend(map(int, _read(f"/proc/{pid}/task/{thread}/children").split()))
    return found


def descendants(pid: int, most: int = 1 << 22) -> list[int]:
    """
    Return the pids of everything below a process, parents before children.

    Args:
        pid: Of the process.
        most: With more than so many the walk ends: a tree may grow faster than it is walked.
    """
    found = children(pid)
    for child in found:  # grows while it is walked
        if len(found) > most:
            break
        found.extend(children(child))
    return found


def resident(pid: int) -> int:
    """Return the resident set in bytes, shared pages included; 0 where it is gone."""
    fields = _read(f"/proc/{pid}/statm").split()
    return int(fields[1]) * _PAGE if fields else 0


def mapped_shared_memory(pids: list[int]) -> int:
    """Return how much of the resident sets is such memory, in bytes; shared pages count twice."""
    total = 0
    for pid in pids:
        for line in _read(f"/proc/{pid}/status").splitlines():
            if line.startswith(b"RssShmem:"):
                total += int(line.split()[1]) * 1024
    return total


def mounts(pid: int) -> frozenset[bytes]:
    """Return the ids of the mounts that a process sees; none where it is gone."""
    try:
        with open(f"/proc/{pid}/mountinfo", "rb") as file:
            return frozenset(line.split(b" ", 1)[0] for line in file)
    except OSError:
        return frozenset()


def page_tables(pids: list[int]) -> int:
    """Return the bytes of page tables of some processes; no resident set has them."""
    return sum(_number(_read(f"/proc/{pid}/status"), b"\nVmPTE:") * 1024 for pid in pids)


def has_pending(pid: int, number: int) -> bool:
    """Return whether a signal was sent to a process, and it has not acted on it yet."""
    status = _read(f"/proc/{pid}/status")
    begin = status.find(b"\nShdPnd:")
    if begin < 0:
        return False
    field = status[begin + 8 : status.find(b"\n", begin + 1)]
    return bool(int(field, 16) >> (number - 1) & 1)


def peak_resident(pid: int) -> int:
    """Return the largest resident set that the process has had, in bytes."""
    return _number(_read(f"/proc/{pid}/status"), b"\nVmHWM:") * 1024


def cpu_time_ns(pid: int) -> int:
    """Return user and system time of all threads of a process; 0 where it is gone."""
    try:
        # The kernel's number for another process's CPU clock. /proc/PID/stat counts in
        # ticks of 10 ms, which most invocations don't reach.
        return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED)
    except OSError:
        return 0


def _stat(pid: int) -> list[bytes]:
    # The name is in parentheses and may hold anything, spaces and parentheses too.
    return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()


def reaped_cpu_time_ns(pid: int) -> int:
    """Return the CPU time of the children that a process has waited for, in ticks of 10 ms."""
    return _reaped_ns(_stat(pid))


def _reaped_ns(fields: list[bytes]) -> int:
    return (int(fields[13]) + int(fields[14])) * _TICK_NS if len(fields) > 14 else 0  # noqa: PLR2004


def threads(pid: int) -> int:
    """Return how many threads a process has; 0 where it is gone."""
    try:
        return os.stat(f"/proc/{pid}/task").st_nlink - 2
    except OSError:
        return 0


def state(pid: int) -> bytes:
    """Return the letter of what a process does, ``T`` for stopped; empty where it is gone."""
    fields = _stat(pid)
    return fields[0] if fields else b""


class Alone(NamedTuple):
    """
    What a process used that has one thread and no children.

    Attributes:
        cpu_ns: User and system time, with that of the children that it has waited for.
        peak: The largest resident set that it has had, in bytes.
    """

    cpu_ns: int
    peak: int


class Files:
    """A process's files of /proc, opened before they are needed: to find one is most of it."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._open: list[int] = []
        try:
            for name in ("status", "stat", f"task/{pid}/children"):
                path = f"/proc/{pid}/{name}"
                self._open.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError:  # it is gone, or this process has too many files open
            self.close()

    def read(self) -> Alone | None:
        """Return what it used; None where it is gone, or has children or other threads."""
        if not self._open:
            return None
        status, stat, children = self._open
        try:
            lines = os.read(status, 1 << 16)
            if _number(lines, b"\nThreads:") != 1 or os.read(children, 1):
                return None
            fields = os.read(stat, 1 << 16).rpartition(b")")[2].split()
        except OSError:
            return None
        cpu = cpu_time_ns(self._pid)
        peak = _number(lines, b"\nVmHWM:") * 1024
        return Alone(cpu + _reaped_ns(fields), peak) if cpu and peak else None

    def close(self) -> None:
        """Close them; twice is fine."""
        for descriptor in self._open:
            os.close(descriptor)
        self._open = []


def _number(lines: bytes, name: bytes) -> int:
    """Return the number after a name in a file of /proc; 0 where it is not there."""
    begin = lines.find(name)
    if begin < 0:
        return 0
    begin += len(name)
    return int(lines[begin : lines.find(b"\n", begin)].split()[0])


def parent_and_start(pid: int) -> tuple[int, int]:
    """
    Return a process's parent and start time, ``(0, 0)`` where it is gone.

    A pid alone may have been given to another process; with its start time it is a name.
    """
    fields = _stat(pid)
    return (int(fields[1]), int(fields[19])) if len(fields) > 19 else (0, 0)  # noqa: PLR2004
