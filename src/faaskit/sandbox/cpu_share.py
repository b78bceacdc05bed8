"""
Holding a process tree to its share of CPU, from outside. Runs in the launcher; stdlib only.

A token bucket on the CPU time that was measured: a tree that is a burst ahead of its share is
held back, and short bursts run at once, as on AWS. A fixed cycle of running and stopping would
not do: what a process gets while it may run depends on who else wants the processor.

Where there is a cpu cgroup, the tree is held back by the kernel's quota, until it has saved up
a good deal again. Else it is stopped by SIGSTOP until its share has caught up. That the function
can undo, by SIGCONT from a timer or from a process that was forked at that moment; so CPU time
is counted on while it is stopped, and one that resumes itself over and over is ended.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from . import tree, usage

if TYPE_CHECKING:
    from .cgroups import Group

__all__ = ["CpuShare"]

_BURST_NS = 5_000_000
_SAVED_UP_NS = 50_000_000
_CALM_NS = 500_000_000
_SHORTEST_LOOK_NS = 1_000_000
_LOOK_WHILE_STOPPED_NS = 5_000_000
_LOOK_WHILE_HELD_NS = 20_000_000
_RESUMED_NS = 500_000
_RESUMPTIONS = 10
_STOPPED_ALREADY = (b"T", b"t", b"Z", b"X")


class CpuShare:
    """
    One tree's bucket.

    Args:
        vcpus: The share, over 0.
        started: When it began to fill, in monotonic ns.
        cpu_before: CPU time that does not count, in ns.
        group: The tree's cgroups, where there are any.

    Attributes:
        used_ns: CPU time that it has used, so far.
        throttled_ns: For how long it was kept from running, so far.
        resists: Whether it has resumed itself too often while it was stopped.
    """

    def __init__(
        self, vcpus: float, started: int, cpu_before: int, group: Group | None = None
    ) -> None:
        self._vcpus = vcpus
        self._started = started
        self._cores = os.cpu_count() or 1
        self._before = cpu_before
        self._group = group if group is not None and group.limits_cpu else None
        self._last: dict[int, int] = {}
        self._ended = 0
        self.used_ns = 0
        self.throttled_ns = 0
        self.resists = False
        # By the kernel's quota
        self._held_since = 0
        self._throttled_before = 0
        self._throttled_last = 0
        self._held_at = 0  # when it was last seen to be kept from running
        # By signals
        # By pid: CPU time when it was last looked at, and whether it was seen to be still.
        self._stopped: dict[int, tuple[int, bool]] = {}
        self._stopped_at = 0
        self._resumptions = 0

    def step(self, now: int, root: int, below: list[int]) -> int:
        """
        Hold it back, or leave it be; return when to look again, in monotonic ns.

        Args:
            now: Monotonic, in ns.
            root: Pid of the tree's root.
            below: Pids of all below it.
        """
        pids = [root, *below]
        self._count(root, pids)
        ahead = self.used_ns - int(self._vcpus * (now - self._started))
        if self._group is not None:
            look_again = self._step_by_quota(self._group, now, ahead)
        else:
            look_again = self._step_by_signals(now, ahead, pids)
        if look_again:
            return look_again
        left = _BURST_NS - ahead
        return now + max(_SHORTEST_LOOK_NS, int(left / max(self._cores - self._vcpus, 0.1)))

    def _count(self, root: int, pids: list[int]) -> None:
        # Whose parent ignores SIGCHLD is in nobody's account once it has ended: what it had
        # used when it was last seen is kept here.
        seen = {pid: usage.cpu_time_ns(pid) for pid in pids}
        self._ended += sum(cpu for pid, cpu in self._last.items() if not seen.get(pid))
        self._last = {pid: cpu for pid, cpu in seen.items() if cpu}
        # The other account has those that ended between two looks.
        reaped = usage.reaped_cpu_time_ns(root) if len(pids) > 1 or self._ended else 0
        total = sum(seen.values()) + max(self._ended, reaped) - self._before
        self.used_ns = max(self.used_ns, total)

    def _step_by_quota(self, group: Group, now: int, ahead: int) -> int:
        """Return when to look again; 0 where it is not held."""
        if not self._held_since:
            if ahead <= _BURST_NS:
                return 0
            self._throttled_before = group.throttled_ns() - self.throttled_ns
            try:
                group.hold_cpu(self._vcpus)
            except OSError:  # somebody has removed it
                self._group = None
                return now
            self._held_since = self._held_at = now
            return now + _LOOK_WHILE_STOPPED_NS
        # The kernel adds up what each processor was kept from.
        throttled = group.throttled_ns() - self._throttled_before
        if throttled != self._throttled_last:
            self._throttled_last, self._held_at = throttled, now
        self.throttled_ns = max(self.throttled_ns, min(throttled, now - self._started))
        # Not by what was counted alone: of lives that are over between two looks not all is.
        if ahead < -_SAVED_UP_NS and now - self._held_at > _CALM_NS:
            group.free_cpu()
            self._held_since = 0
            return 0
        return now + _LOOK_WHILE_HELD_NS

    def _step_by_signals(self, now: int, ahead: int, pids: list[int]) -> int:
        """Return when to look again; 0 where it may run."""
        if self._stopped:
            self.throttled_ns += now - self._stopped_at
            if [pid for pid in self._stopped if self._has_run_on(pid)]:
                self._resumptions += 1
                self.resists = self._resumptions >= _RESUMPTIONS
        elif ahead <= _BURST_NS:
            return 0
        if ahead <= 0:
            self._go_on()
            return 0
        self._stopped_at = now
        self._stop(pids)  # with those that were forked at the moment of the stop
        caught_up = now + int(ahead / self._vcpus)
        return min(caught_up, now + _LOOK_WHILE_STOPPED_NS)

    def _has_run_on(self, pid: int) -> bool:
        """Stop one again that was resumed by somebody else; return whether it was."""
        before, was_still = self._stopped[pid]
        cpu, is_still = self._last.get(pid, 0), usage.state(pid) in _STOPPED_ALREADY
        # A long system call, such as one that fills memory, is stopped at its end only.
        on_its_way = not is_still and usage.has_pending(pid, signal.SIGSTOP)
        self._stopped[pid] = cpu, was_still or is_still
        if not is_still and not on_its_way:
            tree.kill(pid, signal.SIGSTOP)
        return cpu - before > _RESUMED_NS and not on_its_way and (was_still or not is_still)

    def _stop(self, pids: list[int]) -> None:
        for pid in pids:
            # One that the function has stopped itself must not be woken by this side later.
            if pid not in self._stopped and usage.state(pid) not in _STOPPED_ALREADY:
                tree.kill(pid, signal.SIGSTOP)
                self._stopped[pid] = usage.cpu_time_ns(pid), False

    def _go_on(self) -> None:
        for pid in self._stopped:
            tree.kill(pid, signal.SIGCONT)
        self._stopped.clear()
