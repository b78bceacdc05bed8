"""
Holding a process tree to its share of CPU, from outside. Runs in the launcher; stdlib only.

A token bucket on the CPU time that was measured: a tree that is a burst ahead of its share is
stopped until its share has caught up. As exact as the kernel's own quota, without a cgroup,
and short bursts run at once, as on AWS. A fixed cycle of running and stopping would not do:
what a process gets while it may run depends on who else wants the processor.
"""

from __future__ import annotations

import os
import signal

from . import tree, usage

__all__ = ["CpuShare"]

_BURST_NS = 5_000_000
_SHORTEST_LOOK_NS = 1_000_000
_STOPPED_ALREADY = (b"T", b"t", b"Z", b"X")


class CpuShare:
    """
    One tree's bucket.

    Args:
        vcpus: The share, over 0.
        started: When it began to fill, in monotonic ns.
        cpu_before: CPU time that does not count, in ns.

    Attributes:
        used_ns: CPU time that it has used, so far.
        throttled_ns: For how long it was kept from running, so far.
    """

    def __init__(self, vcpus: float, started: int, cpu_before: int) -> None:
        self._vcpus = vcpus
        self._started = started
        self._cores = os.cpu_count() or 1
        self._before = cpu_before
        self._last: dict[int, int] = {}
        self._ended = 0
        self.used_ns = 0
        self._stopped: list[int] = []
        self._stopped_at = 0
        self._until = 0
        self.throttled_ns = 0

    def step(self, now: int, root: int, below: list[int]) -> int:
        """
        Stop it, let it go on, or leave it be; return when to look again, in monotonic ns.

        Args:
            now: Monotonic, in ns.
            root: Pid of the tree's root.
            below: Pids of all below it.
        """
        if self._stopped:
            self.throttled_ns += now - self._stopped_at
            self._stopped_at = now
            if now < self._until:
                self._stop(below)  # who was forked at the moment of the stop
                return self._until
        self._count(root, below)
        share = int(self._vcpus * (now - self._started))
        ahead = self.used_ns - share
        if ahead > _BURST_NS or (self._stopped and ahead > 0):
            if not self._stopped:
                self._stopped_at = now
            self._stop([root, *below])
            self._until = now + int(ahead / self._vcpus)
            return self._until
        self._go_on()
        left = _BURST_NS - ahead
        return now + max(_SHORTEST_LOOK_NS, int(left / max(self._cores - self._vcpus, 0.1)))

    def _count(self, root: int, below: list[int]) -> None:
        # Whose parent ignores SIGCHLD is in nobody's account once it has ended: what it had
        # used when it was last seen is kept here.
        seen = {pid: usage.cpu_time_ns(pid) for pid in (root, *below)}
        self._ended += sum(cpu for pid, cpu in self._last.items() if not seen.get(pid))
        self._last = {pid: cpu for pid, cpu in seen.items() if cpu}
        # The other account has those that ended between two looks.
        reaped = usage.reaped_cpu_time_ns(root) if below or self._ended else 0
        total = sum(seen.values()) + max(self._ended, reaped) - self._before
        self.used_ns = max(self.used_ns, total)

    def _stop(self, pids: list[int]) -> None:
        for pid in pids:
            # One that the function has stopped itself must not be woken by this side later.
            if pid not in self._stopped and usage.state(pid) not in _STOPPED_ALREADY:
                tree.kill(pid, signal.SIGSTOP)
                self._stopped.append(pid)

    def _go_on(self) -> None:
        for pid in self._stopped:
            tree.kill(pid, signal.SIGCONT)
        self._stopped.clear()
