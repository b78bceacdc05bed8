"""
Files in memory that a process tree has open, found a slice at a time. Runs in the launcher.

Only where no memory cgroup counts them. A page of such a file is in nobody's resident set until
somebody maps it and touches it. To look through a thousand descriptors of a hundred processes
takes long, and other functions are being watched: each look takes a few milliseconds at most and
goes on where the last one ended.
"""

from __future__ import annotations

import os
import time

__all__ = ["MemoryFiles"]

_SLICE_NS = 2_000_000
# By its link, and not by its device: to ask a file for that is to ask its file system, and one in
# user space need never answer.
_LINKS = ("/memfd:", "/dev/zero", "/SYSV", "/dev/shm/")


class MemoryFiles:
    """
    Counts the bytes of one tree's memory files.

    Args:
        device: Of memfds, as ``stat`` has it.
    """

    def __init__(self, device: int) -> None:
        self._device = device
        self._todo: list[int] = []
        self._found: dict[int, int] = {}
        self._last = 0

    def look(self, pids: list[int]) -> int:
        """
        Look on; return how many bytes there are at least.

        Args:
            pids: Of the tree; the first is its root, whose view has the /dev/shm.
        """
        if not self._todo:
            self._last, self._found = sum(self._found.values()), {}
            self._todo = list(pids)
        end = time.monotonic_ns() + _SLICE_NS
        while self._todo:
            self._look_at(self._todo.pop())
            if time.monotonic_ns() >= end:
                break
        return max(self._last, sum(self._found.values())) + _named(pids[0])

    def _look_at(self, pid: int) -> None:
        folder = f"/proc/{pid}/fd"
        try:
            for name in os.listdir(folder):
                path = f"{folder}/{name}"
                if os.readlink(path).startswith(_LINKS):
                    found = os.stat(path)
                    if found.st_dev == self._device:
                        self._found[found.st_ino] = found.st_blocks * 512
        except OSError:
            return  # it ended meanwhile


def _named(pid: int) -> int:
    try:
        shm = os.statvfs(f"/proc/{pid}/root/dev/shm")
    except OSError:
        return 0
    return (shm.f_blocks - shm.f_bfree) * shm.f_frsize
