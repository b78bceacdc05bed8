"""The room of this process: for calls at once, and for environments kept ready."""

from __future__ import annotations

import contextlib
import resource
import time
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from faaskit.runtimes.capacity import Capacity, capacity

__all__ = [
    "READY_MAX",
    "Room",
    "RoomReader",
    "calls_at_once",
    "files_in_use",
    "memory_mb",
    "open_files",
    "processes_at_once",
    "ready_at_once",
]

READY_MAX = 8  # environments kept ahead for one function, unless warm() asks for more
_READY_MOST = 512  # of all functions

_MB = 1024 * 1024
_SHARE_OF_MEMORY = 0.8  # for the memory sizes of what runs
_SHARE_FOR_READY = 0.05
_MB_FOR_A_READY_ONE = 2  # of its own, the kernel's share included

# Descriptors of the app: four pipes and three files of usage, and one to spare.
_FILES_FOR_A_CALL = 8
_FILES_FOR_A_READY_ONE = 4
_SHARE_OF_FILES_FOR_READY = 0.25
_FILES_FOR_THE_APP = 64

# Each environment has a first process beside it, in its process namespace. A call has an
# environment, its successor, and a thread of the app that waits for it.
_PROCESSES_FOR_A_CALL = 5
_PROCESSES_FOR_A_READY_ONE = 2
_SHARE_OF_PROCESSES_FOR_READY = 0.25
_PROCESSES_FOR_THE_APP = 32  # the launcher, its helpers, and the first templates

_READ_AGAIN_S = 1.0


@frozen
class Room:
    """
    The room for calls at once.

    Attributes:
        memory_mb: For their memory sizes, and what their /tmp hold.
        calls: At most this many.
        threads: At most this many threads of the app for calls, those that wait included; None
            for no limit.
    """

    memory_mb: int
    calls: int
    threads: int | None = None


class RoomReader:
    """
    Reads the room of this process, at most once a second: a container's limits may change.

    Args:
        read: Returns what this process may use.
        now: Monotonic time, in seconds.
    """

    def __init__(
        self, read: Callable[[], Capacity] = capacity, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._now = now
        # What is in use later is also what calls use, which count by themselves.
        self._files_in_use = files_in_use()
        found = read()
        self._processes_in_use = found.processes_in_use
        self._room = self._of(found)
        self._read_at = now()

    def __call__(self) -> Room:
        """Return the room as of a second ago, or later."""
        now = self._now()
        if now - self._read_at >= _READ_AGAIN_S:
            self._read_at = now
            self._room = self._of(self._read())
        return self._room

    def _of(self, found: Capacity) -> Room:
        room = memory_mb(found.memory_bytes)
        calls = calls_at_once(open_files(), self._files_in_use)
        if found.processes is None:
            return Room(room, calls)
        calls = min(calls, processes_at_once(found.processes, self._processes_in_use))
        # A cgroup counts threads, too. One more than can run waits, and says so in the log.
        return Room(room, calls, threads=calls + 1)


def memory_mb(memory_bytes: int) -> int:
    """Return how many MB calls that run at once may have, of the memory of this process."""
    return int(memory_bytes * _SHARE_OF_MEMORY) // _MB


def open_files() -> int:
    """Return how many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft


def files_in_use() -> int:
    """Return how many it has open; 0 where nobody can tell."""
    with contextlib.suppress(OSError):
        return len(list(Path("/proc/self/fd").iterdir()))
    return 0


def calls_at_once(files: int, in_use: int = 0) -> int:
    """
    Return for how many calls at once, one at least, there are files enough.

    Args:
        files: How many this process may have open.
        in_use: How many it has open already.
    """
    left = files - _files_for_ready(files) - _FILES_FOR_THE_APP - in_use
    return max(1, left // _FILES_FOR_A_CALL)


def processes_at_once(processes: int, in_use: int = 0) -> int:
    """
    Return for how many calls at once, one at least, there are processes enough.

    Args:
        processes: How many processes and threads this process's cgroup may have.
        in_use: How many it has already.
    """
    left = processes - _processes_for_ready(processes) - _PROCESSES_FOR_THE_APP - in_use
    return max(1, left // _PROCESSES_FOR_A_CALL)


def _files_for_ready(files: int) -> int:
    most = _READY_MOST * _FILES_FOR_A_READY_ONE
    return min(most, int(files * _SHARE_OF_FILES_FOR_READY))


def _processes_for_ready(processes: int) -> int:
    most = _READY_MOST * _PROCESSES_FOR_A_READY_ONE
    return min(most, int(processes * _SHARE_OF_PROCESSES_FOR_READY))


def ready_at_once(files: int, found: Capacity) -> int:
    """
    Return how many environments of all functions may be ready at once.

    Args:
        files: How many this process may have open.
        found: What else it may use.
    """
    most = int(found.memory_bytes * _SHARE_FOR_READY) // (_MB_FOR_A_READY_ONE * _MB)
    most = min(most, _READY_MOST, _files_for_ready(files) // _FILES_FOR_A_READY_ONE)
    if found.processes is not None:
        most = min(most, _processes_for_ready(found.processes) // _PROCESSES_FOR_A_READY_ONE)
    return max(READY_MAX, most)
