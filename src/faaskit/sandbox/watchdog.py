"""
Time, memory and CPU of one process tree, looked at every few milliseconds.

Runs in the launcher; stdlib only. It reads nothing that a function can hold up.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from . import limits, usage
from .cpu_share import CpuShare
from .memory_files import MemoryFiles
from .table import OVER
from .weighing import PATIENCE_S, Weighing

if TYPE_CHECKING:
    from collections.abc import Callable

    from .table import Table
    from .watched import Watched

    Condemn = Callable[..., None]

__all__ = ["TICK_NS", "Watchdog"]

TICK_NS = 5_000_000
_WEIGH_AFTER_S = 0.01, 0.05  # the least, and the most
_FASTEST_GROWTH = 4e9  # bytes a second, that of a few processors that fill huge pages
_LOOK_AT_SHARED_NS = 20_000_000
_FEW = 16  # processes of a tree whose status is read: that of a thousand takes 15 ms
_USUAL_PAGE_TABLES = 128  # a 512th of what is mapped, and more where that lies scattered
_PAGES_AT_LEAST = 256 * 1024
_S = 1_000_000_000
_TELLING_NS = 5 * _S


def _will_be_told(watched: Watched, now: int) -> bool:
    """
    Whether one that hung up has not closed its channel, but ended: somebody will tell how.

    Its template does, or, where that ends as well, the launcher as soon as all of it is gone.
    On a busy host both can take long. A template that keeps it back is not waited for.
    """
    template = watched.template
    if template is not None and template.closed_at:
        return True  # killed, if it must be, and then reaped
    return watched.has_ended() and now < watched.deadline + _TELLING_NS


def _disk_used(pid: int) -> int:
    """Return the bytes that are in a jailed environment's /tmp."""
    disk = os.statvfs(f"/proc/{pid}/root/tmp")
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize


