"""This process's cgroups, version 1 and version 2: their limits, and what may be divided. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from attrs import frozen

__all__ = ["CgroupLimits", "Group", "delegated", "groups", "limits"]

# Version 1 writes "no limit" as the largest number of pages, in bytes.
_NO_LIMIT_BYTES = 1 << 62
_ESCAPED = re.compile(r"\\([0-7]{3})")

Read = Callable[[str], str]


@frozen
class Group:
    """
    The group of this process in one mounted hierarchy.

    Attributes:
        version: 1 or 2.
        controllers: Of a version 1 hierarchy. Version 2 has one hierarchy for all of them, and
            a file in each group that names them: empty here.
        folder: The group's own. It may be missing where the mount shows only a part.
        top: Where the hierarchy, or a part of it, is mounted.
        writable: False for a read-only mount.
    """

    version: int
    controllers: frozenset[str]
    folder: str
    top: str
    writable: bool

    @property
    def ancestors(self) -> tuple[str, ...]:
        """The folders from the group up to the mount, both included: all their limits apply."""
        found = [self.folder]
        while len(found[-1]) > len(self.top):
            found.append(found[-1].rpartition("/")[0])
        return tuple(found)


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


def groups(mountinfo: str, membership: str) -> tuple[Group, ...]:
    """
    Return the group of this process in each mounted hierarchy.

    A container may see only a part of a hierarchy: the mount's root is then a group, which is
    named as in ``membership``. In a cgroup namespace names begin at the namespace's root, and a
    root or a group outside of it begins with ``/..``; where the group can't be found for such a
    reason, the mount itself is taken for it, since it is an ancestor or the group itself.

    Args:
        mountinfo: The text of ``/proc/self/mountinfo``.
        membership: The text of ``/proc/self/cgroup``.
    """
    paths = dict(_paths(membership))
    seen: dict[tuple[int, frozenset[str]], tuple[bool, Group]] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, facts = before.split(" "), after.split(" ")
        if facts[0] not in ("cgroup", "cgroup2") or len(facts) < 3:  # noqa: PLR2004  # type, source, options
            continue
        version = 2 if facts[0] == "cgroup2" else 1
        names = frozenset(facts[2].split(",")).intersection(paths) if version == 1 else frozenset()
        if version == 1 and not names:
            continue  # a hierarchy for names alone, such as systemd's
        root, top, options = _plain(fields[3]), _plain(fields[4]).rstrip("/"), fields[5]
        below = _below(root, paths.get(min(names, default=""), "/"))
        writable = "ro" not in options.split(",")
        group = Group(version, names, top + (below or ""), top, writable)
        key = version, names
        # One hierarchy may be mounted twice; the mount that shows the group itself counts.
        if key not in seen or (below is not None and not seen[key][0]):
            seen[key] = below is not None, group
    return tuple(group for _, group in seen.values())


def _paths(membership: str) -> Iterator[tuple[str, str]]:
    for line in membership.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            if "=" not in name:
                yield name, path


def _plain(path: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), path)


def _below(root: str, path: str) -> str | None:
    """Return a group's path below a mount's root; None where it is not below it."""
    if ".." in f"{root}/{path}".split("/"):
        return None
    prefix = root.rstrip("/")
    path = path.rstrip("/")
    if path == prefix or path.startswith(f"{prefix}/"):
        return path[len(prefix) :]
    return None


def limits(found: Iterable[Group], read: Read) -> CgroupLimits:
    """
    Return the limits that hold for this process.

    ``memory.high`` of version 2 counts: over it the kernel stalls whoever allocates, which is
    as bad for a call as having to wait, and longer. A soft limit of version 1 does not: it
    holds only while the host itself is short of memory.

    Args:
        found: From ``groups``.
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


def _memory(group: Group, folder: str, read: Read) -> Iterator[int]:
    names: tuple[str, ...] = ()
    if group.version == 2:  # noqa: PLR2004
        names = ("memory.max", "memory.high")
    elif "memory" in group.controllers:
        names = ("memory.limit_in_bytes",)
    for name in names:
        value = _number(read(f"{folder}/{name}"))
        if value is not None and value < _NO_LIMIT_BYTES:
            yield value


def _cpus(group: Group, folder: str, read: Read) -> Iterator[float]:
    words: list[str] = []
    if group.version == 2:  # noqa: PLR2004
        words = read(f"{folder}/cpu.max").split()
    elif "cpu" in group.controllers:
        words = [read(f"{folder}/cpu.cfs_{name}_us") for name in ("quota", "period")]
    if len(words) == 2:  # noqa: PLR2004
        quota, period = map(_number, words)
        if quota is not None and quota > 0 and period:
            yield quota / period


def _pids(group: Group, folder: str, read: Read) -> Iterator[tuple[int, int]]:
    if group.version == 2 or "pids" in group.controllers:  # noqa: PLR2004
        limit = _number(read(f"{folder}/pids.max"))
        if limit is not None:
            yield limit, _number(read(f"{folder}/pids.current")) or 0


def _number(text: str) -> int | None:
    """Return the number in a file; None for ``max``, for -1, and where there is no file."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() else None


def delegated(
    found: Iterable[Group], read: Read, may_write: Callable[[str], bool]
) -> dict[str, tuple[str, ...]]:
    """
    Return the controllers in whose groups this process may make others, by version.

    A version that the host lacks is missing; one that is not delegated has no controllers.

    Args:
        found: From ``groups``.
        read: Returns a file's text; empty where there is no such file.
        may_write: Tells if this process may write in a folder.
    """
    controllers: dict[str, set[str]] = {}
    for group in found:
        usable = controllers.setdefault(f"v{group.version}", set())
        if group.writable and may_write(group.folder):
            usable |= group.controllers or set(read(f"{group.folder}/cgroup.controllers").split())
    return {version: tuple(sorted(names)) for version, names in sorted(controllers.items())}
