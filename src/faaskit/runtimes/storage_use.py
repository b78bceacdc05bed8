"""The memory that the /tmp of running environments hold."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterable

from attrs import frozen

__all__ = ["Mounted", "StorageUse"]

_READ_AGAIN_S = 0.05
_GONE = (errno.ENOENT, errno.ESRCH)


@frozen
class Mounted:
    """
    The /tmp of one running environment.

    Attributes:
        pid: Of its process on this host; 0 where that is not known yet.
        limit_bytes: Its size.
    """

    pid: int
    limit_bytes: int


class StorageUse:
    """
    Adds up what every /tmp holds, at most every 50 ms.

    Args:
        running: Returns those of all environments that run.
        stat: Returns a file system's figures, by a path in it.
        now: Monotonic time, in seconds.
    """

    def __init__(
        self,
        running: Callable[[], Iterable[Mounted]],
        stat: Callable[[str], os.statvfs_result] = os.statvfs,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._running = running
        self._stat = stat
        self._now = now
        self._read_at = float("-inf")
        self._held = 0

    def __call__(self) -> int:
        """Return the bytes that they hold, as of 50 ms ago or later."""
        now = self._now()
        if now - self._read_at >= _READ_AGAIN_S:
            self._read_at = now
            self._held = sum(map(self._bytes, self._running()))
        return self._held

    def _bytes(self, mounted: Mounted) -> int:
        """
        Return what one holds, at most its size.

        One that may not be looked into, such as another user's, counts as full. At most its
        size, because the pid may be another process's by now, which sees the host's /tmp.
        """
        if not mounted.pid:
            return 0  # it has not run yet
        try:
            found = self._stat(f"/proc/{mounted.pid}/root/tmp")
        except OSError as error:
            return 0 if error.errno in _GONE else mounted.limit_bytes
        return min((found.f_blocks - found.f_bfree) * found.f_frsize, mounted.limit_bytes)
