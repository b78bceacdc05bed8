"""This process's cgroups, version 1 and version 2: their limits, and what may be divided. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from attrs import frozen

from faaskit.sandbox.hierarchies import Hierarchy

__all__ = ["CgroupLimits", "delegated", "limits"]

# Version 1 writes "no limit" as the largest number of pages, in bytes.
_NO_LIMIT_BYTES = 1 << 62

Read = Callable[[str], str]


@frozen
class CgroupLimits:
    """
    The smallest limits of this process's groups and of all above them; None for no limit.

    Attributes:
        memory_bytes: At most this much memory.
        cpus: At most this CPU time per time, such as 1.5.
        processes: At most this many processes and threads.
        processes_in_use: How many there are where the least are left.
    """

    memory_bytes: int | None = None
    cpus: float | None = None
    processes: int | None = None
    processes_in_use: int = 0


def limits(found: Iterable[Hierarchy], read: Read) -> CgroupLimits:
    """
    Return the limits that hold for this process.

    ``memory.high`` of version 2 counts: over it the kernel stalls whoever allocates, which is
    as bad for a call as having to wait, and longer. A soft limit of version 1 does not: it
    holds only while the host itself is short of memory.

    Args:
        found: From ``hierarchies``.
        read: Returns a file's text; empty where there is no such file.
    """
    memory: list[int] = []
    cpus: list[float] = []
    pids: list[tuple[int, int]] = []
    for group in found:
        for folder in group.ancestors:
            memory.extend(_memory(group, folder, read))
            cpus.extend(_cpus(group, folder, read))
            pids.extend(_pids(group, folder, read))
    limit, in_use = min(pids, key=lambda one: one[0] - one[1], default=(None, 0))
    return CgroupLimits(min(memory, default=None), min(cpus, default=None), limit, in_use)


def _memory(group: Hierarchy, folder: str, read: Read) -> Iterator[int]:
    names: tuple[str, ...] = ()
    if group.version == 2:  # noqa: PLR2004
        names = ("memory.max", "memory.high")
    elif "memory" in group.controllers:
        names = ("memory.limit_in_bytes",)
    for name in names:
        value = _number(read(f"{folder}/{name}"))
        if value is not None and value < _NO_LIMIT_BYTES:
            yield value


def _cpus(group: Hierarchy, folder: str, read: Read) -> Iterator[float]:
    words: list[str] = []
    if group.version == 2:  # noqa: PLR2004
        words = read(f"{folder}/cpu.max").split()
    elif "cpu" in group.controllers:
        words = [read(f"{folder}/cpu.cfs_{name}_us") for name in ("quota", "period")]
    if len(words) == 2:  # noqa: PLR2004
        quota, period = map(_number, words)
        if quota is not None and quota > 0 and period:
            yield quota / period


def _pids(group: Hierarchy, folder: str, read: Read) -> Iterator[tuple[int, int]]:
    if group.version == 2 or "pids" in group.controllers:  # noqa: PLR2004
        limit = _number(read(f"{folder}/pids.max"))
        if limit is not None:
            yield limit, _number(read(f"{folder}/pids.current")) or 0


def _number(text: str) -> int | None:
    """Return the number in a file; None for ``max``, for -1, and where there is no file."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() else None


def delegated(
    found: Iterable[Hierarchy], read: Read, may_write: Callable[[str], bool]
) -> dict[str, tuple[str, ...]]:
    """
    Return the controllers in whose groups this process may make others, by version.

    A version that the host lacks is missing; one that is not delegated has no controllers.

    Args:
        found: From ``hierarchies``.
        read: Returns a file's text; empty where there is no such file.
        may_write: Tells if this process may write in a folder.
    """
    controllers: dict[str, set[str]] = {}
    for group in found:
        usable = controllers.setdefault(f"v{group.version}", set())
        if group.writable and may_write(group.folder):
            usable |= group.controllers or set(read(f"{group.folder}/cgroup.controllers").split())
    return {version: tuple(sorted(names)) for version, names in sorted(controllers.items())}