class Watchdog:
    """
    Holds limits.

    Args:
        table: Where the app tells what runs and until when.
        condemn: Ends a tree: ``condemn(watched, ending, **facts)``.
        errands: Pids of helpers; the launcher reaps them.
        memfds: The device that files in memory without a name are on.
    """

    def __init__(self, table: Table, condemn: Condemn, errands: set[int], memfds: int) -> None:
        self._table = table
        self._memfds = memfds
        self._condemn = condemn
        self._errands = errands
        self._may_starve = os.geteuid() != 0

    def deadline(self, watched: Watched) -> int:
        """Return when its time is up, in monotonic ns; 0 while nothing runs in it, or OVER."""
        asked = self._table.deadline[watched.row] if watched.row else 0
        own = watched.deadline
        return min(asked, own) if asked and own else asked or own

    def hold(self, watched: Watched, deadline: int, now: int) -> int:
        """
        Look at one that runs; return when to look again, in monotonic ns.

        Args:
            watched: The tree.
            deadline: From ``deadline``, not 0.
            now: Monotonic, in ns.
        """
        if now >= deadline:
            return self.end_by_deadline(watched, deadline, now)
        if watched.pid is None:
            return min(deadline, now + TICK_NS)  # whoever it will be, is to be seen at once
        below = watched.below()
        if not self._hold_memory(watched, watched.pid, below, now):
            return deadline + _S
        look_again = min(deadline, now + TICK_NS)
        if watched.vcpus and self._table.started[watched.row]:
            look_again = min(look_again, self._hold_cpu(watched, watched.pid, below, now))
        return look_again

    def end_by_deadline(self, watched: Watched, deadline: int, now: int) -> int:
        """End one whose time is up, or that is over; return when to look again."""
        if deadline == OVER:
            self._condemn(watched, "finished", measured=True)
            return now
        if watched.hung_up:
            if _will_be_told(watched, now):
                return now + TICK_NS
            self._condemn(watched, "exit", exit_code=None, detail="it closed its channel")
        else:
            self._condemn(watched, "timeout")
        return deadline + _S

    def _hold_cpu(self, watched: Watched, pid: int, below: list[int], now: int) -> int:
        table, row = self._table, watched.row
        if watched.share is None:
            started, before = table.started[row], table.cpu_before[row]
            watched.share = CpuShare(watched.vcpus, started, before, watched.group)
        look_again = watched.share.step(now, pid, below)
        table.throttled[row] = watched.share.throttled_ns
        table.cpu[row] = watched.share.used_ns
        if watched.share.resists:
            detail = "it resumed itself, over and over, while its share of CPU was used up"
            self._condemn(watched, "exit", exit_code=None, detail=detail)
        return look_again

    def _hold_memory(self, watched: Watched, pid: int, below: list[int], now: int) -> bool:
        """Return whether it may go on."""
        if len(below) > limits.PROCESSES or watched.is_crowded():
            return self._end_bomb(watched)
        group = watched.group
        if now >= watched.look_at_shared:
            watched.look_at_shared = now + _LOOK_AT_SHARED_NS
            watched.shared = self._not_resident(watched, [pid, *below])
            if group is not None and group.ran_out_of_memory():
                self._condemn(watched, "out_of_memory")
                return False
        root = usage.resident(pid) + watched.shared
        total = root + sum(map(usage.resident, below))
        if root > watched.memory_limit:
            self._saw(watched, root)
            self._condemn(watched, "out_of_memory")
            return False
        if group is not None and group.counts_processes:
            # The kernel refuses more. Where a thousand that compute could keep this process from
            # the processor, one that is full is ended all the same.
            if self._may_starve and not group.limits_cpu and len(below) >= limits.PROCESSES - 1:
                return self._end_bomb(watched)
        else:
            threads = usage.threads(pid) + sum(map(usage.threads, below))
            if threads > limits.PROCESSES:
                return self._end_bomb(watched)
        if total > watched.memory_limit:
            return self._weigh(watched, root, below, now / _S)
        self._saw(watched, total)
        return True

    def _end_bomb(self, watched: Watched) -> bool:
        # Where there is a pids cgroup, the kernel has refused them before.
        detail = "more than 1,024 processes and threads"
        self._condemn(watched, "exit", exit_code=None, detail=detail)
        return False

    def _not_resident(self, watched: Watched, pids: list[int]) -> int:
        """Return the bytes that it holds and that no resident set has, at least."""
        few = pids[:_FEW]
        tables = max(0, usage.page_tables(few) - watched.memory_limit // _USUAL_PAGE_TABLES)
        held = 0
        group = watched.group
        # Not at "process": the files of its temporary folder may be in memory, too.
        if group is not None and group.counts_memory and watched.jailed:
            with contextlib.suppress(OSError):  # it ended, or somebody removed its group
                held = group.shared_memory() - _disk_used(pids[0])
        else:
            if watched.memory_files is None:
                watched.memory_files = MemoryFiles(self._memfds)
            held = watched.memory_files.look(pids)
        if held > _PAGES_AT_LEAST:
            return tables + max(0, held - usage.mapped_shared_memory(few))
        return tables

    def _weigh(self, watched: Watched, root: int, below: list[int], now_s: float) -> bool:
        """
        Find out whether several processes are over the limit, or only share a lot.

        The pages that parent and children share were counted for each of them. How much their
        resident sets grew since is no measure: a child that writes what it shares has a page
        of its own then, and the same size. So they are weighed again, the sooner the less
        room there was.
        """
        weighing = watched.weighing
        if weighing is None:
            if now_s >= watched.weigh_again:
                watched.weigh_again = now_s + PATIENCE_S
                with contextlib.suppress(OSError):  # a host that is full is tried again
                    watched.weighing = Weighing(below)
                    self._errands.add(watched.weighing.pid)
            return True
        weight = weighing.result()
        if weight is not None:
            self._saw(watched, root + weight)
            watched.put_away_weighing()
            room = watched.memory_limit - root - weight
            least, most = _WEIGH_AFTER_S
            watched.weigh_again = now_s + min(most, max(least, room / _FASTEST_GROWTH))
            over = room < 0
        else:
            # They fork so much that they can't be read. The sum is all that is known.
            over = now_s >= watched.weigh_again
        if over:
            self._condemn(watched, "out_of_memory")
        return not over

    def _saw(self, watched: Watched, size: int) -> None:
        if size > watched.peak:
            watched.peak = size
            if watched.row:
                self._table.peak[watched.row] = size
