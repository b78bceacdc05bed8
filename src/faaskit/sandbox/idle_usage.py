"""
The limits of what nobody called: parked environments, and templates after INIT.

Runs in the launcher; stdlib only. Neither has anything to do until it is asked, so what it uses
meanwhile is nobody's: code that a fork hook or a timer runs, or a process that INIT left. It is
looked at once in a second, and ended where it uses more than a little.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from . import usage
from .memory_files import MemoryFiles

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .table import Table
    from .watched import Template, Watched

__all__ = ["IdleUsage"]

_S = 1_000_000_000
_INTERVAL_NS = _S
_LONG_INTERVAL_NS = 10 * _S  # while there are templates alone
_NEVER = 1 << 62

# An environment sets itself up with a few ms; one of a large image, on a busy host, with more.
_SETUP_CPU_NS = 500_000_000
_PARKED_CPU_NS = 50_000_000
_TEMPLATE_CPU_NS = 50_000_000
_TEMPLATE_OVER_NS = 300_000_000
_CPU_OF_A_FORK_NS = 50_000_000
# An environment that was just forked is known as soon as its report is read, which may wait.
_REPORT_DUE_NS = 5 * _S


class IdleUsage:
    """
    Finds those that use what they should not.

    Args:
        table: Where the app claims environments.
        memfds: The device that files in memory without a name are on.
    """

    def __init__(self, table: Table, memfds: int) -> None:
        self._table = table
        self._memfds = memfds
        self._next = _NEVER
        self._parked: dict[int, int] = {}  # CPU time when it was first seen, by number
        self._templates: dict[int, _TemplateUsage] = {}

    def due(self) -> int:
        """Return when to look next, in monotonic ns."""
        return self._next

    def look_by(self, when: int) -> None:
        """Look then at the latest."""
        self._next = min(self._next, when)

    def over(
        self, environments: Iterable[Watched], templates: Iterable[Template], now: int
    ) -> Iterator[tuple[Watched, str]]:
        """
        Yield what is over its limits, and why in words.

        Args:
            environments: All of them; only the parked ones are looked at.
            templates: All of them; only those that have run INIT are.
            now: Monotonic, in ns.
        """
        self._next = _NEVER
        before, self._parked = self._parked, {}
        known: set[int] = set()
        unnamed: Counter[int] = Counter()
        parked = False
        for watched in environments:
            known.update(pid for pid in (watched.pid, watched.init) if pid)
            if watched.jailed and not watched.init and watched.template is not None:
                unnamed[watched.template.watched.number] += 1
            if watched.told or not watched.is_parked(self._table):
                continue
            parked = True
            reason = self._check_parked(watched, before)
            if reason:
                yield watched, reason
        ready = [template for template in templates if template.ready and not template.retired]
        self._templates = {
            template.watched.number: self._templates.get(template.watched.number)
            or _TemplateUsage(template, self._memfds, now)
            for template in ready
        }
        for template in ready:
            number = template.watched.number
            reason = self._templates[number].check(now, known, unnamed[number])
            if reason:
                yield template.watched, reason
        if ready:
            self._next = now + (_INTERVAL_NS if parked else _LONG_INTERVAL_NS)

    def _check_parked(self, watched: Watched, before: dict[int, int]) -> str:
        assert watched.pid is not None
        pids = [watched.pid, *watched.below()]
        cpu = sum(map(usage.cpu_time_ns, pids)) + usage.reaped_cpu_time_ns(watched.pid)
        first = self._parked[watched.number] = before.get(watched.number, cpu)
        if cpu > _SETUP_CPU_NS or cpu - first > _PARKED_CPU_NS:
            return "it computed before it had an event: does a fork hook start a thread?"
        if sum(map(usage.resident, pids)) > max(len(pids), 1) * watched.memory_limit:
            return "it was over its memory size before it had an event"
        return ""


class _TemplateUsage:
    """One template's, since INIT."""

    def __init__(self, template: Template, memfds: int, now: int) -> None:
        self._template = template
        self._files = MemoryFiles(memfds)
        self._cpu = -1
        self._forks = 0
        self._over = 0
        self._strangers: dict[int, int] = {}  # when they were first seen, by pid
        # Its memory is being moved into huge pages, for as long as INIT took at most.
        self._begin = now + (template.ready_at - template.made_at) + _S

    def check(self, now: int, known: set[int], unnamed: int) -> str:
        """
        Return what is wrong with it, in words; empty where nothing is.

        Args:
            now: Monotonic, in ns.
            known: Pids of environments, and of those first processes that are known.
            unnamed: How many of its environments have a first process that is not.
        """
        pid = self._template.watched.pid
        if pid is None or now < self._begin:
            return ""
        children = set(usage.children(pid))
        self._template.former &= children
        strangers = {
            child
            for child in children - known - self._template.former
            if usage.state(child) not in (b"Z", b"X", b"")
        }
        self._strangers = {child: self._strangers.get(child, now) for child in strangers}
        old = [pid for pid, since in self._strangers.items() if now - since > _REPORT_DUE_NS]
        if len(old) > unnamed:
            return "it has started a process after INIT"
        cpu, forks = usage.cpu_time_ns(pid), self._template.forks
        used, forked = cpu - self._cpu, forks - self._forks
        first = self._cpu < 0
        self._cpu, self._forks = cpu, forks
        over = 0 if first else max(0, used - _TEMPLATE_CPU_NS - forked * _CPU_OF_A_FORK_NS)
        # Not at once: what a busy host takes from a virtual machine counts as used, too.
        self._over = self._over // 2 + over
        if self._over > _TEMPLATE_OVER_NS:
            return "it computed after INIT, with nothing to do"
        return self._check_memory(pid)

    def _check_memory(self, pid: int) -> str:
        # Where the kernel counts all of it, it also limits it.
        watched, mounts = self._template.watched, self._template.mounts
        if watched.group is not None and watched.group.counts_memory:
            return ""
        if mounts and usage.mounts(pid) - mounts:
            # Nobody could tell how much such a file system holds: a ramfs says nothing.
            return "it has mounted a file system in INIT"
        held = max(0, self._files.look([pid]) - usage.mapped_shared_memory([pid]))
        if usage.resident(pid) + held > watched.memory_limit:
            return "it holds more memory than its function may"
        return ""
