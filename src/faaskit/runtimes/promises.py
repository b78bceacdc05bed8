"""
The ten promises and the limits of a function: how far they go on a host, as data. Pure.

To add a gap, add a ``Gap`` to its row of ``_ROWS``, and the same sentence to the page
"Specification"; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from attrs import frozen

from faaskit.sandbox.limits import PROCESSES

__all__ = ["LIMITS", "Facts", "Finding", "Level", "gaps", "limits", "promises", "unenforced"]

Level = Literal["process", "namespace"]
State = Literal["held", "held with gaps", "not enforced", "not measured"]

_BOTH: tuple[Level, ...] = ("process", "namespace")
_PROCESS: tuple[Level, ...] = ("process",)
_NAMESPACE: tuple[Level, ...] = ("namespace",)


@frozen
class Facts:
    """
    What decides which gaps there are.

    Attributes:
        level: The isolation level.
        root: True if the app is root.
        controllers: Those of ``pids``, ``memory`` and ``cpu`` for which each environment has a
            cgroup.
        reads_memory: True if the memory of other processes can be read.
        reads_cpu: True if the CPU time of other processes can be read.
        finds_children: True if the kernel lists a process's children.
    """

    level: Level
    root: bool = False
    controllers: frozenset[str] = frozenset({"pids", "memory", "cpu"})
    reads_memory: bool = True
    reads_cpu: bool = True
    finds_children: bool = True


def _always(_facts: Facts) -> bool:
    return True


@frozen
class Gap:
    """
    One way in which a promise is not kept, or is not kept at all.

    Attributes:
        text: A clause, without a full stop.
        levels: Where it is so.
        applies: Tells if it is so on a host.
    """

    text: str
    levels: tuple[Level, ...] = _BOTH
    applies: Callable[[Facts], bool] = _always

    def holds(self, facts: Facts) -> bool:
        """Return True if it is so on a host with these facts."""
        return facts.level in self.levels and self.applies(facts)


@frozen
class _Row:
    """
    A promise, or a limit that a function declares, or both.

    Attributes:
        number: Of the promise; 0 for a part of one, which has a row of its own.
        limit: The name by which ``Invoker(accept=…)`` knows it.
        missing: Why it is not enforced at all.
        measured: False for what only a benchmark can tell.
    """

    number: int
    name: str
    how: str
    gaps: tuple[Gap, ...] = ()
    limit: str = ""
    missing: tuple[Gap, ...] = ()
    measured: bool = True


@frozen
class Finding:
    """
    How far a promise or a limit goes on a host.

    Attributes:
        number: Of the promise; 0 for a limit that is a part of one.
        name: In a word or two.
        state: ``held``, ``held with gaps``, ``not enforced``, or ``not measured``.
        how: How it is enforced.
        gaps: What is not enforced of it, or why nothing is.
        limit: The name by which ``Invoker(accept=…)`` knows it; empty for others.
    """

    number: int
    name: str
    state: State
    how: str
    gaps: tuple[str, ...]
    limit: str = ""


_NO_CHILDREN = Gap(
    "this kernel does not list a process's children (CONFIG_PROC_CHILDREN), so processes that "
    "the function starts are not counted",
    applies=lambda facts: not facts.finds_children,
)

_ROWS = (
    _Row(
        1,
        "Fresh",
        "memory, variables and the temporary folder are new in each call",
        (
            Gap(
                "a file written outside the temporary folder stays, and so does a System V object "
                "or a key",
                _PROCESS,
            ),
        ),
    ),
    _Row(
        2,
        "Time",
        "a watchdog outside kills the function and all that it started at its timeout",
        (
            Gap(
                "a thousand processes that compute can delay the watchdog: the app is not root, so "
                "it has no priority over them",
                applies=lambda facts: not facts.root and "pids" not in facts.controllers,
            ),
            Gap(
                "this kernel does not list a process's children (CONFIG_PROC_CHILDREN), so what "
                "the function starts is not found",
                _PROCESS,
                lambda facts: not facts.finds_children,
            ),
        ),
    ),
    _Row(
        3,
        "Memory",
        "a watchdog outside measures the function and all that it started, and kills them",
        (
            Gap("it is measured every 5 ms, and a fast function goes over by some MB first"),
            Gap(
                "buffers of sockets and pipes, page tables and semaphores are limited together "
                "with the rest to memory_size and ephemeral_storage, not to memory_size alone",
                applies=lambda facts: "memory" in facts.controllers,
            ),
            Gap(
                "buffers of sockets and pipes, descriptors that nobody has received and shared "
                "pages that nobody has mapped are not counted: there is no memory cgroup",
                applies=lambda facts: "memory" not in facts.controllers,
            ),
            Gap(
                "System V objects are not counted: there is no memory cgroup",
                _PROCESS,
                lambda facts: "memory" not in facts.controllers,
            ),
            Gap("a file in /dev/shm counts only while it is mapped", _PROCESS),
            _NO_CHILDREN,
        ),
        limit="memory",
        missing=(
            Gap(
                "the memory of a process can't be read here: /proc is missing or hidden",
                applies=lambda facts: not facts.reads_memory,
            ),
        ),
    ),
    _Row(
        4,
        "CPU follows memory",
        "processes that are ahead of their share are held back until they are not",
        (
            Gap(
                "processes that live for a few milliseconds and that nobody waits for are counted "
                "in part: there is no cpu cgroup",
                applies=lambda facts: "cpu" not in facts.controllers,
            ),
            Gap(
                "a function that continues its own processes by signals gets more than its share "
                "for a moment, until it is ended: there is no cpu cgroup",
                applies=lambda facts: "cpu" not in facts.controllers,
            ),
            _NO_CHILDREN,
        ),
        limit="cpu",
        missing=(
            Gap(
                "the CPU time of another process can't be read here",
                applies=lambda facts: not facts.reads_cpu,
            ),
        ),
    ),
    _Row(
        5,
        "Disk",
        "the files of a call are limited to ephemeral_storage",
        (Gap("each file is limited, the sum of all files is not", _PROCESS),),
        limit="disk",
    ),
    _Row(
        6,
        "Permission",
        "the gate decides every service call",
        (
            Gap(
                "a function runs as this user: it reads and writes what this user may, such as the "
                "state folder, and sees the host's processes",
                _PROCESS,
            ),
            Gap(
                f"nothing but the watchdog keeps a function from starting over {PROCESSES:,} "
                "processes, since the app is root and has no pids cgroup",
                _PROCESS,
                lambda facts: facts.root and "pids" not in facts.controllers,
            ),
        ),
    ),
    _Row(
        0,
        "Network",
        "with network=False a function has a network of its own, without any other host",
        limit="network",
        missing=(Gap("at isolation 'process' a function shares the host's network", _PROCESS),),
    ),
    _Row(
        0,
        "Readable",
        "a function sees its code, the system and the paths of readable=, all read-only",
        limit="readable",
        missing=(
            Gap(
                "at isolation 'process' a function sees every file that this user may read",
                _PROCESS,
            ),
        ),
    ),
    _Row(7, "Nothing lost", "writes and their events are one durable transaction"),
    _Row(8, "Bill from outside", "clocks and figures are the launcher's and the app's"),
    _Row(9, "Clean", "the launcher ends all that it started; the next one sweeps"),
    _Row(
        10,
        "Speed",
        "python benchmarks/invoke.py measures it on this host",
        measured=False,
    ),
)

# In the order in which they are documented; `accept` takes exactly these.
LIMITS = ("network", "readable", "disk", "memory", "cpu")


def promises(facts: Facts) -> tuple[Finding, ...]:
    """Return how far each of the ten promises goes."""
    return tuple(_finding(row, facts) for row in _ROWS if row.number)


def limits(facts: Facts) -> tuple[Finding, ...]:
    """Return how far each limit goes that a function may declare."""
    found = {row.limit: _finding(row, facts) for row in _ROWS if row.limit}
    return tuple(found[name] for name in LIMITS)


def unenforced(facts: Facts) -> dict[str, str]:
    """Return the limits that are not enforced at all, by name, each with the reason."""
    return {one.limit: "; ".join(one.gaps) for one in limits(facts) if one.state == "not enforced"}


def gaps() -> Iterator[tuple[Level, str]]:
    """Yield every gap that there can be, with each level that it concerns."""
    for row in _ROWS:
        for gap in (*row.missing, *row.gaps):
            for level in gap.levels:
                yield level, gap.text


def _finding(row: _Row, facts: Facts) -> Finding:
    missing = tuple(gap.text for gap in row.missing if gap.holds(facts))
    partial = tuple(gap.text for gap in row.gaps if gap.holds(facts))
    state: State = "held"
    if not row.measured:
        state = "not measured"
    elif missing:
        state = "not enforced"
    elif partial:
        state = "held with gaps"
    return Finding(row.number, row.name, state, row.how, missing or partial, row.limit)
