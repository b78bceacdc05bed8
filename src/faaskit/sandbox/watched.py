"""What the launcher watches: templates during INIT, and environments. Stdlib only."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

from . import limits, usage

if TYPE_CHECKING:
    from .cgroups import Group
    from .cpu_share import CpuShare
    from .memory_files import MemoryFiles
    from .table import Table
    from .weighing import Weighing

__all__ = ["Template", "Watched"]

_CROWD = 200  # processes, from which on it is counted before it is walked


class Watched:
    """
    A template during INIT, or an environment: a process tree, its limits, its verdict.

    Attributes:
        row: Its row in the table; 0 for a template, which has none.
        memory_limit: Of the whole tree, in bytes.
        vcpus: Its share of CPU; 0 where that is not held.
        stays: Whether it is kept ready however long nobody calls its function.
        pid: On the host; None until the kernel has told it.
        pidfd: Of that process.
        init: In a jail, the pid of an environment's idle first process.
        ender: In a jail, the pidfd of the process that takes all others with it, where no pids
            cgroup lists them; else -1.
        group: Its cgroups, where there are any.
        deadline: Set by the launcher itself, in monotonic ns; 0 for none.
        hung_up: Whether it closed its channel.
        shared: Bytes that it held when it was last looked, and that no resident set has.
        jailed: Whether its /tmp and /dev/shm are its own.
        late: How it was condemned before its pid was known.
    """

    def __init__(self, order: dict[str, Any], verdict: int) -> None:
        self.number: int = order["number"]
        self.row: int = order.get("row", 0)
        self.memory_limit: int = order["memory_limit"]
        self.vcpus: float = order.get("vcpus", 0)
        self.stays: bool = order.get("stays", False)
        self._verdict = verdict
        # It is written once, and has room for that: but nothing here may ever wait for the app.
        os.set_blocking(verdict, False)
        self.pid: int | None = None
        self.pidfd = -1
        self.ender = -1
        self.init = 0
        self.template: Template | None = None
        self.group: Group | None = None
        self.folder = ""
        self.deadline = 0
        self.cpu_before = 0
        self.cpu_ns = 0
        self.peak = 0
        self.hung_up = False
        self.weighing: Weighing | None = None
        self.weigh_again = 0.0
        self.shared = 0
        self.jailed = False
        self.memory_files: MemoryFiles | None = None
        self.look_at_shared = 0
        self.share: CpuShare | None = None
        self.late: tuple[str, dict[str, Any]] | None = None
        self.told = False
        self._crowd = False

    def below(self) -> list[int]:
        """
        Return the pids of all that it started and that are there.

        Where the kernel keeps a list of them that is the members of its group, whoever their
        parents are. Else they are walked, and the walk ends where there are too many.
        """
        group = self.group
        if group is not None:
            with contextlib.suppress(OSError):  # somebody has removed it
                if group.counts_processes and group.tasks() <= 1:
                    return []
            return [pid for pid in group.members() if pid != self.pid]
        if self.pid is None or self.is_crowded():
            return []
        found = usage.descendants(self.pid, _CROWD)
        if len(found) > _CROWD:
            self._crowd = True
            found = [] if self.is_crowded() else usage.descendants(self.pid, limits.PROCESSES)
        return found

    def is_crowded(self) -> bool:
        """
        Return True if there are more processes in it than there may be.

        On a host without priorities a thousand that compute leave the launcher a moment at a
        time, and to walk them takes many. To count those of a pid namespace takes one.
        """
        if not self._crowd or not self.jailed:
            return False
        there = usage.processes_in_view(self.pid or 0)
        self._crowd = there > _CROWD
        return there > limits.PROCESSES

    def is_parked(self, table: Table) -> bool:
        """Return True while it waits for an event and nobody has claimed it."""
        row = self.row
        return bool(
            row and self.pid is not None and not table.cpu_before[row] and not table.deadline[row]
        )

    def signal_root(self, number: int) -> None:
        """Signal the tree's root by its pidfd: its pid may be another's by now."""
        _send(self.pidfd, number)

    def has_ended(self) -> bool:
        """Whether the tree's root has ended, reaped or not."""
        if self.pidfd < 0:
            return False
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return bool(poll.poll(0))

    def end(self) -> None:
        """Kill everything in its jail."""
        _send(self.ender, signal.SIGKILL)

    def put_away(self) -> None:
        """Close what belongs to it, but for the verdict."""
        self.put_away_weighing()
        for descriptor in (self.pidfd, self.ender):
            if descriptor >= 0:
                os.close(descriptor)
        self.pidfd = self.ender = -1

    def put_away_weighing(self) -> None:
        """End a weighing that is under way or done."""
        weighing, self.weighing = self.weighing, None
        if weighing is not None:
            weighing.close()

    def tell(self, ending: str, **facts: Any) -> None:
        """Write the verdict, once, and close the pipe."""
        if self.told:
            return
        self.told = True
        throttled = 0 if self.share is None else self.share.throttled_ns
        facts.update(ending=ending, cpu_ns=self.cpu_ns, peak=self.peak, throttled_ns=throttled)
        facts["at"] = time.monotonic_ns()
        with contextlib.suppress(BrokenPipeError, BlockingIOError):  # nobody wants to know
            os.write(self._verdict, json.dumps(facts).encode())
        os.close(self._verdict)

    def tell_status(self, status: int) -> None:
        """Tell how a process ended that nobody here killed."""
        if os.WIFSIGNALED(status):
            self.tell("signal", signal=os.WTERMSIG(status))
        else:
            self.tell("exit", exit_code=os.WEXITSTATUS(status))


class Template:
    """
    A template and the launcher's socket to it.

    Attributes:
        pid: Of the launcher's child: the template itself, or its jail's doorkeeper.
        jailed: Whether it and its environments are in a jail.
        greeted: Whether it is watched and may run the user's code.
        ready: Whether it has run INIT.
        retired: Whether nothing more may be forked from it.
        reports_left: How many reports of it there may be.
        used_at: When an environment was last ordered of it, in monotonic ns.
        former: Pids of its environments that are forgotten here, but may not be gone yet.
        end_reason: Why it was killed, in words.
        forks: How many environments were ordered of it.
        mounts: Ids of what was mounted in there before INIT.
        made_at: When it was started, in monotonic ns.
        ready_at: When it had run INIT, in monotonic ns; 0 before.
        failure: The step and the errno that its set-up failed with.
        closed_at: When its end of the socket was closed, in monotonic ns; 0 while it is open.
    """

    def __init__(self, watched: Watched, link: socket.socket, pid: int, *, jailed: bool) -> None:
        self.watched = watched
        self.link = link
        self.pid = pid
        self.jailed = jailed
        self.greeted = False
        self.ready = False
        self.retired = False
        self.reports_left = 0
        self.used_at = 0
        self.former: set[int] = set()
        self.end_reason = "it was killed"
        self.forks = 0
        self.mounts: frozenset[bytes] = frozenset()
        self.made_at = time.monotonic_ns()
        self.ready_at = 0
        self.failure: tuple[str, int] | None = None
        self.closed_at = 0


def _send(pidfd: int, number: int) -> None:
    if pidfd >= 0:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, number)
