"""
Weighing processes that share memory, without waiting for them. Runs in the launcher.

What each of them adds is in ``/proc/PID/smaps_rollup``, and to read that is to wait for the
lock on the process's memory. A process holds it while it forks, also when it is not being
run: a fork bomb kept the watchdog itself in that read for more than ten seconds. So somebody
else reads, a ``cat``, which may be kept waiting.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Any

from . import usage

__all__ = ["PATIENCE_S", "Weighing"]

PATIENCE_S = 0.5
_MOST = 16
_POLICY = os.SCHED_RR | os.SCHED_RESET_ON_FORK


class Weighing:
    """
    One weighing, under way: the largest are read, the rest taken to share as much as they.

    Args:
        pids: Of the processes; not empty.

    Raises:
        OSError: No process or pipe could be had for it.
    """

    def __init__(self, pids: list[int]) -> None:
        sizes = {pid: usage.resident(pid) for pid in pids}
        largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:_MOST]
        self._whole = sum(sizes.values())
        self._read = sum(sizes[pid] for pid in largest)
        self._text = b""
        self._pipe, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            self.pid = os.posix_spawnp(
                "cat",
                ["cat", *(f"/proc/{pid}/smaps_rollup" for pid in largest)],
                {},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, write, 1),
                    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
                ],
                **_in_front(),
            )
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            os.close(write)

    def result(self) -> int | None:
        """Return what they weigh together, in bytes; None while that is not known yet."""
        while True:
            try:
                data = os.read(self._pipe, 1 << 16)
            except BlockingIOError:
                return None
            if not data:
                break
            self._text += data
        lines = self._text.splitlines()
        exact = sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(b"Pss:"))
        return exact * self._whole // self._read if self._read else exact

    def close(self) -> None:
        """Give it up, or put it away; the ``cat`` is reaped by the launcher's loop."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.close(self._pipe)


def _in_front() -> dict[str, Any]:
    """Return how the reader is started: before those that it reads, where the launcher is."""
    if os.sched_getscheduler(0) == _POLICY:
        return {"scheduler": (os.SCHED_RR, os.sched_param(1))}
    return {}
