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

if TYPE_CHECKING:
    from .cpu_share import CpuShare
    from .weighing import Weighing

__all__ = ["Template", "Watched"]


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
        ender: In a jail, the pidfd of the process that takes all others with it; else -1.
        deadline: Set by the launcher itself, in monotonic ns; 0 for none.
        hung_up: Whether it closed its channel.
        shared: Bytes of memory in its files that were not mapped when it was last looked.
        late: How it was condemned before its pid was known.
    """

    def __init__(self, order: dict[str, Any], verdict: int) -> None:
        self.number: int = order["number"]
        self.row: int = order.get("row", 0)
        self.memory_limit: int = order["memory_limit"]
        self.vcpus: float = order.get("vcpus", 0)
        self.stays: bool = order.get("stays", False)
        self._verdict = verdict
        self.pid: int | None = None
        self.pidfd = -1
        self.ender = -1
        self.template: Template | None = None
        self.group = ""
        self.folder = ""
        self.deadline = 0
        self.cpu_before = 0
        self.cpu_ns = 0
        self.peak = 0
        self.hung_up = False
        self.weighing: Weighing | None = None
        self.weigh_again = 0.0
        self.shared = 0
        self.look_at_shared = 0
        self.share: CpuShare | None = None
        self.late: tuple[str, dict[str, Any]] | None = None
        self.told = False

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
        with contextlib.suppress(BrokenPipeError):  # the app does not want to know
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
        used_at: When an environment was last ordered of it, in monotonic ns.
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
        self.used_at = 0
        self.closed_at = 0


def _send(pidfd: int, number: int) -> None:
    if pidfd >= 0:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, number)
