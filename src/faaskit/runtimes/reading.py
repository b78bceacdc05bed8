"""
Reading what an environment used, from the kernel, as soon as it has answered.

The launcher could tell it, but the caller would have to wait until that has woken up and read
the same files. Where the function left processes or threads, that is waited for: their figures
are the launcher's business, and none of them runs on when the caller has the result.
"""

from __future__ import annotations

import time

from attrs import frozen

from faaskit.sandbox import usage
from faaskit.sandbox.table import OVER, Table

__all__ = ["Reading", "Used"]

_S = 1_000_000_000


@frozen
class Used:
    """
    What an invocation used.

    Attributes:
        cpu_ns: User and system time.
        peak: The most memory that it held, in bytes.
        throttled_ns: How long its share of CPU kept it from running.
        over: Whether the peak is over its memory size.
    """

    cpu_ns: int
    peak: int
    throttled_ns: int
    over: bool = False


class Reading:
    """
    The figures of one environment.

    Args:
        table: Shared with the launcher.
        row: The environment's.
        memory_limit: In bytes.
    """

    def __init__(self, table: Table, row: int, memory_limit: int) -> None:
        self._table = table
        self._row = row
        self._limit = memory_limit
        self._files: usage.Files | None = None

    def start_init(self, seconds: float) -> None:
        """Have the launcher kill it in so many seconds; its share of CPU is not held yet."""
        self._table.deadline[self._row] = time.monotonic_ns() + int(seconds * _S)

    def count_from_now(self) -> None:
        """Have what it uses from now on counted. Before it has its event, or it may be over."""
        pid = self._table.pid[self._row]
        if pid:
            self._table.cpu_before[self._row] = usage.cpu_time_ns(pid)

    def start_handler(self, seconds: float) -> None:
        """Have it killed in so many seconds, and its share of CPU held."""
        table, row, now = self._table, self._row, time.monotonic_ns()
        table.deadline[row] = now + int(seconds * _S)
        table.started[row] = now

    def claim(self) -> bool:
        """Count from now on; return False where the launcher was about to end it."""
        self.count_from_now()
        return not self._table.leaving[self._row]

    def open(self) -> None:
        """Get ready to read, while it runs."""
        pid = self._table.pid[self._row]
        if pid:
            self._files = usage.Files(pid)

    def close(self) -> None:
        """Let go of what was opened."""
        if self._files is not None:
            self._files.close()

    def stop(self) -> None:
        """It has answered: no deadline any more."""
        self._table.deadline[self._row] = 0

    def over(self) -> None:
        """Nothing more is wanted of it: the launcher ends it when it looks next."""
        self._table.deadline[self._row] = OVER

    def read(self) -> Used | None:
        """Return what it used; None where only the launcher can tell, and end what it left."""
        table, row, files = self._table, self._row, self._files
        before = table.cpu_before[row]
        if files is None or not before:
            return None
        alone = files.read()
        if alone is None:
            return None
        peak = max(alone.peak, table.peak[row])
        return Used(
            cpu_ns=max(alone.cpu_ns - before, table.cpu[row]),
            peak=peak,
            throttled_ns=table.throttled[row],
            over=peak > self._limit,
        )
