"""
What the app and the launcher tell each other without waking each other: a shared table.

One row for each environment, of 64-bit numbers that one side writes and the other reads. A
message for each would wake the launcher twice in every call, and on a small host it then
stands in the way of the function. Runs on both sides; stdlib only.

The rows belong to the app: it takes one for each environment that it orders, and gives it back
when it has told the launcher that this environment is over. The launcher writes into a row
only until it has heard that.
"""

from __future__ import annotations

import mmap
import os

__all__ = ["OVER", "ROWS", "Table", "create"]

ROWS = 16384
OVER = -1
_WORD = 8
_COLUMNS = 9


class Table:
    """
    The table, mapped.

    Args:
        descriptor: From ``create``; may be closed afterwards.

    Attributes:
        deadline: Of what runs, in monotonic ns; 0 while nothing does, ``OVER`` when the app
            has all that it wants of it. The app's.
        started: When the handler was given its event, in monotonic ns; 0 before, and so
            during INIT. The app's.
        cpu_before: CPU time of the environment before that, in ns: from then on it is claimed.
            The app's.
        leaving: Whether it is to end unless it was claimed before. The launcher's.
        pid: Of the environment, on the host; 0 until it is known. The launcher's.
        peak: The most bytes that the watchdog has seen its whole tree hold. The launcher's.
        cpu: CPU time of its whole tree that the watchdog has seen, in ns. The launcher's.
        throttled: For how many ns it was kept from running. The launcher's.
        asleep: ``[0]`` is 1 while the launcher looks at no deadlines. The launcher's.
    """

    def __init__(self, descriptor: int) -> None:
        self._map = mmap.mmap(descriptor, _size())
        words = memoryview(self._map).cast("q")
        self.asleep = words[:1]
        self.deadline = words[1 * ROWS : 2 * ROWS]
        self.started = words[2 * ROWS : 3 * ROWS]
        self.cpu_before = words[3 * ROWS : 4 * ROWS]
        self.pid = words[4 * ROWS : 5 * ROWS]
        self.peak = words[5 * ROWS : 6 * ROWS]
        self.throttled = words[6 * ROWS : 7 * ROWS]
        self.cpu = words[7 * ROWS : 8 * ROWS]
        self.leaving = words[8 * ROWS : 9 * ROWS]
        self._columns = words

    def clear(self, row: int) -> None:
        """Make a row as new."""
        for column in range(1, _COLUMNS):
            self._columns[column * ROWS + row] = 0


def _size() -> int:
    return _COLUMNS * ROWS * _WORD


def create() -> int:
    """Return the descriptor of a new table, with every number 0."""
    descriptor = os.memfd_create("faaskit", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, _size())
    return descriptor
